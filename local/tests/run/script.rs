//! `deploy.sh --local`: what it needs before it builds.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::harness::text;

/// Everything the script itself uses before it builds.
const TOOLS: [&str; 12] = [
    "bash", "env", "dirname", "hostname", "mkdir", "rm", "find", "awk", "tail", "tr", "date", "sed",
];

/// All of it at once, and nothing that only a cluster needs.
#[test]
fn missing_tools_are_named_with_what_installs_them() {
    let machine = TempDir::new().expect("a folder");
    for tool in TOOLS {
        let found = Command::new("bash")
            .args(["-c", "command -v \"$0\"", tool])
            .output();
        let path = text(&found.expect("bash").stdout);
        symlink(path.trim(), machine.path().join(tool)).expect("a link");
    }
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy.sh"))
        .arg("--local")
        .env("PATH", machine.path())
        .env("HOME", machine.path())
        .env_remove("CARGO_HOME")
        .env_remove("ENVOY")
        .output()
        .expect("deploy.sh runs");
    let told = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(
        told.starts_with(
            "deploy.sh: Rust, a C compiler, python3 and Python's pip are not installed\n"
        ),
        "{told}"
    );
    assert!(told.contains("https://sh.rustup.rs"), "{told}");
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
