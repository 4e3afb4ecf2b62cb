//! Removing the oldest entries, by age and by size, in small transactions between the groups of the
//! writer.
//!
//! Pages that become free are what new entries are written to, so the file stops growing. The newest
//! entry stays whatever its age: SQLite would give its position to another, and every cursor counts
//! on positions that never come back.

mod removal;

use std::sync::Arc;
use std::time::Duration;

use faultline_service::group_commit::Upkeep;
use faultline_service::sqlite::Writer;
use jiff::Timestamp;
use metrics::{counter, describe_counter, describe_gauge, gauge};
use tokio::sync::watch;
use tokio::time::Instant;

use self::removal::{Sizes, give_back, measure, oldest, remove};
use super::marks::{Mark, Measure, Next};
use crate::retain::Retain;
use crate::store::Position;

/// After about how many bytes written the file is measured again: often enough for the bound, too
/// seldom for a writer to notice.
const MEASURE_BYTES: usize = 64 * 1024;

/// How far the file may be beyond its bound before it is made smaller, in bytes: what a group and
/// its indexes may need at once.
const SLACK: u64 = 8 * 1024 * 1024;

/// How much below the bound a run of removals ends, as a part of it: one run, one line of the log.
const RUN: u64 = 64;

/// Why entries go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    Age,
    Size,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Size => "size",
        }
    }
}

/// Removals one after another, for one reason, logged when they end.
#[derive(Clone, Copy, Debug)]
struct Run {
    reason: Reason,
    /// The last position to go, whatever the size.
    to: Position,
    entries: u64,
}

/// The upkeep of the store.
#[derive(Debug)]
pub(super) struct Retention {
    age: Option<Measure>,
    bytes: Option<u64>,
    end: Arc<watch::Sender<Position>>,
    /// The first position that is still there.
    oldest: Position,
    marks: Vec<Mark>,
    sizes: Sizes,
    /// Bytes written since the sizes were measured.
    unmeasured: usize,
    run: Option<Run>,
}

impl Retention {
    /// For a store whose last entry stands at `end`.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) async fn new(
        retain: Retain,
        end: Arc<watch::Sender<Position>>,
        writer: &mut Writer,
    ) -> Result<Self, sqlx::Error> {
        describe();
        let connection = writer.idle().await;
        let mut retention = Self {
            age: retain.age.0.map(Measure::of),
            bytes: retain.bytes.0,
            end,
            oldest: oldest(connection).await?,
            marks: removal::marks(connection).await?,
            sizes: measure(connection).await?,
            unmeasured: 0,
            run: None,
        };
        retention.publish();
        Ok(retention)
    }

    /// The last position that may go.
    fn last_to_go(&self) -> Position {
        Position(self.end.borrow().0 - 1)
    }

    /// Sets the mark that is due; entries found old enough begin a run. Returns when the next mark
    /// is.
    async fn mark(&mut self, writer: &mut Writer) -> Result<Option<Instant>, sqlx::Error> {
        let Some(measure) = self.age else {
            return Ok(None);
        };
        let now = Timestamp::now().as_millisecond();
        let mark = Mark {
            position: *self.end.borrow(),
            time: now,
        };
        let next = measure.next(&self.marks, now);
        let mut marks = self.marks.clone();
        match next {
            Next::Wait(time) => return Ok(Some(Instant::now() + time)),
            Next::Add => marks.push(mark),
            Next::Replace => {
                marks.pop();
                marks.push(mark);
            }
        }
        let aged = measure.aged(&marks, now);
        let aged = marks.drain(..aged).next_back();
        removal::set_marks(writer, &marks).await?;
        self.marks = marks;
        if let Some(aged) = aged {
            self.begin(Reason::Age, aged.position);
        }
        Ok(Some(Instant::now() + measure.interval()))
    }

    fn begin(&mut self, reason: Reason, to: Position) {
        let to = to.min(self.last_to_go());
        if self.run.is_none() && self.oldest <= to {
            self.run = Some(Run {
                reason,
                to,
                entries: 0,
            });
        }
    }

    fn end_of_run(&mut self) {
        if let Some(run) = self.run.take() {
            let (reason, entries, oldest) = (run.reason.as_str(), run.entries, self.oldest.0);
            tracing::info!(reason, entries, oldest, "entries removed");
        }
    }

    /// Whether the run has reached what it was for.
    fn is_done(&self, run: Run) -> bool {
        let small = |bytes| self.sizes.used() <= bytes - bytes / RUN;
        self.oldest > run.to || (run.reason == Reason::Size && self.bytes.is_none_or(small))
    }

    /// One transaction of the run.
    async fn step(&mut self, run: Run, writer: &mut Writer) -> Result<(), sqlx::Error> {
        let removed = remove(writer, run.to).await?;
        self.sizes = measure(writer.idle().await).await?;
        // Nothing was there to remove: the run is over, lest it never is.
        self.oldest = removed.map_or(run.to, |removed| removed.last).next();
        let entries = removed.map_or(0, |removed| removed.entries);
        counter!("log_agent_entries_removed_total", "reason" => run.reason.as_str())
            .increment(entries);
        let run = Run {
            entries: run.entries + entries,
            ..run
        };
        self.run = Some(run);
        if self.is_done(run) {
            self.end_of_run();
        }
        Ok(())
    }

    /// Removes what is due: at least as much as `grown` bytes twice, and where nothing grew one
    /// small transaction's worth.
    async fn remove(&mut self, grown: u64, writer: &mut Writer) -> Result<(), sqlx::Error> {
        if self.bytes.is_some_and(|bytes| self.sizes.used() > bytes) {
            // Size is the harder bound: what is removed for it needs no other reason.
            if self.run.is_some_and(|run| run.reason == Reason::Age) {
                self.end_of_run();
            }
            self.begin(Reason::Size, self.last_to_go());
        }
        let before = self.sizes.used();
        while let Some(run) = self.run {
            self.step(run, writer).await?;
            if before.saturating_sub(self.sizes.used()) >= grown.saturating_mul(2) {
                break;
            }
        }
        let shrink = |bytes: u64| self.sizes.file() > bytes.saturating_add(SLACK);
        if self.bytes.is_some_and(shrink) && self.sizes.free() > 0 {
            give_back(writer).await?;
            self.sizes = measure(writer.idle().await).await?;
        }
        Ok(())
    }

    /// Whether a turn that nothing was written before has something to do.
    fn is_behind(&self) -> bool {
        let shrink = |bytes: u64| self.sizes.file() > bytes.saturating_add(SLACK);
        self.run.is_some() || (self.bytes.is_some_and(shrink) && self.sizes.free() > 0)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and exact up to 2^53"
    )]
    fn publish(&mut self) {
        // Positions follow each other without a gap, so this needs no counting.
        let entries = self.end.borrow().next().0 - self.oldest.0;
        gauge!("log_agent_entries").set(entries as f64);
        gauge!("log_agent_store_bytes", "state" => "used").set(self.sizes.used() as f64);
        gauge!("log_agent_store_bytes", "state" => "free").set(self.sizes.free() as f64);
    }
}

impl Upkeep for Retention {
    async fn turn(
        &mut self,
        writer: &mut Writer,
        written: usize,
    ) -> Result<Option<Instant>, sqlx::Error> {
        self.unmeasured = self.unmeasured.saturating_add(written);
        let next_mark = self.mark(writer).await?;
        let mut grown = 0;
        if self.unmeasured >= MEASURE_BYTES || written == 0 {
            let before = self.sizes.used();
            self.sizes = measure(writer.idle().await).await?;
            grown = self.sizes.used().saturating_sub(before);
            self.unmeasured = 0;
        }
        self.remove(grown, writer).await?;
        self.publish();
        let now = Instant::now();
        Ok(if self.is_behind() {
            Some(now)
        } else if self.unmeasured > 0 {
            let soon = now + Duration::from_secs(5);
            Some(next_mark.map_or(soon, |mark| mark.min(soon)))
        } else {
            next_mark
        })
    }
}

fn describe() {
    describe_counter!(
        "log_agent_entries_removed_total",
        "Entries removed to keep the store within its bounds, by the bound."
    );
    describe_gauge!("log_agent_entries", "Entries in the store.");
    describe_gauge!(
        "log_agent_store_bytes",
        "Bytes of the store's file, in use or free for what comes."
    );
}
