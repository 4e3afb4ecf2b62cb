//! `deploy.sh --local`: what it needs before it builds.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::text;

/// Everything the script itself uses.
const TOOLS: [&str; 16] = [
    "bash", "env", "dirname", "hostname", "mkdir", "rm", "find", "awk", "tail", "tr", "date",
    "sed", "cargo", "cc", "python3", "cat",
];

/// The script on a machine that has its tools but this one.
fn without(missing: &str, arguments: &[&str]) -> Output {
    let tools = TempDir::new().expect("a folder");
    for tool in TOOLS.into_iter().filter(|tool| *tool != missing) {
        let found = Command::new("bash")
            .args(["-c", "command -v \"$0\"", tool])
            .output();
        let path = text(&found.expect("bash").stdout);
        symlink(path.trim(), tools.path().join(tool)).expect("a link");
    }
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy.sh"))
        .args(arguments)
        .env("PATH", tools.path())
        .env_remove("ENVOY")
        .output()
        .expect("deploy.sh runs")
}

#[test]
fn a_missing_tool_is_named_with_what_installs_it() {
    for (tool, sentence, command) in [
        ("cargo", "Rust is not installed", "https://sh.rustup.rs"),
        (
            "cc",
            "a C compiler is not installed",
            "apt-get install build-essential",
        ),
        (
            "python3",
            "python3 is not installed",
            "apt-get install python3 python3-pip",
        ),
    ] {
        let output = without(tool, &["--local"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{tool}: {told}");
        assert!(
            told.starts_with(&format!("deploy.sh: {sentence}")),
            "{tool}: {told}"
        );
        assert!(told.contains(command), "{tool}: {told}");
    }
}

#[test]
fn a_wrong_setting_is_named() {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy.sh"))
        .env("FAULTLINE_LOCAL", "perhaps")
        .output()
        .expect("deploy.sh runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("FAULTLINE_LOCAL is \"perhaps\""),
        "{}",
        text(&output.stderr)
    );
}
