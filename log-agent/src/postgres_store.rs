//! Entries in a PostgreSQL database, which several log agents share.
//!
//! Positions are given under a lock that is held until the commit, so they become visible in their
//! order: whoever has read up to one has missed nothing before it.

mod append;
mod database;
mod failure;
mod place;
mod retention;
mod rows;
mod schema;
mod search;
mod source;
mod writer;

use std::sync::Arc;

use faultline_service::api::{Page, Receipt};
use faultline_service::cursor::Cursor;
use faultline_service::entry::Entry;
use faultline_service::group_commit::STORE;
use faultline_service::health::Health;
use faultline_service::query::LogQuery;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use self::append::Append;
use self::database::{DATABASE, Database, Keeper, Session};
use self::retention::Retention;
use self::search::search;
pub use self::source::{Source, SourceError};
use self::writer::Writer;
use crate::place::Place;
use crate::retain::Retain;
use crate::search::Wanted;
use crate::store::{Following, Position, Store, StoreError};

/// How many requests may wait to be written; one more waits to wait.
const QUEUE: usize = 256;

/// The name under which [`Health`] knows the task of retention.
const RETENTION: &str = "retention";

/// A database that one task of each replica writes and several connections read.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    appends: mpsc::Sender<Append>,
    database: Database,
    end: Arc<watch::Sender<Position>>,
}

impl PostgresStore {
    /// Starts the tasks that keep a session with the database, write to it, and remove entries beyond
    /// `retain`. A database that is not there, or not as it must be, is an error of `health` until it
    /// is; one that can only be read leaves the process ready.
    pub async fn open(source: Source, retain: Retain, health: &Health) -> Self {
        let end = Arc::new(watch::Sender::new(Position::START));
        let (mut keeper, database) = Keeper::new(source, end.clone(), health.clone());
        let listener = keeper.begin().await;
        let (appends, queue) = mpsc::channel(QUEUE);
        let written = Arc::new(Notify::new());
        let retention = Retention::new(database.clone(), retain, written.clone());
        let writer = Writer::new(
            database.clone(),
            end.clone(),
            written,
            retain,
            health.clone(),
        );
        health.serves_without(STORE);
        health.depends_on(STORE, &tokio::spawn(writer.run(queue)));
        health.depends_on(DATABASE, &tokio::spawn(keeper.run(listener)));
        health.depends_on(RETENTION, &tokio::spawn(retention.run()));
        Self {
            appends,
            database,
            end,
        }
    }
}

impl PostgresStore {
    fn session(&self) -> Result<Session, StoreError> {
        self.database.session().map_err(StoreError::Away)
    }
}

impl Store for PostgresStore {
    async fn append(&self, entries: Vec<Entry>) -> Result<Vec<Receipt>, StoreError> {
        self.session()?;
        let (reply, receipts) = oneshot::channel();
        let append = Append { entries, reply };
        let stopped = || StoreError::Unwritable("the writer has stopped".to_owned());
        self.appends.send(append).await.map_err(|_| stopped())?;
        receipts.await.map_err(|_| stopped())?
    }

    async fn page(&self, query: LogQuery) -> Result<Page, StoreError> {
        let before = match &query.after {
            Some(cursor) => self.position(cursor).await?,
            None => Position::END,
        };
        let session = self.session()?;
        let reading = match &query.contains {
            None => rows::before(&session.readers, before, &query).await?,
            Some(text) => {
                let (level, limit) = (query.level, query.limit);
                let wanted = Wanted { text, level, limit };
                search(&session.searchers, before, wanted).await?
            }
        };
        Ok(Page {
            entries: reading.rows.into_iter().map(|(_, entry)| entry).collect(),
            next: reading.next.map(Cursor::from),
        })
    }

    async fn position(&self, cursor: &Cursor) -> Result<Position, StoreError> {
        let unknown = || StoreError::Unknown(cursor.clone());
        let readers = self.session()?.readers;
        match Place::of(cursor).ok_or_else(unknown)? {
            Place::Entry(id) => rows::position(&readers, id).await?.ok_or_else(unknown),
            Place::At(position) if position <= *self.end.borrow() => Ok(position),
            // Another replica may have told of it before this one heard.
            Place::At(position) if position <= rows::last(&readers).await? => Ok(position),
            // A place beyond the last entry is of another store.
            Place::At(_) => Err(unknown()),
        }
    }

    async fn following(&self, position: Position) -> Result<Following, StoreError> {
        rows::after(&self.session()?.readers, position).await
    }

    fn end(&self) -> watch::Receiver<Position> {
        self.end.subscribe()
    }
}
