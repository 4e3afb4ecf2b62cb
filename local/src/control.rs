//! Runs seen from outside: left running, asked after, ended.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::io::AsyncReadExt as _;

use crate::Error;
use crate::child::tell;
use crate::console::{Colour, Paint, say};
use crate::ready;
use crate::run_file::{RunFile, Running};
use crate::state::State;

/// Longer than a run takes to end in order.
const ENDING: Duration = Duration::from_secs(120);
const INTERVAL: Duration = Duration::from_millis(20);

/// What a run that is left alone says to whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It runs, and what was to be proved is proved.
    Ready = 0,
    /// It runs, and the proof failed.
    Unproved = 1,
}

/// Starts a run that outlives this process, and comes back once it is ready or has failed.
///
/// # Errors
/// When it cannot be started. What goes wrong in it, it says itself.
pub async fn detach(interrupted: impl Future<Output = ()>) -> Result<ExitCode, Error> {
    let own = std::env::current_exe().map_err(Error::io("find this program's own path"))?;
    let pair = || -> std::io::Result<_> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        Ok((
            tokio::net::UnixStream::from_std(ours)?,
            OwnedFd::from(theirs),
        ))
    };
    let (mut ours, theirs) = pair().map_err(Error::io("make a pair of sockets"))?;
    let arguments = std::env::args_os()
        .skip(1)
        .filter(|argument| argument != "--detach");
    let mut child = tokio::process::Command::new(&own)
        .args(arguments)
        .arg("--detached")
        .env_remove("FAULTLINE_DETACH")
        .stdin(Stdio::from(theirs))
        .spawn()
        .map_err(Error::at("run", &own))?;
    let mut word = [0];
    tokio::select! {
        heard = ours.read(&mut word) => if matches!(heard, Ok(1)) {
            say("It goes on running: ./deploy.sh --local --status shows it, ./deploy.sh --local --delete ends it");
            return Ok(ExitCode::from(word[0]));
        },
        () = interrupted => {
            let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
            if let Some(pid) = pid {
                tell(pid, Signal::TERM);
            }
        }
    }
    // It has said why.
    let _ = child.wait().await;
    Ok(ExitCode::FAILURE)
}

/// In the run that is left alone: lets go of the terminal and of whoever waits.
///
/// # Errors
/// When /dev/null cannot be opened.
pub fn let_go(word: Word) -> Result<(), Error> {
    let null = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/null");
    let null = null.map_err(Error::io("open /dev/null"))?;
    // Whoever waited may have gone; that changes nothing.
    let _ = rustix::io::write(std::io::stdin().as_fd(), &[word as u8]);
    let quiet = || {
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        rustix::stdio::dup2_stderr(&null)
    };
    quiet().map_err(|error| Error::io("let go of the terminal")(error.into()))
}

/// Shows what runs; success when there is something and all of it is ready.
///
/// # Errors
/// When the runs cannot be read.
pub async fn status(state: &State) -> Result<ExitCode, Error> {
    let runs = state.runs()?;
    if runs.is_empty() {
        say("no local Faultline runs: ./deploy.sh --local starts one");
        if let Some(words) = state.last_words() {
            say(&format!("the last one ended: {words}"));
        }
        return Ok(ExitCode::FAILURE);
    }
    let mut all = true;
    for run in &runs {
        all &= show(run).await?;
    }
    Ok(if all {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn show(run: &RunFile) -> Result<bool, Error> {
    let client = ready::client()?;
    let colour = Colour::of(&std::io::stdout());
    let mut all = run.ready;
    say(&format!(
        "{}  process {}",
        colour.paint(Paint::Bold, &run.gateway_url),
        run.pid
    ));
    let mut line = |name: &str, ready: bool, detail: &str| {
        all &= ready;
        let (paint, word) = if ready {
            (Paint::Green, "ready")
        } else {
            (Paint::Red, "not ready")
        };
        say(&format!(
            "  {name:12}  {}  {detail}",
            colour.paint(paint, &format!("{word:9}"))
        ));
    };
    let gateway = ready::answers(&client, &format!("{}/status", run.gateway_url)).await;
    line("gateway", gateway, &run.gateway_url);
    let envoy = ready::answers(&client, &format!("{}/ready", run.admin_url)).await;
    line("envoy", envoy, &run.admin_url);
    for instance in &run.instances {
        let ready = ready::answers(&client, &format!("{}/readyz", instance.app_url)).await;
        line(&instance.name, ready, &lives(instance));
    }
    say(&format!("  {}", run.path.display()));
    Ok(all)
}

fn lives(instance: &Running) -> String {
    let process = instance
        .pid
        .map_or("no process".to_owned(), |pid| format!("process {pid}"));
    match instance.restarts {
        0 => process,
        1 => format!("{process}, started again once"),
        more => format!("{process}, started again {more} times"),
    }
}

/// Ends what runs, in order, and removes what is left of runs that were killed.
///
/// # Errors
/// When one does not end, or something cannot be removed.
pub async fn delete(state: &State) -> Result<ExitCode, Error> {
    let runs = state.runs()?;
    for run in &runs {
        if let Some(pid) = Pid::from_raw(run.pid) {
            tell(pid, Signal::TERM);
        }
    }
    for run in &runs {
        let began = Instant::now();
        while state.is_alive(run) {
            if began.elapsed() > ENDING {
                return Err(Error::StillThere(run.pid, ENDING.as_secs()));
            }
            tokio::time::sleep(INTERVAL).await;
        }
        say(&format!(
            "ended the run at {} (process {})",
            run.gateway_url, run.pid
        ));
    }
    if runs.is_empty() {
        say("no local Faultline runs");
    }
    state.clear()?;
    Ok(ExitCode::SUCCESS)
}
