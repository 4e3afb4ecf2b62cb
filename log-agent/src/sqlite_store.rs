//! Entries in a SQLite file.

mod append;
mod retention;
mod rows;
mod search;

use std::path::Path;
use std::sync::Arc;

use faultline_service::api::{Page, Receipt};
use faultline_service::cursor::Cursor;
use faultline_service::entry::Entry;
use faultline_service::group_commit::{self, STORE};
use faultline_service::health::Health;
use faultline_service::query::LogQuery;
use faultline_service::sqlite::{self, WriteError};
use sqlx::sqlite::SqlitePool;
use tokio::sync::{mpsc, oneshot, watch};

use self::append::Append;
use self::retention::Retention;
use self::search::search;
use crate::place::Place;
use crate::retain::Retain;
use crate::search::{PATIENCE, SEARCHES, Wanted};
use crate::store::{self, Following, Position, Store, StoreError};

/// Version 1 and what came after; none may ever change, only be added to.
const SCHEMA: [&str; 2] = [
    "
    CREATE TABLE entries (
        position INTEGER PRIMARY KEY,   -- the order in which entries were stored
        id       BLOB NOT NULL UNIQUE,
        time     TEXT NOT NULL,
        level    TEXT NOT NULL,
        message  TEXT NOT NULL,
        source   TEXT NOT NULL
    ) STRICT;
    CREATE INDEX entries_by_level ON entries (level, position);
",
    "
    CREATE TABLE marks (                -- how far the store had come, and when
        number   INTEGER PRIMARY KEY,
        position INTEGER NOT NULL,
        time     INTEGER NOT NULL       -- in milliseconds since 1970
    ) STRICT;
",
];

/// The file's name.
const FILE: &str = "entries.db";

/// How many requests may wait to be written; one more waits to wait.
const QUEUE: usize = 256;

/// A SQLite file that one task writes and several connections read.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    appends: mpsc::Sender<Append>,
    readers: SqlitePool,
    searchers: SqlitePool,
    end: Arc<watch::Sender<Position>>,
}

impl SqliteStore {
    /// Opens or makes the file in `directory`, of at most `max_bytes`, and starts the task that
    /// writes it, and removes entries beyond `retain`; `health` depends on that task, but not on its success:
    /// a store that cannot be written can still be read.
    ///
    /// # Errors
    /// See [`crate::ServeError`].
    pub async fn open(
        directory: &Path,
        max_bytes: Option<u64>,
        retain: Retain,
        health: &Health,
    ) -> Result<Self, crate::ServeError> {
        let sqlite::Database {
            mut writer,
            readers,
        } = sqlite::open(directory, FILE, &SCHEMA).await?;
        if let Some(bytes) = max_bytes {
            writer.limit(bytes).await?;
        }
        let last: Option<i64> = sqlx::query_scalar("SELECT max(position) FROM entries")
            .fetch_one(&readers)
            .await?;
        let end = Arc::new(watch::Sender::new(last.map_or(Position::START, Position)));
        let (appends, queue) = mpsc::channel(QUEUE);
        let retention = Retention::new(retain, end.clone(), &mut writer).await?;
        let writing = group_commit::run_with(retention, writer, queue, health.clone());
        health.serves_without(STORE);
        health.depends_on(STORE, &tokio::spawn(writing));
        Ok(Self {
            appends,
            readers,
            searchers: sqlite::readers(directory, FILE, SEARCHES, PATIENCE),
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
        let stopped = || StoreError::Unwritable("the writer has stopped".to_owned());
        self.appends.send(append).await.map_err(|_| stopped())?;
        receipts
            .await
            .map_err(|_| stopped())?
            .map_err(|error| match error {
                WriteError::NoSpace => StoreError::Full,
                WriteError::Unwritable(reason) => StoreError::Unwritable(reason),
            })
    }

    async fn page(&self, query: LogQuery) -> Result<Page, StoreError> {
        let before = match &query.after {
            Some(cursor) => self.position(cursor).await?,
            None => Position::END,
        };
        let reading = match &query.contains {
            None => rows::before(&self.readers, before, &query).await?,
            Some(text) => {
                let (level, limit) = (query.level, query.limit);
                let wanted = Wanted { text, level, limit };
                search(&self.searchers, before, wanted).await?
            }
        };
        Ok(Page {
            entries: reading.rows.into_iter().map(|(_, entry)| entry).collect(),
            next: reading.next.map(Cursor::from),
        })
    }

    async fn position(&self, cursor: &Cursor) -> Result<Position, StoreError> {
        let position = match Place::of(cursor) {
            // A place beyond the last entry is of another store.
            Some(Place::At(position)) => Some(position).filter(|it| it <= &*self.end.borrow()),
            Some(Place::Entry(id)) => rows::position(&self.readers, id).await?,
            None => None,
        };
        position.ok_or_else(|| StoreError::Unknown(cursor.clone()))
    }

    async fn following(&self, position: Position) -> Result<Following, StoreError> {
        let reading = rows::after(&self.readers, position, store::FOLLOWED).await?;
        // Positions follow each other; where some are missing, their entries were removed.
        let first = reading.rows.first().map(|(first, _)| first.0);
        let removed = first.map_or(0, |first| first.saturating_sub(position.next().0));
        Ok(Following {
            removed: removed.unsigned_abs(),
            through: reading.rows.last().map_or(position, |(last, _)| *last),
            entries: reading.rows,
        })
    }

    fn end(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }
}
