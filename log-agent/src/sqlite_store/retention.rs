//! Removing the oldest entries, by age and by size, in small transactions between the groups of the
//! writer.
//!
//! New entries are written to pages that became free, so the file stops growing. The newest
//! entry stays whatever its age: SQLite would give its position to another, and every cursor counts
//! on positions that never come back.

mod removal;

use std::sync::Arc;
use std::time::Duration;

use faultline_service::group_commit::Upkeep;
use faultline_service::sqlite::Writer;
use jiff::Timestamp;
use metrics::gauge;
use tokio::sync::watch;
use tokio::time::Instant;

use self::removal::Sizes;
use crate::marks::{Mark, Measure, Next};
use crate::removals::{self, Reason};
use crate::retain::Retain;
use crate::store::Position;

/// After about how many bytes written the file is measured again: often enough for the bound, too
/// seldom for a writer to notice.
const MEASURE_BYTES: usize = 64 * 1024;

/// After how long it is, though less was written.
const MEASURE_TIME: Duration = Duration::from_secs(5);

/// The bytes that the file may be beyond its bound before it is made smaller: a group and its
/// indexes may need them at once.
const SLACK: u64 = 8 * 1024 * 1024;

/// Removing ends this part of the bound below it. From one side to the other is one run, and one
/// line of the log.
const RUN: u64 = 64;

/// The upkeep of the store.
#[derive(Debug)]
pub(super) struct Retention {
    age: Option<Measure>,
    bytes: Option<u64>,
    end: Arc<watch::Sender<Position>>,
    /// The first position that is still there.
    oldest: Position,
    marks: Vec<Mark>,
    /// Entries up to here are too old.
    aged: Position,
    sizes: Sizes,
    /// The file was beyond its bound, and is not yet far enough below it.
    shrinking: bool,
    /// Bytes written since the sizes were measured.
    unmeasured: usize,
    /// The first position as it was when its entry's time was last published.
    published: Option<Position>,
    /// Entries removed since the last line of the log, by age and by size.
    removed: (u64, u64),
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
        removals::describe();
        let connection = writer.idle().await;
        let mut retention = Self {
            age: retain.age.0.map(Measure::of),
            bytes: retain.bytes.0,
            end,
            oldest: removal::oldest(connection).await?,
            marks: removal::marks(connection).await?,
            aged: Position::START,
            sizes: removal::measure(connection).await?,
            shrinking: false,
            unmeasured: 0,
            published: None,
            removed: (0, 0),
        };
        retention.find_aged(now());
        Ok(retention)
    }

    /// Finds out which entries are too old. The last mark that is stays, for a restart to find.
    fn find_aged(&mut self, now: i64) {
        let aged = self.age.map_or(0, |age| age.aged(&self.marks, now));
        if let Some(last) = aged.checked_sub(1) {
            self.marks.drain(..last);
            self.aged = self.marks.first().map_or(self.aged, |mark| mark.position);
        }
    }

    /// Sets the mark that is due; returns when the next one is.
    async fn mark(&mut self, writer: &mut Writer) -> Result<Option<Instant>, sqlx::Error> {
        let Some(age) = self.age else {
            return Ok(None);
        };
        let mark = Mark {
            position: *self.end.borrow(),
            time: now(),
        };
        match age.next(&self.marks, mark.time) {
            Next::Wait(time) => return Ok(Some(Instant::now() + time)),
            Next::Add => {}
            Next::Replace => drop(self.marks.pop()),
        }
        self.marks.push(mark);
        self.find_aged(mark.time);
        removal::set_marks(writer, &self.marks).await?;
        Ok(Some(Instant::now() + age.interval()))
    }

    async fn measure(&mut self, writer: &mut Writer) -> Result<(), sqlx::Error> {
        self.sizes = removal::measure(writer.idle().await).await?;
        self.unmeasured = 0;
        let Some(bytes) = self.bytes else {
            return Ok(());
        };
        // Between the two, it goes on as it was.
        if self.sizes.used() > bytes {
            self.shrinking = true;
        } else if self.sizes.used() <= bytes - bytes / RUN {
            self.shrinking = false;
        }
        Ok(())
    }

    /// The next removal, and the last position that may go in it.
    fn due(&self) -> Option<(Reason, Position)> {
        let last = Position(self.end.borrow().0 - 1);
        let aged = self.aged.min(last);
        if self.oldest <= aged {
            Some((Reason::Age, aged))
        } else if self.shrinking && self.oldest <= last {
            Some((Reason::Size, last))
        } else {
            None
        }
    }

    /// Removes what is due, a small transaction at a time, until twice as much room is made as was
    /// taken since the last turn: one transaction, unless a group took much.
    async fn remove(&mut self, taken: u64, writer: &mut Writer) -> Result<(), sqlx::Error> {
        let before = self.sizes.used();
        while let Some((reason, to)) = self.due() {
            let removed = removal::remove(writer, to).await?;
            self.oldest = removed.last.next();
            removals::count(reason, removed.entries);
            match reason {
                Reason::Age => self.removed.0 += removed.entries,
                Reason::Size => self.removed.1 += removed.entries,
            }
            self.measure(writer).await?;
            if before.saturating_sub(self.sizes.used()) >= taken.saturating_mul(2) {
                break;
            }
        }
        let (age, size) = self.removed;
        if self.due().is_none() && age + size > 0 {
            tracing::info!(age, size, oldest = self.oldest.0, "entries removed");
            self.removed = (0, 0);
        }
        Ok(())
    }

    /// Free pages are to be given back to the disk.
    fn is_too_large(&self) -> bool {
        let large = |bytes: u64| self.sizes.file() > bytes.saturating_add(SLACK);
        self.bytes.is_some_and(large) && self.sizes.free() > 0
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a gauge is a float, and exact up to 2^53"
    )]
    async fn publish(&mut self, writer: &mut Writer) -> Result<(), sqlx::Error> {
        // Positions follow each other without a gap, so this needs no counting.
        let entries = self.end.borrow().next().0 - self.oldest.0;
        gauge!("log_agent_entries").set(entries as f64);
        gauge!("log_agent_store_bytes", "state" => "used").set(self.sizes.used() as f64);
        gauge!("log_agent_store_bytes", "state" => "free").set(self.sizes.free() as f64);
        if self.due().is_none() && self.published != Some(self.oldest) {
            let time = removal::time_of(writer.idle().await, self.oldest).await?;
            if let Some(time) = time {
                gauge!("log_agent_oldest_entry_timestamp_seconds").set(time.as_second() as f64);
                self.published = Some(self.oldest);
            }
        }
        Ok(())
    }
}

impl Upkeep for Retention {
    async fn turn(
        &mut self,
        writer: &mut Writer,
        written: usize,
    ) -> Result<Option<Instant>, sqlx::Error> {
        self.unmeasured = self.unmeasured.saturating_add(written);
        let before = self.sizes.used();
        if written == 0 || self.unmeasured >= MEASURE_BYTES || self.due().is_some() {
            self.measure(writer).await?;
        }
        let taken = self.sizes.used().saturating_sub(before);
        self.remove(taken, writer).await?;
        if self.is_too_large() {
            removal::give_back(writer).await?;
            self.measure(writer).await?;
        }
        let next_mark = self.mark(writer).await?;
        self.publish(writer).await?;
        let now = Instant::now();
        if self.due().is_some() || self.is_too_large() {
            return Ok(Some(now));
        }
        let next_measure = (self.unmeasured > 0).then(|| now + MEASURE_TIME);
        Ok(next_mark.into_iter().chain(next_measure).min())
    }
}

/// In milliseconds since 1970.
fn now() -> i64 {
    Timestamp::now().as_millisecond()
}
