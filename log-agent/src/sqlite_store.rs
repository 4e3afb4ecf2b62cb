//! Entries in a SQLite file.

mod append;
mod rows;

use std::path::Path;
use std::sync::Arc;

use faultline_service::api::{Page, Receipt};
use faultline_service::entry::Entry;
use faultline_service::group_commit::{self, STORE};
use faultline_service::health::Health;
use faultline_service::query::{Limit, LogQuery};
use faultline_service::sqlite::{self, WriteError};
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use self::append::Append;
use crate::store::{Position, Store, StoreError};

/// Version 1 and what came after; none may ever change, only be added to.
const SCHEMA: [&str; 1] = ["
    CREATE TABLE entries (
        position INTEGER PRIMARY KEY,   -- the order in which entries were stored
        id       BLOB NOT NULL UNIQUE,
        time     TEXT NOT NULL,
        level    TEXT NOT NULL,
        message  TEXT NOT NULL,
        source   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_level ON entries (level, position);
"];

/// How many requests may wait to be written; one more waits to wait.
const QUEUE: usize = 256;

/// How many entries a follower reads at once.
const READING: u16 = 100;

/// A SQLite file that one task writes and several connections read.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    appends: mpsc::Sender<Append>,
    readers: SqlitePool,
    end: Arc<watch::Sender<Position>>,
}

impl SqliteStore {
    /// Opens or makes the file in `directory`, of at most `max_bytes`, and starts the task that
    /// writes it; `health` depends on that.
    ///
    /// # Errors
    /// See [`crate::ServeError`].
    pub async fn open(
        directory: &Path,
        max_bytes: Option<u64>,
        health: &Health,
    ) -> Result<Self, crate::ServeError> {
        let sqlite::Database {
            mut writer,
            readers,
        } = sqlite::open(directory, "entries.db", &SCHEMA).await?;
        if let Some(bytes) = max_bytes {
            writer.limit(bytes).await?;
        }
        let last: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM entries")
            .fetch_one(&readers)
            .await?;
        let end = Arc::new(watch::Sender::new(last.map_or(Position::START, Position)));
        let (appends, queue) = mpsc::channel(QUEUE);
        let task = tokio::spawn(group_commit::run(writer, queue, health.clone()));
        health.depends_on(STORE, &task);
        Ok(Self {
            appends,
            readers,
            end,
        })
    }
}

impl Store for SqliteStore {
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, StoreError> {
        let (reply, receipts) = oneshot::channel();
        let append = Append {
            entries,
            reply,
            end: self.end.clone(),
        };
        let stopped = || WriteError::Unwritable("the writer has stopped".to_owned());
        self.appends.send(append).await.map_err(|_| stopped())?;
        Ok(receipts.await.map_err(|_| stopped())??)
    }

    async fn newest(&self) -> Result<Option<Entry>, StoreError> {
        let query = LogQuery {
            limit: Limit::ONE,
            ..LogQuery::default()
        };
        let page = self.page(query).await?;
        Ok(page.entries.into_iter().next())
    }

    async fn page(&self, query: LogQuery) -> Result<Page, StoreError> {
        let position = match query.after {
            Some(id) => Some(self.position(id).await?),
            None => None,
        };
        let reading = rows::before(&self.readers, position, &query).await?;
        let entries: Vec<Entry> = reading.rows.into_iter().map(|(_, entry)| entry).collect();
        let next = entries
            .last()
            .filter(|_| reading.more)
            .map(|entry| entry.id);
        Ok(Page { entries, next })
    }

    async fn position(&self, id: Uuid) -> Result<Position, StoreError> {
        let position: Option<i64> = sqlx::query_scalar("SELECT position FROM entries WHERE id = ?")
            .bind(id)
            .fetch_optional(&self.readers)
            .await
            .map_err(rows::unreadable)?;
        position.map(Position).ok_or(StoreError::Unknown(id))
    }

    async fn following(&self, position: Position) -> Result<Vec<(Position, Entry)>, StoreError> {
        Ok(rows::after(&self.readers, position, READING).await?.rows)
    }

    fn end(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }
}
