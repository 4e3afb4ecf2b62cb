//! One task that writes: requests that wait together share one statement, and so one commit.
//!
//! A statement whose outcome is lost, because the connection is, is sent again on a new one. The ids
//! make that harmless: what was stored is found, what was not is stored now.

use std::sync::Arc;
use std::time::Duration;

use faultline_service::api::Receipt;
use faultline_service::group_commit::{self, STORE};
use faultline_service::health::Health;
use metrics::{counter, gauge, histogram};
use sqlx::postgres::PgConnection;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep, timeout};

use super::append::{Append, append};
use super::database::Database;
use super::failure::Unwritten;
use crate::retain::Retain;
use crate::store::{self, Position, StoreError};

/// How long a statement and its commit may take.
const COMMIT: Duration = Duration::from_secs(8);

/// How long a statement with a lost outcome is sent again, before its callers are told that nobody
/// knows: shorter than a request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long after a lost statement the next one is sent.
const PAUSE: Duration = Duration::from_millis(250);

/// How often a store that cannot be written is tried again.
const PROBE: Duration = Duration::from_secs(1);

/// The turns of retention in the time in which as much is written as is kept.
const TURNS: u64 = 64;

/// The one that writes.
pub(super) struct Writer {
    database: Database,
    end: Arc<watch::Sender<Position>>,
    /// Asks for a turn of retention.
    written: Arc<Notify>,
    /// The bytes after which it does.
    turn_after: usize,
    /// Those written since it did.
    unseen: usize,
    health: Health,
    connection: Option<PgConnection>,
}

impl Writer {
    pub(super) fn new(
        database: Database,
        end: Arc<watch::Sender<Position>>,
        written: Arc<Notify>,
        retain: Retain,
        health: Health,
    ) -> Self {
        let bound = retain.bytes.0.unwrap_or(u64::MAX);
        Self {
            database,
            end,
            written,
            turn_after: usize::try_from(bound / TURNS).unwrap_or(usize::MAX),
            unseen: 0,
            health,
            connection: None,
        }
    }

    /// Writes requests until no sender is left. While the store cannot be written, health says so,
    /// and it is tried until it can.
    pub(super) async fn run(mut self, mut appends: mpsc::Receiver<Append>) {
        self.report(None);
        let mut received = Vec::new();
        loop {
            let receiving = appends.recv_many(&mut received, group_commit::GROUP);
            let count = if self.health.is_broken(STORE) {
                timeout(PROBE, receiving).await.ok()
            } else {
                Some(receiving.await)
            };
            if count == Some(0) {
                return;
            }
            while !received.is_empty() {
                let group = group_commit::first_group(&mut received, Append::bytes);
                self.settle(group).await;
            }
            if count.is_none() {
                let probed = self.attempt(&[]).await;
                self.report(probed.err().as_ref());
            }
        }
    }

    /// Stores a group whole. Where the server refuses that, each request is tried by itself: one that
    /// does not fit must not take the others with it.
    async fn settle(&mut self, group: Vec<Append>) {
        let Err((group, error)) = self.commit(group).await else {
            return self.report(None);
        };
        let mut last = None;
        if group.len() > 1 && error.is_perhaps_of_one() {
            for append in group {
                if let Err((appends, failed)) = self.commit(vec![append]).await {
                    last = Some(fail(appends, failed));
                }
            }
        } else {
            last = Some(fail(group, error));
        }
        self.report(last.as_ref().map(|failed| &failed.why));
    }

    /// Stores requests and finishes them, or hands them back.
    async fn commit(&mut self, group: Vec<Append>) -> Result<(), (Vec<Append>, Failed)> {
        let started = Instant::now();
        let mut lost = false;
        loop {
            let why = match self.attempt(&group).await {
                Ok(receipts) => {
                    histogram!("store_commit_duration_seconds").record(started.elapsed());
                    histogram!("store_commit_group_size")
                        .record(u32::try_from(group.len()).unwrap_or(u32::MAX));
                    for (append, receipts) in group.into_iter().zip(receipts) {
                        append.finish(Ok(receipts));
                    }
                    return Ok(());
                }
                Err(why) => why,
            };
            counter!("store_commit_failures_total").increment(1);
            tracing::error!(
                error = why.reason(),
                requests = group.len(),
                "cannot commit"
            );
            lost |= matches!(why, Unwritten::Lost(_));
            let again = lost || why == Unwritten::Deadlock;
            if !again || started.elapsed() >= PATIENCE {
                return Err((group, Failed { why, lost }));
            }
            sleep(PAUSE).await;
        }
    }
}

impl Writer {
    /// Sends a group once, on the connection there is or a new one.
    async fn attempt(&mut self, group: &[Append]) -> Result<Vec<Vec<Receipt>>, Unwritten> {
        let session = self.database.session().map_err(Unwritten::Away)?;
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => session.connect().await.map_err(Unwritten::Away)?,
        };
        let appended = timeout(COMMIT, append(&mut connection, group)).await;
        let appended = appended.unwrap_or_else(|_| {
            let silent = format!("{} does not answer within {COMMIT:?}", session.server);
            Err(Unwritten::Lost(silent))
        });
        match appended {
            Ok(appended) => {
                store::advance(&self.end, appended.last);
                self.connection = Some(connection);
                self.unseen += group.iter().map(Append::bytes).sum::<usize>();
                if self.unseen >= self.turn_after {
                    self.unseen = 0;
                    self.written.notify_one();
                }
                Ok(appended.receipts(group))
            }
            Err(why) => {
                if why.leaves_the_connection() {
                    self.connection = Some(connection);
                }
                Err(why)
            }
        }
    }

    fn report(&self, error: Option<&Unwritten>) {
        gauge!("store_writable").set(u8::from(error.is_none()));
        match error {
            None => self.health.mended(STORE),
            Some(error) => self.health.broken(STORE, error.reason()),
        }
    }
}

/// Why a group was not stored, as far as anybody knows.
struct Failed {
    why: Unwritten,
    /// An earlier try may have stored it.
    lost: bool,
}

impl Failed {
    /// Without some request of the group, the others might be stored.
    const fn is_perhaps_of_one(&self) -> bool {
        !self.lost && matches!(self.why, Unwritten::Full | Unwritten::Refused(_))
    }

    fn error(&self) -> StoreError {
        let reason = self.why.reason().to_owned();
        match self.why {
            _ if self.lost => StoreError::Unsettled(reason),
            Unwritten::Lost(_) => StoreError::Unsettled(reason),
            Unwritten::Full => StoreError::Full,
            Unwritten::Away(_) => StoreError::Away(reason),
            _ => StoreError::Unwritable(reason),
        }
    }
}

fn fail(appends: Vec<Append>, failed: Failed) -> Failed {
    for append in appends {
        append.finish(Err(failed.error()));
    }
    failed
}
