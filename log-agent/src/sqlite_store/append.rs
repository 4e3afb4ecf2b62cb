//! Writing: what one request sent, stored whole or not at all.

use std::sync::Arc;

use faultline_service::api::{Acceptance, Receipt};
use faultline_service::entry::Entry;
use faultline_service::group_commit::Job;
use faultline_service::sqlite::WriteError;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::{oneshot, watch};

use crate::receipts;
use crate::store::{self, Position};

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
                receipts::stored(entry)
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
            receipts::record(&appended.receipts);
            if let Some(last) = appended.last {
                store::advance(&self.end, last);
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
    let first = first.map(|(time, source)| Acceptance { time, source });
    Ok(receipts::known(entry, same, first))
}
