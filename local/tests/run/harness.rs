//! A run with a folder and ports of its own, so that tests run side by side.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use faultline_local::run_file::RunFile;
use faultline_service_testing::process::binary;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Each place has so many ports of its own, from here.
const FIRST_PORT: u16 = 22_000;
const EACH: u16 = 40;
/// How long anything may take before the test has failed.
const DEADLINE: Duration = Duration::from_secs(90);

/// The program, with everything it needs beside it, as it is now.
pub(crate) fn program() -> &'static Path {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        for package in ["custom-app", "log-agent", "faultline-e2e"] {
            binary(package);
        }
        faultline_testbed::filter().expect("the filter builds");
    });
    Path::new(env!("CARGO_BIN_EXE_faultline-local"))
}

/// Tests run side by side, except for one that measures time and is alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// How a test has the machine, as long as it has it. A test that failed spoils nothing.
enum Share {
    Some {
        _guard: RwLockReadGuard<'static, ()>,
    },
    All {
        _guard: RwLockWriteGuard<'static, ()>,
    },
    Another,
}

/// Where a run of this program lives, and on which ports.
pub(crate) struct Place {
    folder: TempDir,
    first_port: u16,
    _share: Share,
}

impl Place {
    /// `number` tells the tests apart.
    pub(crate) fn new(number: u16) -> Self {
        let guard = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
        Self::with(number, Share::Some { _guard: guard })
    }

    /// The same while no other test runs.
    pub(crate) fn alone(number: u16) -> Self {
        let guard = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
        Self::with(number, Share::All { _guard: guard })
    }

    /// A second one for the same test.
    pub(crate) fn beside(&self) -> Self {
        Self::with((self.first_port - FIRST_PORT) / EACH + 1, Share::Another)
    }

    fn with(number: u16, share: Share) -> Self {
        Self {
            folder: TempDir::new().expect("a folder"),
            first_port: FIRST_PORT + number * EACH,
            _share: share,
        }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn gateway_port(&self) -> u16 {
        self.first_port
    }

    /// The program with these options, on this place's ports.
    pub(crate) fn command(&self, options: &[&str]) -> Command {
        let [gateway, admin, inner] = [0, 1, 2].map(|at| (self.first_port + at).to_string());
        let mut command = self.bare(options);
        command.args([
            "--port",
            &gateway,
            "--admin-port",
            &admin,
            "--inner-ports",
            &inner,
        ]);
        command
    }

    /// The program with these options and no settings from outside.
    pub(crate) fn bare(&self, options: &[&str]) -> Command {
        let mut command = Command::new(program());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FAULTLINE_")) {
            if name != "FAULTLINE_ENVOY_VERSION" {
                command.env_remove(name);
            }
        }
        command.args(options).arg("--state-dir").arg(self.state());
        command.stdin(Stdio::null());
        command
    }

    /// Runs it to its end.
    pub(crate) fn output(&self, options: &[&str]) -> Output {
        self.command(options).output().expect("it runs")
    }

    /// Runs `--status` or `--delete`.
    pub(crate) fn ask(&self, option: &str) -> Output {
        self.bare(&[option]).output().expect("it runs")
    }

    /// What the one run there says about itself, once it is ready.
    pub(crate) fn run_file(&self) -> RunFile {
        eventually("a run that is ready", || {
            let folder = fs::read_dir(self.state()).ok()?.next()?.ok()?.path();
            RunFile::read(&folder).ok().filter(|run| run.ready)
        })
    }

    /// Fails unless nothing is left of a run.
    pub(crate) fn assert_nothing_left(&self, run: &RunFile) {
        let left: Vec<_> = fs::read_dir(self.state())
            .into_iter()
            .flatten()
            .flatten()
            .collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(!self.state().exists(), "the folder itself stays");
        let processes = processes(run);
        eventually("every process to be gone", || {
            processes.iter().all(|pid| !is_alive(*pid)).then_some(())
        });
        for url in [&run.gateway_url, &run.admin_url] {
            let address = url.trim_start_matches("http://");
            assert!(TcpStream::connect(address).is_err(), "{url} still listens");
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // A test that failed may have left a run detached.
        if self.state().exists() {
            let _ = self.bare(&["--delete"]).output();
        }
    }
}

/// Every process of a run, this program's own last.
pub(crate) fn processes(run: &RunFile) -> Vec<i32> {
    let mut all: Vec<i32> = run
        .instances
        .iter()
        .filter_map(|instance| instance.pid)
        .collect();
    all.extend(children(run.pid));
    all.push(run.pid);
    all
}

/// The processes that one has started.
pub(crate) fn children(of: i32) -> Vec<i32> {
    let path = format!("/proc/{of}/task/{of}/children");
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace()
        .map(|pid| pid.parse().expect("a number"))
        .collect()
}

/// The process of a run whose program has this name.
pub(crate) fn child_named(of: i32, name: &str) -> i32 {
    let named = |pid: &i32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name)
    };
    children(of)
        .into_iter()
        .find(named)
        .unwrap_or_else(|| panic!("no process {name}"))
}

fn is_alive(pid: i32) -> bool {
    let zombie = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit_once(')')
            .is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
    };
    test_kill_process(Pid::from_raw(pid).unwrap()).is_ok() && !zombie()
}

pub(crate) fn send(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).expect("it is there");
}

/// A run in the foreground; killed when dropped.
pub(crate) struct Foreground {
    pub(crate) child: Child,
    said: Arc<Mutex<String>>,
}

impl Foreground {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().unwrap(), Arc::clone(&said));
        collect(child.stderr.take().unwrap(), Arc::clone(&said));
        Self { child, said }
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it says so.
    pub(crate) fn says(&mut self, text: &str) {
        let found = try_eventually(|| {
            // Asked first: what it said last is there once it has ended.
            let ended = self.child.try_wait().unwrap().is_some();
            let found = self.said().contains(text);
            (found || ended).then_some(found)
        });
        assert_eq!(found, Some(true), "it never said {text:?}: {}", self.said());
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.child.id().try_into().unwrap(), signal);
    }

    /// Waits for its end; its exit code, or `None` for a signal.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = try_eventually(|| self.child.try_wait().unwrap());
        status
            .unwrap_or_else(|| panic!("it does not end: {}", self.said()))
            .code()
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn collect(stream: impl std::io::Read + Send + 'static, into: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut said = into.lock().unwrap();
            said.push_str(&line);
            said.push('\n');
        }
    });
}

fn try_eventually<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if began.elapsed() > DEADLINE {
            return None;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Looks until there is something.
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    try_eventually(look).unwrap_or_else(|| panic!("not within {DEADLINE:?}: {what}"))
}

/// An answer: its status, its headers in lower case, its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Makes a request; `None` if nothing answers.
pub(crate) fn request(method: &str, url: &str, body: &str) -> Option<Answer> {
    use std::io::Write as _;
    let (address, path) = url.trim_start_matches("http://").split_once('/')?;
    let mut stream = TcpStream::connect(address).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    let length = body.len();
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .ok()?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some(Answer {
        status,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
    })
}

/// The messages of the entries at a gateway; `None` while it cannot reach them.
pub(crate) fn messages(run: &RunFile) -> Option<Vec<String>> {
    let answer = request("GET", &format!("{}/logs", run.gateway_url), "")?;
    if answer.status == 503 {
        return None;
    }
    let entries = answer.json()["entries"]
        .as_array()
        .expect("entries")
        .clone();
    let message = |entry: &Value| entry["message"].as_str().expect("a message").to_owned();
    Some(entries.iter().map(message).collect())
}

/// Posts an entry; the status of the answer.
pub(crate) fn post(run: &RunFile, message: &str) -> u16 {
    let body = format!("{{\"message\":\"{message}\"}}");
    let url = format!("{}/log", run.gateway_url);
    request("POST", &url, &body).expect("an answer").status
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
