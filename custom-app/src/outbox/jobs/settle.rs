//! Writing down what the log agent said of entries.

use std::sync::Arc;

use faultline_service::api::Acceptance;
use faultline_service::sqlite::WriteError;
use jiff::Timestamp;
use metrics::counter;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use crate::outbox::room::EntryState;
use crate::outbox::{Fate, Row, Shared, again};

/// What the log agent said, and who waits for its being on disk.
#[derive(Debug)]
pub(in crate::outbox) struct Settle {
    pub(in crate::outbox) verdict: Verdict,
    pub(in crate::outbox) reply: oneshot::Sender<Result<(), WriteError>>,
    pub(in crate::outbox) shared: Arc<Shared>,
}

/// What the log agent said.
#[derive(Debug)]
pub(in crate::outbox) enum Verdict {
    /// It has these, each with its first acceptance where that was another one.
    Delivered(Vec<(Row, Option<Acceptance>)>),
    /// It has another text under this one's id.
    Conflict(Row),
    /// It will not have this one now.
    Refused(Row, String),
}

impl Settle {
    pub(super) async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
        match &self.verdict {
            Verdict::Delivered(rows) => {
                for (row, _) in rows {
                    delete(row, &mut *connection).await?;
                }
            }
            Verdict::Conflict(row) => {
                // Whoever was told 201 or 202 may count on it; who is told 422 does not.
                if !self.shared.waiters.withhold(row.id) {
                    let keep = sqlx::query(
                        "INSERT INTO conflicts (id, format, entry, trace)
                         SELECT id, format, entry, trace FROM outbox WHERE id = ?",
                    );
                    keep.bind(row.id).execute(&mut *connection).await?;
                }
                delete(row, connection).await?;
            }
            Verdict::Refused(row, reason) => {
                let refusals = row.refusals.saturating_add(1);
                let update = sqlx::query(
                    "UPDATE outbox SET refused = ?, refusals = ?, due = ? WHERE id = ?",
                );
                let update = update
                    .bind(reason.as_str())
                    .bind(refusals)
                    .bind(again::due(Timestamp::now(), refusals))
                    .bind(row.id);
                update.execute(connection).await?;
            }
        }
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        match &self.verdict {
            // An index entry and a place in the list of free pages for each.
            Verdict::Delivered(rows) => rows.len() * 64,
            Verdict::Conflict(row) => row.len(),
            Verdict::Refused(_, reason) => reason.len(),
        }
    }

    pub(super) fn makes_room(&self) -> bool {
        matches!(self.verdict, Verdict::Delivered(_))
    }

    pub(super) fn finish(self, outcome: Result<(), WriteError>) {
        match &outcome {
            Ok(()) => self.shared.tell(self.verdict),
            Err(_) => {
                if let Verdict::Conflict(row) = &self.verdict {
                    self.shared.waiters.allow(row.id);
                }
            }
        }
        let _ = self.reply.send(outcome);
    }
}

async fn delete(row: &Row, connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let delete = sqlx::query("DELETE FROM outbox WHERE id = ?").bind(row.id);
    delete.execute(connection).await.map(drop)
}

impl Shared {
    /// Tells of what is on disk now: accounts, counts, logs, and callers.
    fn tell(&self, verdict: Verdict) {
        match verdict {
            Verdict::Delivered(rows) => {
                counter!("custom_app_entries_delivered_total").increment(rows.len() as u64);
                for (row, first) in rows {
                    self.room.release(row.state(), row.bytes());
                    self.waiters.left(row.id, &Fate::Delivered(first));
                }
            }
            Verdict::Conflict(row) => {
                let id = row.id;
                let outcome = if self.waiters.withhold(id) {
                    self.room.release(row.state(), row.bytes());
                    tracing::warn!(%id, "another text is stored under this id; nobody was told that this one is accepted");
                    "answered"
                } else {
                    self.room
                        .shift(row.state(), EntryState::Conflicting, row.bytes());
                    tracing::error!(%id, "another text is stored under this id; this one was accepted and is kept aside");
                    "kept"
                };
                counter!("custom_app_conflicts_total", "outcome" => outcome).increment(1);
                self.waiters.left(id, &Fate::Conflict);
            }
            Verdict::Refused(row, reason) => {
                let id = row.id;
                if row.refusals == 0 {
                    self.room
                        .shift(EntryState::Pending, EntryState::Refused, row.bytes());
                    counter!("custom_app_entries_refused_total").increment(1);
                    tracing::error!(%id, reason, "entry refused by the log agent; kept aside and offered again");
                } else {
                    tracing::debug!(%id, reason, refusals = row.refusals, "entry refused again");
                }
                self.waiters.refused(id);
            }
        }
    }
}
