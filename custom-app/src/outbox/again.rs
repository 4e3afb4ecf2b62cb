//! When an entry that the log agent refused is offered again.

use std::time::Duration;

use jiff::Timestamp;

const FIRST: Duration = Duration::from_secs(1);
/// The longest interval: a log agent that takes the entry is found within this time.
pub(super) const LONGEST: Duration = Duration::from_secs(300);

/// When it is offered again after this many refusals, in milliseconds since 1970: intervals double
/// from 1 s to 5 min.
pub(super) fn due(now: Timestamp, refusals: u32) -> i64 {
    now.as_millisecond()
        .saturating_add(millis(interval(refusals)))
}

/// Nothing is due later than this, in milliseconds since 1970, unless the clock was set back.
pub(super) fn latest(now: Timestamp) -> i64 {
    now.as_millisecond().saturating_add(millis(LONGEST))
}

/// How long to wait from now on for something that is due then.
pub(super) fn until(due: i64, now: Timestamp) -> Duration {
    let wait = u64::try_from(due.saturating_sub(now.as_millisecond())).unwrap_or_default();
    Duration::from_millis(wait).min(LONGEST)
}

fn interval(refusals: u32) -> Duration {
    let doublings = refusals.saturating_sub(1);
    FIRST
        .saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX))
        .min(LONGEST)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn intervals_double_up_to_minutes() {
        let seconds: Vec<u64> = (0..12).map(|count| interval(count).as_secs()).collect();
        assert_eq!(seconds, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    proptest! {
        #[test]
        fn nothing_is_due_later_than_the_longest_interval(refusals: u32, due in any::<i64>()) {
            let now = Timestamp::now();
            prop_assert!(super::due(now, refusals) <= latest(now));
            prop_assert!(until(due, now) <= LONGEST);
        }
    }
}
