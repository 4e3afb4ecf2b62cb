//! The outbox: entries on disk between their acceptance and the log agent's confirmation.

mod jobs;
mod pending;
mod room;
mod waiters;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faultline_service::context::RequestContext;
use faultline_service::entry::Entry;
use faultline_service::group_commit::{self, STORE};
use faultline_service::health::Health;
use faultline_service::sqlite::{self, WriteError};
use sqlx::sqlite::SqlitePool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

use self::jobs::{Accept, Job};
pub use self::pending::{Batch, Row};
use self::room::Room;
pub use self::room::{Full, Limits, Usage};
use self::waiters::Waiters;
pub use self::waiters::{Delivery, Fate};

/// Version 1 and what came after; none may ever change, only be added to.
const SCHEMA: [&str; 1] = ["
    CREATE TABLE outbox (
        position INTEGER PRIMARY KEY,   -- the order of delivery
        id       BLOB NOT NULL UNIQUE,
        entry    TEXT NOT NULL,         -- JSON, as it is sent
        trace    TEXT NOT NULL,         -- JSON, the headers that go with it
        refused  TEXT                   -- why the log agent will not have it; NULL while it may
    ) STRICT;
    CREATE INDEX outbox_pending ON outbox (position) WHERE refused IS NULL;
"];

/// How many jobs may wait to be written; one more is refused.
const QUEUE: usize = 1024;

/// What is kept back on the disk so that deliveries can be forgotten when it is full: a WAL and
/// the transactions on either side of its going into the file, and as much again.
const RESERVE_BYTES: usize = 8 * 1024 * 1024;

/// The outbox of this process; clones share it.
#[derive(Clone, Debug)]
pub struct Outbox {
    jobs: mpsc::Sender<Job>,
    readers: SqlitePool,
    shared: Arc<Shared>,
}

/// What the writer, the courier and waiting callers share.
#[derive(Debug)]
struct Shared {
    room: Room,
    waiters: Waiters,
    /// Rung when there is something to deliver.
    work: Notify,
}

/// Why an entry was not accepted. Nothing of it is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The outbox holds as much as it may.
    #[error(transparent)]
    Full(#[from] Full),
    /// More is waiting to be written than the disk keeps up with.
    #[error("too many entries are waiting to be written")]
    Busy,
    /// The disk would not have it.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// An entry on its way to the disk. Dropping this changes nothing about that.
#[derive(Debug)]
pub struct Ticket {
    accepted: oneshot::Receiver<Result<(), WriteError>>,
    delivery: Delivery,
}

impl Ticket {
    /// Waits until the entry is on disk and so accepted, or is not and will not be.
    ///
    /// # Errors
    /// Why it is not.
    pub async fn accepted(self) -> Result<Delivery, Refusal> {
        self.accepted.await.unwrap_or_else(|_| Err(stopped()))?;
        Ok(self.delivery)
    }
}

fn stopped() -> WriteError {
    WriteError::Unwritable("the writer has stopped".to_owned())
}

impl Outbox {
    /// Opens or makes the outbox in `directory` and starts the task that writes it; `health`
    /// depends on that. Entries that the log agent refused are offered to it again: it may have
    /// been mended since.
    ///
    /// # Errors
    /// See [`crate::ServeError`].
    pub async fn open(
        directory: &Path,
        limits: Limits,
        health: &Health,
    ) -> Result<Self, crate::ServeError> {
        let sqlite::Database {
            mut writer,
            readers,
        } = sqlite::open(directory, "outbox.db", &SCHEMA).await?;
        writer.keep_reserve(directory, RESERVE_BYTES);
        let connection = writer.begin().await?;
        sqlx::query("UPDATE outbox SET refused = NULL WHERE refused IS NOT NULL")
            .execute(connection)
            .await?;
        writer.commit().await?;
        let usage = pending::usage(&readers).await?;
        let shared = Arc::new(Shared {
            room: Room::new(limits, usage),
            waiters: Waiters::default(),
            work: Notify::new(),
        });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let task = tokio::spawn(group_commit::run(writer, queue, health.clone()));
        health.depends_on(STORE, &task);
        Ok(Self {
            jobs,
            readers,
            shared,
        })
    }

    /// Hands an entry to the writer. There is no waiting in here: a caller who goes away finds the
    /// entry either not yet offered or on its way to the disk.
    ///
    /// # Errors
    /// Why it was not taken.
    pub fn offer(&self, entry: &Entry, context: &RequestContext) -> Result<Ticket, Refusal> {
        let row = Row::new(entry, &context.trace)?;
        let reservation = self.shared.room.reserve(row.bytes())?;
        let delivery = self.shared.waiters.wait_for(row.id);
        let (reply, accepted) = oneshot::channel();
        let accept = Accept {
            row,
            request_id: context.id.to_text(),
            attempt: context.attempt,
            reservation,
            reply,
            shared: self.shared.clone(),
        };
        self.jobs
            .try_send(Job::Accept(accept))
            .map_err(|error| match error {
                mpsc::error::TrySendError::Full(_) => Refusal::Busy,
                mpsc::error::TrySendError::Closed(_) => stopped().into(),
            })?;
        Ok(Ticket { accepted, delivery })
    }

    /// How much there is.
    pub fn usage(&self) -> Usage {
        self.shared.room.usage()
    }

    /// The oldest entries to deliver, as many as one delivery takes; empty when there are none.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub async fn next(&self) -> Result<Batch, sqlx::Error> {
        pending::next(&self.readers).await
    }

    /// Ends when there may be something to deliver.
    pub async fn work(&self) {
        self.shared.work.notified().await;
    }

    /// The log agent has these: forgets them, then tells who waits.
    ///
    /// # Errors
    /// When that cannot be written; they will be delivered again, which changes nothing.
    pub async fn confirmed(&self, batch: Batch) -> Result<(), WriteError> {
        self.settle(|shared, reply| Job::Confirmed {
            batch,
            reply,
            shared,
        })
        .await
    }

    /// The log agent will never have this one: keeps it aside, then tells who waits.
    ///
    /// # Errors
    /// When that cannot be written; it will be delivered, and refused, again.
    pub async fn refused(&self, row: Row, reason: String) -> Result<(), WriteError> {
        self.settle(|shared, reply| Job::Refused {
            row,
            reason,
            reply,
            shared,
        })
        .await
    }

    async fn settle(
        &self,
        job: impl FnOnce(Arc<Shared>, oneshot::Sender<Result<(), WriteError>>) -> Job,
    ) -> Result<(), WriteError> {
        let (reply, settled) = oneshot::channel();
        self.jobs
            .send(job(self.shared.clone(), reply))
            .await
            .map_err(|_| stopped())?;
        settled.await.map_err(|_| stopped())?
    }

    /// Waits until everything is delivered, at most until `deadline`; returns how many entries are
    /// not.
    pub async fn emptied(&self, deadline: Instant) -> u64 {
        let mut usage = self.shared.room.watch();
        // At the deadline, or with the sender gone, what counts is what is there.
        let _ = timeout_at(deadline, usage.wait_for(|usage| usage.pending == 0)).await;
        self.usage().pending
    }
}

/// When a caller who was refused should come again.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
