//! Why a database does not do what it is asked, each in one sentence that says what to do.

use std::time::Duration;

use sqlx::postgres::{PgDatabaseError, PgSeverity};

use super::source::{Server, SourceError};
use crate::store::StoreError;

/// Why there is no session with a database.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody says where it is.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Its schema has this version, which this program does not know.
    #[error("newer schema, version {0}")]
    Newer(i64),
    /// Its schema is none of this program's.
    #[error("{0}")]
    Foreign(String),
    /// It said no, or could not be asked.
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    /// It said nothing for so long.
    #[error("no answer within {0:?}")]
    Silent(Duration),
}

impl Failure {
    /// The schema is not there.
    pub(super) fn is_of_a_missing_schema(&self) -> bool {
        const MISSING: [&str; 2] = ["42P01", "3F000"];
        let Self::Sql(sqlx::Error::Database(error)) = self else {
            return false;
        };
        MISSING.contains(&error.code().as_deref().unwrap_or_default())
    }

    /// The sentence for the log and `/readyz`. It holds no password: neither does what the server says.
    pub(super) fn sentence(&self, server: &Server) -> String {
        match self {
            Self::Source(error) => error.to_string(),
            Self::Newer(version) => format!(
                "the schema in {server} has version {version}, of a newer log agent: run that one, or another database"
            ),
            Self::Foreign(reason) => {
                format!("the schema log_agent in {server} is none of a log agent's: {reason}")
            }
            Self::Silent(time) => format!("{server} does not answer within {time:?}"),
            Self::Sql(sqlx::Error::Database(error)) => {
                let advice = match error.code().as_deref().unwrap_or_default() {
                    "28P01" | "28000" => "; check user and password of the store's URL",
                    "3D000" => "; create it, or name another in the store's URL",
                    "42501" => {
                        "; the user needs a schema log_agent of its own, or the right to create it"
                    }
                    "53300" => "; each log agent takes up to 9 connections",
                    _ => "",
                };
                format!("{server} refuses: {}{advice}", error.message())
            }
            Self::Sql(sqlx::Error::Io(error)) => format!("cannot reach {server}: {error}"),
            Self::Sql(sqlx::Error::PoolTimedOut) => format!("{server} does not answer in time"),
            Self::Sql(error) => format!("cannot use {server}: {error}"),
        }
    }
}

/// The outcome of a statement that was to write and did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unwritten {
    /// Nobody could be asked.
    Away(String),
    /// No room is left; it wrote nothing.
    Full,
    /// The server refused it; it wrote nothing. The server may be asked for something else.
    Refused(String),
    /// The server gave it up, as it took too long or others did; it wrote nothing.
    Slow(String),
    /// It met another transaction in a circle; it wrote nothing, and may be sent again.
    Deadlock,
    /// The server can only be read; it wrote nothing.
    ReadOnly,
    /// Whether it wrote is not known.
    Lost(String),
}

impl From<sqlx::Error> for Unwritten {
    fn from(error: sqlx::Error) -> Self {
        const FULL: &str = "53100";
        const DEADLOCK: &str = "40P01";
        const READ_ONLY: &str = "25006";
        /// Of a statement, and of a lock.
        const TIMEOUTS: [&str; 2] = ["57014", "55P03"];
        let told = match &error {
            sqlx::Error::Database(told) => told.try_downcast_ref::<PgDatabaseError>(),
            _ => None,
        };
        match told {
            // A server that ends a connection may do so after the commit.
            Some(told) if told.severity() != PgSeverity::Error => Self::Lost(error.to_string()),
            Some(told) if told.code() == FULL => Self::Full,
            Some(told) if told.code() == DEADLOCK => Self::Deadlock,
            Some(told) if told.code() == READ_ONLY => Self::ReadOnly,
            Some(told) if TIMEOUTS.contains(&told.code()) => Self::Slow(error.to_string()),
            Some(_) => Self::Refused(error.to_string()),
            None => Self::Lost(error.to_string()),
        }
    }
}

impl Unwritten {
    /// The connection is good for more.
    pub(super) const fn leaves_the_connection(&self) -> bool {
        matches!(
            self,
            Self::Full | Self::Slow(_) | Self::Deadlock | Self::Refused(_)
        )
    }

    /// The sentence for `/readyz`.
    pub(super) fn reason(&self) -> &str {
        match self {
            Self::Full => "no space left",
            Self::Away(reason)
            | Self::Refused(reason)
            | Self::Slow(reason)
            | Self::Lost(reason) => reason,
            Self::Deadlock => "deadlock",
            Self::ReadOnly => READ_ONLY,
        }
    }
}

const READ_ONLY: &str = "the server can only be read, as a standby can";

pub(super) fn unreadable(error: sqlx::Error) -> StoreError {
    StoreError::Unreadable(error.to_string())
}
