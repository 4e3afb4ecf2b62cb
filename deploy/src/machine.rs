//! A machine made of stand-ins: a PATH of its own, on which the scripts look for tools.

use crate::{console::told, manifest::root};
use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tempfile::TempDir;

/// What the scripts themselves are written with; a machine always has it.
const BASICS: [&str; 9] = [
    "bash", "env", "sed", "awk", "tr", "chmod", "mkdir", "uname", "touch",
];

/// A machine: its PATH, and whether its user is root.
pub(crate) struct Machine {
    folder: TempDir,
    is_root: bool,
}

impl Machine {
    /// With these tools, which do nothing, and succeed.
    pub(crate) fn new(tools: &[&str]) -> Self {
        let machine = Self {
            folder: TempDir::new().expect("a folder"),
            is_root: false,
        };
        fs::create_dir(machine.folder.path().join("bin")).expect("a folder");
        machine.with_real(&BASICS);
        for tool in tools {
            machine.with(tool, "");
        }
        machine
    }

    /// The same, for root.
    pub(crate) fn root(mut self) -> Self {
        self.is_root = true;
        self
    }

    /// Puts tools of the machine that runs the tests on the PATH.
    pub(crate) fn with_real(&self, tools: &[&str]) -> &Self {
        for tool in tools {
            let found = Command::new("bash")
                .args(["-c", "command -v \"$0\"", tool])
                .output()
                .expect("bash");
            let path = String::from_utf8(found.stdout).expect("a path");
            symlink(path.trim(), self.path(tool)).expect("a link");
        }
        self
    }

    /// Puts a stand-in on the PATH. `$home` is a folder for what it leaves.
    pub(crate) fn with(&self, tool: &str, script: &str) -> &Self {
        // In place of a link, never through it: there is a tool of this system.
        match fs::remove_file(self.path(tool)) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("{tool}: {error}"),
            _ => {}
        }
        // Not written by this process: a thread that starts another one at that moment would keep the file open,
        // and no system runs a file that is.
        let written = Command::new("bash")
            .args(["-Cc", "printf '%s\\n' \"$@\" >\"$0\" && chmod 755 \"$0\""])
            .arg(self.path(tool))
            .arg("#!/usr/bin/env bash")
            .arg(format!("home={}", self.home().display()))
            .arg(script)
            .status()
            .expect("bash");
        assert!(written.success(), "{tool}");
        self
    }

    /// apt, which knows these packages beyond those that every distribution has, as `NAME VERSION`, and installs
    /// each package as a command of its name.
    pub(crate) fn with_apt(&self, offers: &str) -> &Self {
        self.with(
            "apt-get",
            r#"echo "apt-get $*" >>"$home/ran"
case $1 in install) ;; *) exit ;; esac
for argument in "$@"; do
  case $argument in install|-*) continue ;; build-essential) argument=cc ;;
    kubernetes-client) argument=kubectl ;; esac
  printf '#!/usr/bin/env bash\n' >"$home/bin/$argument"
  chmod 755 "$home/bin/$argument"
done"#,
        )
        .with(
            "apt-cache",
            &format!(
                "version=$(sed -n \"s/^$2 //p\" <<<'{offers}')\nprintf '%s:\\n  Candidate: %s\\n' \"$2\" \"${{version:-(none)}}\""
            ),
        )
    }

    /// A folder of its own, which is also its user's home.
    pub(crate) fn home(&self) -> &Path {
        self.folder.path()
    }

    /// Where a tool is, or would be.
    pub(crate) fn path(&self, tool: &str) -> PathBuf {
        self.home().join("bin").join(tool)
    }

    /// What the stand-ins were asked to do.
    pub(crate) fn ran(&self) -> String {
        fs::read_to_string(self.home().join("ran")).unwrap_or_default()
    }

    /// Runs a line of shell with the parts of deploy.sh that are tested here.
    pub(crate) fn run(&self, line: &str, environment: &[(&str, &str)]) -> Output {
        let shell = r#"
            die() { printf '%s\n' "$@" >&2; exit 1; }
            note() { printf 'note: %s\n' "$1"; }
            quietly() { "$@" >/dev/null; }
            . "$root/deploy/tools.sh"; . "$root/deploy/platforms.sh"; . "$root/deploy/rust.sh"; . "$root/deploy/requirements.sh""#;
        self.command("bash")
            .args(["-euo", "pipefail", "-c"])
            .arg(format!(
                "{shell}\nis_root() {{ {}; }}\n{line}",
                self.is_root
            ))
            .env("root", root())
            .envs(environment.iter().copied())
            .output()
            .expect("bash")
    }

    /// A program that knows nothing but this machine.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", self.home().join("bin"))
            .env("HOME", self.home());
        command
    }

    /// Runs a line that must end the script, and returns what it says.
    pub(crate) fn refuses(&self, line: &str) -> String {
        let output = self.run(line, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        told(&output)
    }

    /// Runs a line that must succeed, and returns what it prints.
    pub(crate) fn does(&self, line: &str) -> String {
        let output = self.run(line, &[]);
        assert!(output.status.success(), "{}", said(&output));
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// All that it says.
pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        told(output)
    )
}
