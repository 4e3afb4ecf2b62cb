//! Writing: what one request sent, stored whole or not at all.

use std::sync::Arc;

use faultline_service::api::{Acceptance, Outcome, Receipt};
use faultline_service::entry::Entry;
use faultline_service::group_commit::Job;
use faultline_service::sqlite::WriteError;
use metrics::counter;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{oneshot, watch};

use crate::store::Position;

/// About the bytes that an entry writes beside its text: its row and its share of two indexes.
const BESIDE_TEXT: usize = 1024;

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
            let receipt = if done.rows_affected() == 0 {
                known(entry, connection).await?
            } else {
                appended.last = Some(Position(done.last_insert_rowid()));
                Receipt {
                    id: entry.id,
                    outcome: Outcome::Stored,
                    first: None,
                }
            };
            appended.receipts.push(receipt);
        }
        Ok(appended)
    }

    fn bytes(&self) -> usize {
        self.entries
            .iter()
            .map(|entry| entry.message.as_str().len() + BESIDE_TEXT)
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

/// The receipt for an entry whose id is stored already.
async fn known(entry: &Entry, connection: &mut SqliteConnection) -> Result<Receipt, sqlx::Error> {
    let (time, level, message, source): (String, String, String, String) =
        sqlx::query_as("SELECT time, level, message, source FROM entries WHERE id = ?")
            .bind(entry.id)
            .fetch_one(connection)
            .await?;
    let same = level == entry.level.as_str() && message == entry.message.as_str();
    let first = time.parse().ok().zip(source.parse().ok());
    Ok(Receipt {
        id: entry.id,
        outcome: if same {
            Outcome::Duplicate
        } else {
            Outcome::Conflict
        },
        first: first.map(|(time, source)| Acceptance { time, source }),
    })
}

fn record(receipts: &[Receipt]) {
    let count = |outcome| {
        let of = |receipt: &&Receipt| receipt.outcome == outcome;
        receipts.iter().filter(of).count()
    };
    let stored = count(Outcome::Stored);
    let duplicates = count(Outcome::Duplicate);
    let conflicts = count(Outcome::Conflict);
    for (outcome, count) in [
        ("stored", stored),
        ("duplicate", duplicates),
        ("conflict", conflicts),
    ] {
        counter!("log_agent_entries_total", "outcome" => outcome).increment(count as u64);
    }
    let first = receipts.first().map(|receipt| receipt.id.to_string());
    tracing::info!(stored, duplicates, conflicts, first, "entries stored");
}
