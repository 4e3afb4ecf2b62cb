//! Removing the oldest segments, by age and by size: their partitions are dropped.
//!
//! Each replica takes its turn every second; the decisions of one turn are made under a lock, from
//! what the database says, so it does not matter which replica makes them. In a segment that is to go
//! the entries go first, at once, by taking its partition out; then their ids, some thousands at a
//! time; then the table.

mod plan;
mod steps;

use std::sync::Arc;
use std::time::Duration;

use metrics::gauge;
use sqlx::postgres::PgConnection;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use self::plan::{Bounds, View};
use super::database::Database;
use super::failure::Failure;
use super::place::Segment;
use crate::removals::{self, Reason};
use crate::retain::Retain;
use crate::store::Position;

/// The time between two turns.
const TURN: Duration = Duration::from_secs(1);

/// How long one step may take.
const STEP: Duration = Duration::from_secs(8);

/// After how long a segment that could not be taken out is tried again.
const PAUSE: Duration = Duration::from_secs(20);

/// The upkeep of the store.
pub(super) struct Retention {
    database: Database,
    bounds: Bounds,
    written: Arc<Notify>,
    connection: Option<PgConnection>,
    /// The first segment as it was when its entry's time was last published.
    published: Option<Segment>,
    /// Ids of the segment that is cleared are gone up to here.
    cleared: Option<Position>,
    /// Nothing is taken out before.
    next_removal: Instant,
}

impl Retention {
    /// `written` asks for a turn before its time.
    pub(super) fn new(database: Database, retain: Retain, written: Arc<Notify>) -> Self {
        removals::describe();
        Self {
            database,
            bounds: Bounds::of(retain),
            written,
            connection: None,
            published: None,
            cleared: None,
            next_removal: Instant::now(),
        }
    }

    /// Takes turns for as long as the process runs.
    pub(super) async fn run(mut self) {
        while let Some(session) = self.database.there().await {
            // Without a connection the session is about to be found broken.
            if self.connection.is_none() {
                self.connection = session.connect().await.ok();
            }
            if let Some(mut connection) = self.connection.take() {
                match self.turn(&mut connection).await {
                    Ok(()) => self.connection = Some(connection),
                    Err(failure) => {
                        let reason = failure.sentence(&session.server);
                        tracing::warn!(reason, "upkeep failed; it comes again");
                    }
                }
            }
            let _ = timeout(TURN, self.written.notified()).await;
        }
    }

    async fn turn(&mut self, connection: &mut PgConnection) -> Result<(), Failure> {
        let mut view = step(steps::advance(connection, &self.bounds)).await?;
        if self.next_removal <= Instant::now() {
            view = self.remove(connection, view).await?;
        }
        self.publish(connection, &view).await?;
        if let Some(segment) = view.to_clear() {
            self.clear(connection, segment).await?;
        }
        Ok(())
    }

    /// Takes out what is to go.
    async fn remove(
        &mut self,
        connection: &mut PgConnection,
        mut view: View,
    ) -> Result<View, Failure> {
        let (mut age, mut size) = (0, 0);
        while let Some((segment, reason)) = view.due(&self.bounds) {
            // If it fails, some reader takes long: nobody shall wait for it all the time.
            self.next_removal = Instant::now() + PAUSE;
            let Some(entries) = step(steps::take_out(connection, segment)).await? else {
                break;
            };
            self.next_removal = Instant::now();
            removals::count(reason, entries);
            match reason {
                Reason::Age => age += entries,
                Reason::Size => size += entries,
            }
            view = step(steps::view(connection)).await?;
        }
        if age + size > 0 {
            tracing::info!(
                age,
                size,
                oldest = view.oldest().start().0,
                "entries removed"
            );
        }
        Ok(view)
    }

    /// Removes ids of a segment that was taken out, for no longer than a turn.
    async fn clear(
        &mut self,
        connection: &mut PgConnection,
        segment: Segment,
    ) -> Result<(), Failure> {
        let started = Instant::now();
        let mut after = match self.cleared {
            Some(cleared) if Segment::of(cleared) == segment => cleared,
            _ => segment.start(),
        };
        while started.elapsed() < TURN {
            match step(steps::clear(connection, segment, after)).await? {
                Some(last) => after = last,
                None => break,
            }
        }
        self.cleared = Some(after);
        Ok(())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and exact up to 2^53"
    )]
    async fn publish(&mut self, connection: &mut PgConnection, view: &View) -> Result<(), Failure> {
        gauge!("log_agent_entries").set(view.entries() as f64);
        gauge!("log_agent_store_bytes", "state" => "used").set(view.used() as f64);
        gauge!("log_agent_store_bytes", "state" => "free").set(view.free() as f64);
        if self.published != Some(view.oldest())
            && let Some(time) = step(steps::time_of_the_oldest(connection)).await?
        {
            gauge!("log_agent_oldest_entry_timestamp_seconds").set(time.as_second() as f64);
            self.published = Some(view.oldest());
        }
        Ok(())
    }
}

async fn step<T>(step: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    super::database::within(STEP, step).await
}
