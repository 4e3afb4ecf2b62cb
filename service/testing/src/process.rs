//! The real binaries, as processes.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::{DEADLINE, eventually};

/// The binary of a package of this workspace, as it is now: built, if need be.
pub fn binary(package: &str) -> PathBuf {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().expect("a build failed");
    let built = built.get_or_insert_default();
    built
        .entry(package.to_owned())
        .or_insert_with(|| build(package))
        .clone()
}

fn build(package: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = std::process::Command::new(cargo)
        .args(["build", "--quiet", "--package", package, "--bin", package])
        .args(["--message-format", "json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo cannot be run");
    assert!(build.status.success(), "cargo cannot build {package}");
    let messages = String::from_utf8(build.stdout).expect("cargo speaks UTF-8");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .unwrap_or_else(|| panic!("cargo built no binary of {package}"))
}

/// Runs the binary that the test was built with. Where FAULTLINE_EMULATOR names a program that runs another
/// architecture's, it runs the one of the same name in the folder FAULTLINE_EMULATED.
///
/// # Panics
/// When only one of the two is set.
pub fn command(built: impl AsRef<Path>) -> Command {
    let built = built.as_ref();
    let setting = |name: &str| std::env::var_os(name);
    match (setting("FAULTLINE_EMULATOR"), setting("FAULTLINE_EMULATED")) {
        (None, None) => Command::new(built),
        (Some(emulator), Some(folder)) => {
            let name = built.file_name().expect("a binary has a name");
            let mut command = Command::new(emulator);
            command.arg(Path::new(&folder).join(name));
            command
        }
        _ => panic!("FAULTLINE_EMULATOR and FAULTLINE_EMULATED go together"),
    }
}

/// A service that runs on a port of its own; it is killed when dropped.
#[derive(Debug)]
pub struct Service {
    child: Child,
    address: SocketAddr,
    lines: Lines,
}

type Lines = Arc<Mutex<Vec<Value>>>;

impl Service {
    /// Starts a binary and waits until it listens.
    ///
    /// # Panics
    /// With its log, when it ends instead.
    pub async fn start(command: Command) -> Self {
        let (mut child, lines) = spawn(command);
        let listening = eventually("the service listens", async || {
            if let Some(status) = child.try_wait().expect("a child has a status") {
                panic!("it ended with {status}: {:#?}", lines.lock());
            }
            let lines = lines.lock().expect("lines are whole");
            let line = lines.iter().find(|line| line["message"] == "listening")?;
            line["address"].as_str()?.parse().ok()
        });
        let address = listening.await;
        Self {
            child,
            address,
            lines,
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of one of its paths.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its log lines so far whose message is this one.
    pub fn lines(&self, message: &str) -> Vec<Value> {
        let lines = self.lines.lock().expect("lines are whole");
        lines
            .iter()
            .filter(|line| line["message"] == message)
            .cloned()
            .collect()
    }

    /// Ends it as `kill -9` does and waits until it is gone; returns what it had logged.
    pub async fn kill(mut self) -> Vec<Value> {
        self.child.kill().await.expect("a child can be killed");
        complete(&self.lines).await
    }

    /// How much memory it holds, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let pid = self.child.id().expect("the service has ended");
        let status =
            std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux has /proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
        kibibytes
            .and_then(|number| number.parse::<u64>().ok())
            .expect("a process has a size")
            * 1024
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = self
            .child
            .id()
            .and_then(|pid| Pid::from_raw(pid.try_into().ok()?));
        kill_process(pid.expect("the service has ended"), signal)
            .expect("a child can be signalled");
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(DEADLINE, self.child.wait()).await;
        ended
            .expect("the service did not end")
            .expect("a child has a status")
    }
}

/// Runs a binary that is to end by itself; returns its status and its log.
pub async fn run(command: Command) -> (ExitStatus, Vec<Value>) {
    let (mut child, lines) = spawn(command);
    let ended = tokio::time::timeout(DEADLINE, child.wait()).await;
    let status = ended
        .expect("it did not end")
        .expect("a child has a status");
    (status, complete(&lines).await)
}

/// The lines of a process that has ended; the last may still be on their way through the pipe.
async fn complete(lines: &Lines) -> Vec<Value> {
    eventually("its output ends", async || {
        (Arc::strong_count(lines) == 1).then_some(())
    })
    .await;
    lines.lock().expect("lines are whole").clone()
}

fn spawn(mut command: Command) -> (Child, Lines) {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let lines = Lines::default();
    let mut output = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let collected = lines.clone();
    tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            let line = serde_json::from_str(&line)
                .unwrap_or_else(|error| panic!("a log line is no JSON: {error}: {line}"));
            collected.lock().expect("lines are whole").push(line);
        }
    });
    (child, lines)
}
