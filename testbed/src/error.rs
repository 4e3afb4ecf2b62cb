//! What can go wrong around a test, apart from what it tests.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why the testbed could not do its part.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file, process or socket could not be used.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed ({status}):\n{output}")]
    Program {
        /// The program, with its arguments.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// What it wrote, last lines.
        output: String,
    },
    /// `$ENVOY` does not name a file.
    #[error("$ENVOY is {0}, which is not a file")]
    NoEnvoy(PathBuf),
    /// `$FAULTLINE_ENVOY_VERSION` is not a version number.
    #[error("$FAULTLINE_ENVOY_VERSION is {0:?}; expected a version such as 1.39.3")]
    NoVersion(String),
    /// A condition did not come true.
    #[error("waited {waited:?} for {what}")]
    Deadline {
        /// The condition.
        what: String,
        /// How long.
        waited: Duration,
    },
    /// Envoy's administration interface gave no answer that could be used.
    #[error("Envoy's {path}: {problem}")]
    Admin {
        /// The path asked for.
        path: String,
        /// What was wrong with the answer.
        problem: String,
    },
    /// There is no Prometheus here.
    #[error("no prometheus and promtool on the PATH, and Debian's package cannot be fetched: {0}")]
    NoPrometheus(String),
    /// Prometheus gave no answer that could be used.
    #[error("Prometheus, asked for {of}: {problem}")]
    Prometheus {
        /// The expression.
        of: String,
        /// What was wrong with the answer.
        problem: String,
    },
}

impl Error {
    /// For `map_err`: an I/O error while doing `what`.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            what: what.into(),
            source,
        }
    }
}
