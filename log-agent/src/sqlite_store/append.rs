//! Writing: what one request sent, stored whole or not at all.

use std::sync::Arc;

use faultline_service::api::{Outcome, Receipt};
use faultline_service::entry::Entry;
use faultline_service::group_commit::Job;
use faultline_service::sqlite::WriteError;
use metrics::counter;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{oneshot, watch};

use crate::store::Position;

/// The entries of one request, who waits for them, and whom to tell that there is more to read.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) entries: Vec<Entry>,
    pub(super) reply: oneshot::Sender<Result<Vec<Receipt>, WriteError>>,
    pub(super) end: Arc<watch::Sender<Position>>,
}

/// What became of each entry, and where the last new one stands.
pub(super) struct Appended {
    receipts: Vec<Receipt>,
    last: Option<Position>,
}

impl Job for Append {
    type Output = Appended;

    async fn apply(&self, connection: &mut SqliteConnection) -> Result<Appended, sqlx::Error> {
        let mut appended = Appended {
            receipts: Vec::with_capacity(self.entries.len()),
            last: None,
        };
        for entry in &self.entries {
            let done = sqlx::query(
                "INSERT INTO entries (id, time, level, message, source) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(entry.id)
            .bind(entry.time.to_string())
            .bind(entry.level.as_str())
            .bind(entry.message.as_str())
            .bind(entry.source.as_str())
            .execute(&mut *connection)
            .await?;
            let outcome = if done.rows_affected() == 0 {
                Outcome::Duplicate
            } else {
                appended.last = Some(Position(done.last_insert_rowid()));
                Outcome::Stored
            };
            appended.receipts.push(Receipt {
                id: entry.id,
                outcome,
            });
        }
        Ok(appended)
    }

    fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| entry.message.as_str().len())
            .sum()
    }

    fn finish(self, outcome: Result<Appended, WriteError>) {
        let outcome = outcome.map(|appended| {
            record(&appended.receipts);
            if let Some(last) = appended.last {
                self.end.send_if_modified(|end| {
                    let moved = last > *end;
                    *end = last.max(*end);
                    moved
                });
            }
            appended.receipts
        });
        // The caller may be gone; the entries are not.
        let _ = self.reply.send(outcome);
    }
}

fn record(receipts: &[Receipt]) {
    let stored = receipts
        .iter()
        .filter(|receipt| receipt.outcome == Outcome::Stored)
        .count();
    let duplicates = receipts.len() - stored;
    counter!("log_agent_entries_total", "outcome" => "stored").increment(stored as u64);
    counter!("log_agent_entries_total", "outcome" => "duplicate").increment(duplicates as u64);
    let first = receipts.first().map(|receipt| receipt.id.to_string());
    tracing::info!(stored, duplicates, first, "entries stored");
}
