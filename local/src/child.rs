//! Child processes that end with this one, however it ends.
//!
//! A child is started as this same program with the hidden command `exec`, which asks the system to
//! be killed together with its parent and then becomes the program that is meant.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use rustix::process::{Pid, getpid, getppid};

use crate::Error;

/// What `exec` is told.
#[derive(Args, Clone, Debug)]
pub struct Exec {
    /// Who must still be there.
    parent: i32,
    /// The program to become.
    program: PathBuf,
    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

impl Exec {
    /// Becomes the program; comes back only if that fails.
    #[must_use]
    pub fn run(&self) -> Error {
        #[cfg(target_os = "linux")]
        if let Err(error) =
            rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        {
            return Error::io("end with the parent")(error.into());
        }
        // The parent may have gone before the system was asked.
        if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(self.parent) {
            let gone = io::Error::other("the parent has gone");
            return Error::io(format!("run {}", self.program.display()))(gone);
        }
        let error = Command::new(&self.program).args(&self.arguments).exec();
        Error::at("run", &self.program)(error)
    }
}

/// Where a child's standard output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Into its log.
    Log,
    /// To this program.
    Piped,
}

/// How to start a part.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The part's name.
    pub name: &'static str,
    /// Its program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Where it writes; continued by its next life.
    pub log: PathBuf,
    /// Where its standard output goes.
    pub output: Output,
}

impl Recipe {
    /// Starts it. To be called on the main thread only: the system counts the thread as the parent.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self) -> Result<tokio::process::Child, Error> {
        let log = append(&self.log)?;
        let mut command = tied(&self.program)?;
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stderr(log.try_clone().map_err(Error::at("open", &self.log))?)
            .stdout(match self.output {
                Output::Log => log.into(),
                Output::Piped => Stdio::piped(),
            });
        tokio::process::Command::from(command)
            .spawn()
            .map_err(Error::at("run", &self.program))
    }

    /// The end of what it wrote.
    #[must_use]
    pub fn last_lines(&self) -> String {
        last_lines(&self.log)
    }
}

/// A command for a program that ends with this process. A group of its own keeps the terminal's
/// Ctrl-C from it: this program tells its children when to end.
///
/// # Errors
/// When this program does not know its own path.
pub fn tied(program: &Path) -> Result<Command, Error> {
    let own = std::env::current_exe().map_err(Error::io("find this program's own path"))?;
    let mut command = Command::new(own);
    command
        .arg("exec")
        .arg(getpid().as_raw_nonzero().to_string())
        .arg(program)
        .arg("--")
        .process_group(0);
    Ok(command)
}

/// Sends a signal; a process that has already gone is no error.
pub fn tell(pid: Pid, signal: rustix::process::Signal) {
    // Not there any more is what was wanted.
    let _ = rustix::process::kill_process(pid, signal);
}

fn append(log: &Path) -> Result<File, Error> {
    let file = OpenOptions::new().create(true).append(true).open(log);
    file.map_err(Error::at("open", log))
}

/// The last lines of a file, at most 15, each cut at 300 characters.
#[must_use]
pub fn last_lines(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let end = lines
        .get(lines.len().saturating_sub(15)..)
        .unwrap_or(&lines);
    let cut = |line: &&str| line.chars().take(300).collect::<String>();
    end.iter().map(cut).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_short() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("x.log");
        assert_eq!(last_lines(&log), "");
        let text: String = (0..40).map(|n| format!("{n}\n")).collect();
        std::fs::write(&log, text + &"x".repeat(1000)).unwrap();
        let end = last_lines(&log);
        assert_eq!(end.lines().count(), 15);
        assert!(end.starts_with("26\n") && end.ends_with(&"x".repeat(300)));
        assert!(!end.contains(&"x".repeat(301)));
    }
}
