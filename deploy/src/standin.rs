//! A stand-in for kubectl: what it is asked for lies in files. Functions of the script run against it alone, where no
//! cluster is; the acceptance suite runs them against a real one.

use crate::manifest::root;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
};
use tempfile::TempDir;

/// A folder with a kubectl in it, to be put first on the PATH.
pub(crate) struct StandIn(TempDir);

impl StandIn {
    /// A kubectl that is this program.
    pub(crate) fn new(program: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("kubectl");
        fs::write(&path, program).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        Self(folder)
    }

    /// The same, with these files beside it: names and contents.
    pub(crate) fn with_files(program: &str, files: &[(&str, &str)]) -> Self {
        let standin = Self::new(program);
        for (name, content) in files {
            fs::write(standin.file(name), content).expect("a file");
        }
        standin
    }

    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// A bash that has the parts of deploy.sh and then runs `script`, its input open and its output kept.
    pub(crate) fn start(&self, script: &str) -> Child {
        let parts = "
            for part in console platforms cluster mesh choice lock registry neighbours preflight images released pull-secret istio users boundary apply delete; do
              . deploy/$part.sh
            done
            namespace=faultline mode=deploy timeout=60 context=standin registry='' registry_ca='' pull_secret='' release=''
            pull_secret_source='' architectures=() gateway='' host='' gateway_api=false istio_revision=''
            namespace_state=ours";
        let path = std::env::var("PATH").expect("a PATH");
        Command::new("bash")
            .args(["-euo", "pipefail", "-c", &format!("{parts}\n{script}")])
            .current_dir(root())
            .env("root", root())
            .env("PATH", format!("{}:{path}", self.folder().display()))
            .env("standin", self.folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("bash")
    }

    /// As `start`, to its end, without the console's own folder.
    pub(crate) fn run(&self, script: &str) -> Output {
        let script = format!("scratch=$standin/scratch log=$standin/log bold='' dim='' red='' yellow='' reset='' terminal=''
            mkdir -p \"$scratch\"\n{script}");
        self.start(&script).wait_with_output().expect("its output")
    }

    /// What a script prints that must succeed.
    pub(crate) fn printed(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}
