//! The processes of a run: started, started again, told to end.

use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use tokio::process::ChildStdout;
use tokio::task::JoinSet;

use crate::Error;
use crate::child::{Recipe, tell};

/// A part that is started again more often than this within [`WINDOW`] is beyond help.
const RESTARTS: usize = 5;
const WINDOW: Duration = Duration::from_mins(1);

/// What is done when a part ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnExit {
    /// It is started again, if it was ready once: what Kubernetes does.
    Restart,
    /// Everything ends.
    End,
}

/// A part of the run.
#[derive(Debug)]
struct Part {
    recipe: Recipe,
    on_exit: OnExit,
    pid: Option<Pid>,
    was_ready: bool,
    restarts: Vec<Instant>,
}

/// What became of a part that ended.
#[derive(Debug)]
pub enum Ended {
    /// It is running again, under another process id.
    Restarted {
        /// The part.
        name: &'static str,
        /// How it had ended.
        how: String,
    },
    /// The run cannot go on.
    Fatal(Error),
}

/// All parts.
#[derive(Debug, Default)]
pub struct Fleet {
    parts: Vec<Part>,
    exits: JoinSet<(&'static str, String)>,
}

impl Fleet {
    /// Starts a part; its standard output, if it is piped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&mut self, recipe: Recipe, on_exit: OnExit) -> Result<Option<ChildStdout>, Error> {
        let mut part = Part {
            recipe,
            on_exit,
            pid: None,
            was_ready: false,
            restarts: Vec::new(),
        };
        let output = launch(&mut part, &mut self.exits)?;
        self.parts.push(part);
        Ok(output)
    }

    /// The process of a part, while it runs.
    #[must_use]
    pub fn pid(&self, name: &str) -> Option<Pid> {
        self.part(name)?.pid
    }

    /// How often a part was started again.
    #[must_use]
    pub fn restarts(&self, name: &str) -> u32 {
        let restarts = self.part(name).map_or(0, |part| part.restarts.len());
        u32::try_from(restarts).unwrap_or(u32::MAX)
    }

    /// A part has become ready: from now on it may end once more.
    pub fn ready(&mut self, name: &str) {
        if let Some(part) = self.parts.iter_mut().find(|part| part.recipe.name == name) {
            part.was_ready = true;
        }
    }

    /// The end of what a part wrote.
    #[must_use]
    pub fn last_lines(&self, name: &str) -> String {
        self.part(name)
            .map(|part| part.recipe.last_lines())
            .unwrap_or_default()
    }

    fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.recipe.name == name)
    }

    /// Waits until a part ends by itself, and starts it again if that is its lot.
    pub async fn ended(&mut self) -> Ended {
        let (name, how) = exit(&mut self.exits).await;
        let Some(part) = self.parts.iter_mut().find(|part| part.recipe.name == name) else {
            // Every exit is of a part.
            return std::future::pending().await;
        };
        part.pid = None;
        let fatal = |when, part: &Part| {
            Ended::Fatal(Error::Ended {
                name,
                when,
                how: how.clone(),
                lines: part.recipe.last_lines(),
            })
        };
        if part.on_exit == OnExit::End {
            return fatal("by itself", part);
        }
        if !part.was_ready {
            return fatal("before it was ready", part);
        }
        let recent = part
            .restarts
            .iter()
            .filter(|restart| restart.elapsed() < WINDOW);
        if recent.count() >= RESTARTS {
            return fatal("again and again", part);
        }
        part.restarts.push(Instant::now());
        part.was_ready = false;
        match launch(part, &mut self.exits) {
            Ok(_) => Ended::Restarted { name, how },
            Err(error) => Ended::Fatal(error),
        }
    }

    /// Asks parts to end and waits; those that do not within `grace` are killed. Returns the names
    /// of these.
    pub async fn stop(&mut self, names: &[&'static str], grace: Duration) -> Vec<&'static str> {
        self.tell(names, Signal::TERM);
        if tokio::time::timeout(grace, self.gone(names)).await.is_ok() {
            return Vec::new();
        }
        let stubborn: Vec<_> = names
            .iter()
            .copied()
            .filter(|name| self.pid(name).is_some())
            .collect();
        self.tell(&stubborn, Signal::KILL);
        self.gone(&stubborn).await;
        stubborn
    }

    /// Kills everything and waits until it is gone.
    pub async fn kill(&mut self) {
        let names: Vec<_> = self.parts.iter().map(|part| part.recipe.name).collect();
        self.tell(&names, Signal::KILL);
        self.gone(&names).await;
    }

    fn tell(&self, names: &[&str], signal: Signal) {
        for pid in names.iter().filter_map(|name| self.pid(name)) {
            tell(pid, signal);
        }
    }

    /// Waits until none of these runs.
    async fn gone(&mut self, names: &[&str]) {
        while names.iter().any(|name| self.pid(name).is_some()) {
            let (name, _) = exit(&mut self.exits).await;
            if let Some(part) = self.parts.iter_mut().find(|part| part.recipe.name == name) {
                part.pid = None;
            }
        }
    }
}

fn launch(
    part: &mut Part,
    exits: &mut JoinSet<(&'static str, String)>,
) -> Result<Option<ChildStdout>, Error> {
    let mut child = part.recipe.start()?;
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    part.pid = pid.and_then(Pid::from_raw);
    let output = child.stdout.take();
    let name = part.recipe.name;
    exits.spawn(async move {
        let how = match child.wait().await {
            Ok(status) => told(status),
            Err(error) => error.to_string(),
        };
        (name, how)
    });
    Ok(output)
}

/// The next exit; with nothing running there is none.
async fn exit(exits: &mut JoinSet<(&'static str, String)>) -> (&'static str, String) {
    match exits.join_next().await {
        Some(Ok(exit)) => exit,
        _ => std::future::pending().await,
    }
}

fn told(status: ExitStatus) -> String {
    status.to_string()
}
