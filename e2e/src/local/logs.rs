//! Logs, of applications and of the gateway, and the process that writes one.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};

use super::{Instance, Local};
use crate::exchange::{self, Ask};
use crate::parse::log::{self, Line};
use crate::part::App;

impl Local {
    /// As [`crate::environment::Mesh::log`]. All lives of an instance write into one file.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn log(&self, app: App, since: Instant) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for instance in self.run()?.instances.iter().filter(|one| one.is_of(app)) {
            lines.extend(newer(&instance.log, "timestamp", since)?);
        }
        Ok(lines)
    }

    /// As [`crate::environment::Mesh::gateway_log`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn gateway_log(&self, since: Instant) -> Result<Vec<Line>> {
        newer(&self.run()?.gateway.access_log, "time", since)
    }

    /// Kills (SIGKILL) the process of an instance; returns what was done.
    ///
    /// # Errors
    /// When it has none, or may not be killed.
    pub fn kill(&self, name: &str) -> Result<String> {
        let instance = self.instance(name)?;
        let pid = instance.pid.and_then(Pid::from_raw);
        let pid = pid.with_context(|| format!("{name} has no process"))?;
        kill_process(pid, Signal::KILL).with_context(|| format!("killing process {pid:?}"))?;
        Ok(format!("killed {}", pid.as_raw_nonzero()))
    }

    /// Fails unless an instance was started again more often than this, and is ready.
    ///
    /// # Errors
    /// What it is in.
    pub async fn is_back(&self, name: &str, restarts: u32) -> Result<()> {
        let instance = self.instance(name)?;
        if instance.restarts <= restarts {
            bail!("started again {} times", instance.restarts);
        }
        let ask = Ask::get(format!("{}/readyz", instance.app_url));
        let answer = exchange::exchange(&self.client, ask).await.answer()?;
        anyhow::ensure!(answer.status == 200, "{}", answer.summary());
        Ok(())
    }

    fn instance(&self, name: &str) -> Result<Instance> {
        let mut instances = self.run()?.instances.into_iter();
        let found = instances.find(|instance| instance.name == name);
        found.with_context(|| format!("no instance {name}"))
    }
}

/// The lines of a log since then: a little more, never less.
fn newer(path: &Path, field: &str, since: Instant) -> Result<Vec<Line>> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let ago = since.elapsed() + Duration::from_secs(1);
    let start = Timestamp::now()
        .checked_sub(ago)
        .context("the clock is off")?;
    let is_older = |line: &Line| {
        let time = line
            .text(field)
            .and_then(|time| time.parse::<Timestamp>().ok());
        time.is_some_and(|time| time < start)
    };
    let mut lines = log::lines(&text);
    lines.retain(|line| !is_older(line));
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_old_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.log");
        let now = Timestamp::now();
        let text = format!(
            "{{\"time\":\"2020-01-01T00:00:00Z\"}}\n{{\"time\":\"{now}\"}}\n{{\"untimed\":1}}\n"
        );
        fs::write(&path, text).unwrap();
        assert_eq!(newer(&path, "time", Instant::now()).unwrap().len(), 2);
        assert!(newer(&folder.path().join("none"), "time", Instant::now()).is_err());
    }
}
