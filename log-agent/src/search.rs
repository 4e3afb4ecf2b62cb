//! Looking for a text: a bounded part of the entries at a time, in small statements.
//!
//! An engine runs a statement to its end though nobody waits any more. So a search is many short
//! ones: when its caller goes, the one that runs is the last.

use std::time::Duration;

use faultline_service::entry::Level;
use faultline_service::query::{Limit, Substring};
use metrics::counter;
use tokio::time::Instant;

use crate::reading::Reading;
use crate::store::{Position, StoreError};

/// The number of searches that run at once, on connections that nothing else uses.
pub(crate) const SEARCHES: u32 = 2;

/// The longest that a search waits for its turn.
pub(crate) const PATIENCE: Duration = Duration::from_secs(2);

/// The bounds of one search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// The number of entries that the first statement looks at; those that follow look at more while
    /// they are quick, and at fewer when they are slow.
    pub(crate) first_step: i64,
    /// The most entries that one statement looks at.
    pub(crate) longest_step: i64,
    /// After so many entries a search begins no further statement.
    pub(crate) entries: i64,
    /// After this time it begins none.
    pub(crate) time: Duration,
}

/// A tenth of a second of one connection, whatever is stored: 256 of the longest messages are 15 MB,
/// tens of milliseconds; of ordinary ones a statement takes 4,096 in as many.
pub(crate) const BOUNDS: Bounds = Bounds {
    first_step: 256,
    longest_step: 4_096,
    entries: 65_536,
    time: Duration::from_millis(100),
};

impl Bounds {
    /// The number of entries for the next statement, after one that took so long.
    fn step_after(&self, step: i64, took: Duration) -> i64 {
        let step = match took.as_millis() {
            ..10 => step * 2,
            10..40 => step,
            _ => step / 2,
        };
        step.clamp(1, self.longest_step)
    }
}

/// The conditions of a search.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    pub(crate) text: &'a Substring,
    pub(crate) level: Option<Level>,
    pub(crate) limit: Limit,
}

/// A part of the entries: from `first` up to, and without, where the part before it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: Position,
    pub(crate) entries: i64,
}

/// The statements of a search, on one connection.
pub(crate) trait Statements {
    /// The entries to look at before a position, at most `step`; none when there are none.
    fn next_part(
        &mut self,
        before: Position,
        level: Option<Level>,
        step: i64,
    ) -> impl Future<Output = Result<Option<Part>, StoreError>> + Send;

    /// Takes those from `first` up to, and without, `before` that hold the text, newest first.
    fn matches(
        &mut self,
        found: &mut Reading,
        first: Position,
        before: Position,
        wanted: Wanted<'_>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// The newest entries before a position that hold the text, as far as the bounds go.
pub(crate) async fn search(
    statements: &mut impl Statements,
    mut before: Position,
    wanted: Wanted<'_>,
    bounds: Bounds,
) -> Result<Reading, StoreError> {
    let mut found = Reading::up_to(wanted.limit.get());
    let (started, mut examined) = (Instant::now(), 0);
    let (mut step, mut asked) = (bounds.first_step, started);
    while let Some(part) = statements.next_part(before, wanted.level, step).await? {
        counter!("log_agent_entries_searched_total").increment(part.entries.unsigned_abs());
        statements
            .matches(&mut found, part.first, before, wanted)
            .await?;
        before = part.first;
        examined += part.entries;
        if found.next.is_some() || part.entries < step {
            break;
        }
        if found.is_full() || examined >= bounds.entries || started.elapsed() >= bounds.time {
            found.next = Some(before);
            break;
        }
        let now = Instant::now();
        (step, asked) = (bounds.step_after(step, now - asked), now);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_grow_while_they_are_quick() {
        let after = |step, millis| BOUNDS.step_after(step, Duration::from_millis(millis));
        assert_eq!(
            (after(256, 0), after(256, 20), after(256, 60)),
            (512, 256, 128)
        );
        assert_eq!((after(4_096, 0), after(1, 1_000)), (4_096, 1));
    }
}
