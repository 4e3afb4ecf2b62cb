//! The outbox: entries on disk between their acceptance and the log agent's confirmation.

mod again;
mod jobs;
mod pending;
mod room;
mod schema;
mod waiters;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use faultline_service::api::Acceptance;
use faultline_service::context::RequestContext;
use faultline_service::entry::Entry;
use faultline_service::group_commit::{self, STORE};
use faultline_service::health::Health;
use faultline_service::sqlite::{self, WriteError};
use jiff::Timestamp;
use sqlx::sqlite::SqlitePool;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep, timeout_at};

use self::jobs::{Accept, Job, Settle, Verdict};
pub use self::pending::{Batch, Row};
use self::room::Room;
pub use self::room::{Amount, EntryState, Full, Limits, Usage};
use self::schema::SCHEMA;
use self::waiters::Waiters;
pub use self::waiters::{Delivery, Fate};

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

/// How an entry that was offered stands.
#[derive(Debug)]
pub enum Standing {
    /// It is on disk and so accepted, now or before, and waits for its delivery.
    Waiting {
        /// As the outbox has it: of the first try.
        acceptance: Acceptance,
        /// Who asks.
        asker: Asker,
        /// What to wait for.
        delivery: Delivery,
    },
    /// It was accepted before and the log agent refused it; it is kept and offered again.
    Refused,
    /// Its id stands for another text, here or at the log agent. It is not accepted.
    Conflicting,
    /// A newer version of this program wrote what is here under its id. It is not accepted.
    Unreadable,
}

/// Who offers an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The request that brought it, or another try of a proxy's.
    SameRequest,
    /// Another request: a client's retry.
    AnotherRequest,
}

/// An entry on its way to the disk. Dropping this changes nothing about that.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Result<Standing, WriteError>>);

impl Ticket {
    /// Waits until the entry is on disk and so accepted, or is not and will not be.
    ///
    /// # Errors
    /// Why it could not be written.
    pub async fn standing(self) -> Result<Standing, Refusal> {
        Ok(self.0.await.unwrap_or_else(|_| Err(stopped()))?)
    }
}

fn stopped() -> WriteError {
    WriteError::Unwritable("the writer has stopped".to_owned())
}

impl Outbox {
    /// Opens or makes the outbox in `directory` and starts the task that writes it; `health`
    /// depends on that. Entries that the log agent refused are due at once: it may have been mended
    /// since.
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
        sqlx::query("UPDATE outbox SET due = 0 WHERE refused IS NOT NULL AND due <> 0")
            .execute(connection)
            .await?;
        writer.commit().await?;
        let usage = pending::usage(&readers).await?;
        let unreadable = usage.of(EntryState::Unreadable).entries;
        if unreadable > 0 {
            tracing::error!(
                unreadable,
                "a newer version wrote entries that this one cannot read; they are kept for it"
            );
        }
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
        let (reply, standing) = oneshot::channel();
        let accept = Accept {
            row,
            acceptance: entry.into(),
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
        Ok(Ticket(standing))
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

    /// Up to `count` entries that the log agent refused and that are to be offered again by now.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub async fn due(&self, count: usize) -> Result<Batch, sqlx::Error> {
        pending::due(&self.readers, Timestamp::now(), count).await
    }

    /// Ends when there may be something to deliver.
    ///
    /// # Errors
    /// When the outbox cannot be read.
    pub async fn work(&self) -> Result<(), sqlx::Error> {
        let due = pending::next_due(&self.readers).await?;
        let wait = due.map_or(again::LONGEST, |due| again::until(due, Timestamp::now()));
        tokio::select! {
            () = self.shared.work.notified() => {}
            () = sleep(wait) => {}
        }
        Ok(())
    }

    /// The log agent has these, each with its first acceptance where that was another one: forgets
    /// them, then tells who waits.
    ///
    /// # Errors
    /// When that cannot be written; they will be delivered again, which changes nothing.
    pub async fn delivered(&self, rows: Vec<(Row, Option<Acceptance>)>) -> Result<(), WriteError> {
        self.settle(Verdict::Delivered(rows)).await
    }

    /// The log agent has another text under this one's id: sets it aside if anybody may count on
    /// it, else forgets it; then tells who waits.
    ///
    /// # Errors
    /// When that cannot be written; it will be delivered, and answered so, again.
    pub async fn conflicting(&self, row: Row) -> Result<(), WriteError> {
        self.settle(Verdict::Conflict(row)).await
    }

    /// The log agent will not have this one now: sets it aside to be offered again later, then tells
    /// who waits.
    ///
    /// # Errors
    /// When that cannot be written; it will be delivered, and refused, again.
    pub async fn refused(&self, row: Row, reason: String) -> Result<(), WriteError> {
        self.settle(Verdict::Refused(row, reason)).await
    }

    async fn settle(&self, verdict: Verdict) -> Result<(), WriteError> {
        let (reply, settled) = oneshot::channel();
        let settle = Settle {
            verdict,
            reply,
            shared: self.shared.clone(),
        };
        self.jobs
            .send(Job::Settle(settle))
            .await
            .map_err(|_| stopped())?;
        settled.await.map_err(|_| stopped())?
    }

    /// Waits until everything is delivered, at most until `deadline`; returns how many entries are
    /// not.
    pub async fn emptied(&self, deadline: Instant) -> u64 {
        let mut usage = self.shared.room.watch();
        // At the deadline, or with the sender gone, what counts is what is there.
        let _ = timeout_at(
            deadline,
            usage.wait_for(|usage| usage.of(EntryState::Pending).entries == 0),
        )
        .await;
        self.usage().of(EntryState::Pending).entries
    }
}

/// When a caller who was refused should come again.
pub const RETRY_AFTER: Duration = Duration::from_secs(5);
