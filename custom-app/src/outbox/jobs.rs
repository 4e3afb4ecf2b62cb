//! What the writer does: take entries in, forget delivered ones, set refused ones aside.

use std::sync::Arc;

use faultline_service::group_commit;
use faultline_service::sqlite::WriteError;
use metrics::counter;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use super::room::Reservation;
use super::{Batch, Fate, Row, Shared};

type Reply = oneshot::Sender<Result<(), WriteError>>;

/// One of the writer's jobs.
#[derive(Debug)]
pub(super) enum Job {
    Accept(Accept),
    Confirmed {
        batch: Batch,
        reply: Reply,
        shared: Arc<Shared>,
    },
    Refused {
        row: Row,
        reason: String,
        reply: Reply,
        shared: Arc<Shared>,
    },
}

/// An entry to take in, whether or not its caller still waits.
#[derive(Debug)]
pub(super) struct Accept {
    pub(super) row: Row,
    pub(super) request_id: String,
    pub(super) attempt: Option<u32>,
    pub(super) reservation: Reservation,
    pub(super) reply: Reply,
    pub(super) shared: Arc<Shared>,
}

impl group_commit::Job for Job {
    /// How many rows changed.
    type Output = u64;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<u64, sqlx::Error> {
        match self {
            Self::Accept(Accept { row, .. }) => {
                let insert = sqlx::query(
                    "INSERT INTO outbox (id, entry, trace) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING",
                );
                let insert = insert
                    .bind(row.id)
                    .bind(row.entry.as_str())
                    .bind(row.trace.as_str());
                Ok(insert.execute(connection).await?.rows_affected())
            }
            Self::Confirmed { batch, .. } => {
                let mut gone = 0;
                for row in batch.rows() {
                    let delete = sqlx::query("DELETE FROM outbox WHERE id = ?").bind(row.id);
                    gone += delete.execute(&mut *connection).await?.rows_affected();
                }
                Ok(gone)
            }
            Self::Refused { row, reason, .. } => {
                let update = sqlx::query("UPDATE outbox SET refused = ? WHERE id = ?");
                let update = update.bind(reason.as_str()).bind(row.id);
                Ok(update.execute(connection).await?.rows_affected())
            }
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Accept(Accept { row, .. }) => row.len(),
            // An index entry and a place in the list of free pages for each.
            Self::Confirmed { batch, .. } => batch.len() * 64,
            Self::Refused { reason, .. } => reason.len(),
        }
    }

    fn makes_room(&self) -> bool {
        matches!(self, Self::Confirmed { .. })
    }

    fn finish(self, outcome: Result<u64, WriteError>) {
        match self {
            Self::Accept(accept) => accept.finish(outcome),
            Self::Confirmed {
                batch,
                reply,
                shared,
            } => {
                if outcome.is_ok() {
                    for row in batch.rows() {
                        shared.room.release(row.bytes());
                        shared.waiters.tell(row.id, &Fate::Delivered);
                    }
                    counter!("custom_app_entries_delivered_total").increment(batch.len() as u64);
                }
                let _ = reply.send(outcome.map(drop));
            }
            Self::Refused {
                row,
                reason,
                reply,
                shared,
            } => {
                if outcome.is_ok() {
                    shared.room.refuse();
                    counter!("custom_app_entries_refused_total").increment(1);
                    tracing::error!(id = %row.id, reason, "entry refused by the log agent; kept aside");
                    shared.waiters.tell(row.id, &Fate::Refused(reason));
                }
                let _ = reply.send(outcome.map(drop));
            }
        }
    }
}

impl Accept {
    fn finish(self, outcome: Result<u64, WriteError>) {
        if let Ok(inserted) = outcome {
            // A retry of what is already here takes no room of its own.
            if inserted > 0 {
                self.reservation.keep();
            }
            counter!("custom_app_entries_accepted_total").increment(inserted);
            tracing::info!(
                id = %self.row.id,
                request_id = self.request_id,
                attempt = self.attempt,
                "entry accepted"
            );
            self.shared.work.notify_one();
        }
        // The caller may be gone; the entry is not.
        let _ = self.reply.send(outcome.map(drop));
    }
}
