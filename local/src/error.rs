//! What can go wrong, each as one sentence and what to do about it.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::mesh::Problem;

/// Why local mode could not start, or had to end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be used.
    #[error("cannot {what}: {}", reason(source))]
    Io {
        /// What was tried, with the path.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Too little room for the run.
    #[error(
        "{} has {free_mib} MiB free and {needed_mib} are needed: free some space, or choose another place with --state-dir",
        path.display()
    )]
    NoRoom {
        /// Where.
        path: PathBuf,
        /// What is there.
        free_mib: u64,
        /// What is needed.
        needed_mib: u64,
    },
    /// The folder for the keys is not this user's alone.
    #[error(
        "{} belongs to somebody else or is open to others: remove it, or choose another with --state-dir",
        .0.display()
    )]
    NotPrivate(PathBuf),
    /// Another run keeps its entries there.
    #[error("the data folder {} is in use by another run: end that one, or choose another with --data-dir", .0.display())]
    DataInUse(PathBuf),
    /// A path that would have to be written into a configuration.
    #[error("{} is not UTF-8; choose another place", .0.display())]
    NotUtf8(PathBuf),
    /// Something that the build makes is not there.
    #[error("{} is not there: ./deploy.sh --local builds it", .0.display())]
    NotBuilt(PathBuf),
    /// `istio/` says something that local mode does not have.
    #[error("{0}")]
    Mesh(#[from] Problem),
    /// A port that was asked for is taken.
    #[error("port {port} is taken by {holder}, or choose another with {flag}")]
    PortTaken {
        /// The port.
        port: u16,
        /// By whom, and what frees it.
        holder: String,
        /// The flag that asked for it.
        flag: &'static str,
    },
    /// No port is free where one was looked for.
    #[error("no port from {first} to {last} is free: name another with {flag}")]
    NoPort {
        /// Where the search began.
        first: u16,
        /// Where it ended.
        last: u16,
        /// The flag that moves it.
        flag: &'static str,
    },
    /// Envoy could not be had.
    #[error("{0}")]
    Envoy(#[from] crate::binary::NoEnvoy),
    /// A certificate could not be made.
    #[error("cannot make certificates: {0}")]
    Certificate(#[from] rcgen::Error),
    /// No HTTP client could be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// A part ended although it should not have.
    #[error("{name} ended {when} ({how}){}", last_lines(lines))]
    Ended {
        /// The part.
        name: &'static str,
        /// At which point.
        when: &'static str,
        /// Its exit code or signal.
        how: String,
        /// The last lines of its log.
        lines: String,
    },
    /// Something did not become ready.
    #[error("{name} was not ready within {seconds} s{}", last_lines(lines))]
    NotReady {
        /// The part.
        name: String,
        /// How long was waited.
        seconds: u64,
        /// The last lines of its log.
        lines: String,
    },
    /// Envoy refused the listeners.
    #[error("Envoy refused its listeners{}", last_lines(.0))]
    Listeners(String),
    /// There is a run already.
    #[error(
        "Faultline already runs here, at {url} (process {pid}): ./deploy.sh --local --delete ends it"
    )]
    Running {
        /// Its gateway.
        url: String,
        /// Its process.
        pid: i32,
    },
    /// A process did not go away.
    #[error("process {0} did not end within {1} s: kill -9 {0} ends it")]
    StillThere(i32, u64),
}

impl Error {
    /// For `map_err`: an I/O error while doing `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what: what.into(),
            source,
        }
    }

    /// The same with a path at its end.
    pub fn at(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        Self::io(format!("{what} {}", path.display()))
    }
}

fn reason(error: &io::Error) -> String {
    let advice = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full; free some space, or choose another place with --state-dir or --data-dir"
        }
        ErrorKind::PermissionDenied => "permission denied; choose another place",
        _ => return error.to_string(),
    };
    advice.to_owned()
}

fn last_lines(lines: &str) -> String {
    if lines.is_empty() {
        return "; it wrote nothing".to_owned();
    }
    let indented: String = lines.lines().map(|line| format!("\n  {line}")).collect();
    format!("; its last lines:{indented}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_says_what_to_do() {
        let full = io::Error::from(rustix::io::Errno::NOSPC);
        let told = Error::at("write", Path::new("/x/run.json"))(full).to_string();
        assert!(
            told.starts_with("cannot write /x/run.json: the disk is full; free"),
            "{told}"
        );
    }

    #[test]
    fn a_part_that_ended_is_quoted() {
        let ended = Error::Ended {
            name: "log-agent",
            when: "before it was ready",
            how: "exit status: 1".to_owned(),
            lines: "one\ntwo".to_owned(),
        };
        let expected =
            "log-agent ended before it was ready (exit status: 1); its last lines:\n  one\n  two";
        assert_eq!(ended.to_string(), expected);
    }
}
