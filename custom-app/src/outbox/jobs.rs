//! What the writer does: take entries in, and write down what became of them.

mod accept;
mod settle;

use faultline_service::group_commit;
use faultline_service::sqlite::WriteError;
use sqlx::sqlite::SqliteConnection;

pub(super) use self::accept::{Accept, Found};
pub(super) use self::settle::{Settle, Verdict};

/// One of the writer's jobs.
#[derive(Debug)]
pub(super) enum Job {
    Accept(Accept),
    Settle(Settle),
}

impl group_commit::Job for Job {
    /// What an entry to accept found under its id; nothing for a settlement.
    type Output = Found;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Found, sqlx::Error> {
        match self {
            Self::Accept(accept) => accept.apply(connection).await,
            Self::Settle(settle) => {
                settle.apply(connection).await?;
                Ok(Found::Nothing)
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Accept(accept) => accept.bytes(),
            Self::Settle(settle) => settle.bytes(),
        }
    }

    fn makes_room(&self) -> bool {
        matches!(self, Self::Settle(settle) if settle.makes_room())
    }

    fn finish(self, outcome: Result<Found, WriteError>) {
        match self {
            Self::Accept(accept) => accept.finish(outcome),
            Self::Settle(settle) => settle.finish(outcome.map(drop)),
        }
    }
}
