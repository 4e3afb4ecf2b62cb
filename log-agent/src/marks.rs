//! The age of entries, without a time in each: now and then a mark says how far the store had come.
//!
//! An entry's own `time` is no measure: whoever sends it sets it, and an entry may wait for long in
//! an outbox. Nor is one reading of the clock: a clock that leaps by a year must not take a year's
//! entries with it. So ages are summed up from mark to mark, and between two marks no more time
//! passes than twice the interval of a process that runs. A clock that leaps, or a process that is
//! down, is wrong by no more, and entries rather stay longer.

use std::time::Duration;

use crate::store::Position;

/// The number of marks in an age.
const PER_AGE: i64 = 64;

/// At this time, in milliseconds of the system's clock, entries up to this position were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    pub(crate) time: i64,
}

/// The measure of ages, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Measure {
    age: i64,
}

/// The next thing to do about marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Set one more.
    Add,
    /// Set the last one anew: the clock was set back behind it.
    Replace,
    /// Come again after this time.
    Wait(Duration),
}

impl Measure {
    /// For entries that stay this long.
    pub(crate) fn of(age: Duration) -> Self {
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX / 4);
        Self {
            age: age.clamp(PER_AGE, i64::MAX / 4),
        }
    }

    /// The time between two marks.
    pub(crate) fn interval(self) -> Duration {
        Duration::from_millis(self.step().unsigned_abs())
    }

    fn step(self) -> i64 {
        self.age / PER_AGE
    }

    /// The next thing to do at this time; marks are given oldest first.
    pub(crate) fn next(self, marks: &[Mark], now: i64) -> Next {
        let Some(last) = marks.last() else {
            return Next::Add;
        };
        match now.saturating_sub(last.time) {
            ..0 => Next::Replace,
            passed if passed >= self.step() => Next::Add,
            passed => Next::Wait(Duration::from_millis((self.step() - passed).unsigned_abs())),
        }
    }

    /// The number of marks, from the oldest, that are older than the age at this time: entries up to
    /// the last of these are too.
    pub(crate) fn aged(self, marks: &[Mark], now: i64) -> usize {
        let (mut age, mut later) = (0, now);
        for (index, mark) in marks.iter().enumerate().rev() {
            age += later.saturating_sub(mark.time).clamp(0, 2 * self.step());
            if age >= self.age {
                return index + 1;
            }
            later = mark.time;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: i64 = 60 * 60 * 1000;
    const DAYS: i64 = 24 * HOUR;

    fn measure() -> Measure {
        Measure::of(Duration::from_secs(30 * 24 * 60 * 60))
    }

    /// A store that runs: its marks, and the last position removed, as time passes on its clock.
    struct Run {
        marks: Vec<Mark>,
        removed: Position,
    }

    impl Run {
        fn new() -> Self {
            Self {
                marks: Vec::new(),
                removed: Position::START,
            }
        }

        /// One turn at this time, with this many entries stored.
        fn turn(&mut self, now: i64, stored: i64) {
            let mark = Mark {
                position: Position(stored),
                time: now,
            };
            match measure().next(&self.marks, now) {
                Next::Add => self.marks.push(mark),
                Next::Replace => *self.marks.last_mut().unwrap() = mark,
                Next::Wait(_) => return,
            }
            let aged = measure().aged(&self.marks, now);
            if let Some(mark) = self.marks.drain(..aged).next_back() {
                self.removed = mark.position;
            }
        }
    }

    #[test]
    fn entries_go_once_they_are_old_enough_and_not_long_after() {
        let mut run = Run::new();
        // One entry an hour.
        for hour in 0..2_000 {
            run.turn(hour * HOUR, hour);
            let kept = hour - run.removed.0;
            assert!(
                hour < 30 * 24 || (30 * 24..=31 * 24).contains(&kept),
                "{kept} at {hour}"
            );
            assert!(run.marks.len() <= 66, "{}", run.marks.len());
        }
    }

    #[test]
    fn a_clock_that_leaps_takes_no_more_than_a_day_with_it() {
        for leap in [365 * DAYS, -365 * DAYS] {
            let mut run = Run::new();
            for hour in 0..29 * 24 {
                run.turn(hour * HOUR, hour);
            }
            let leapt = 29 * DAYS + leap;
            run.turn(leapt, 29 * 24);
            assert_eq!(run.removed, Position::START, "{leap}");
            // It goes on from there.
            for hour in 1..40 * 24 {
                run.turn(leapt + hour * HOUR, 29 * 24 + hour);
            }
            let kept = 69 * 24 - 1 - run.removed.0;
            assert!((29 * 24..=32 * 24).contains(&kept), "{kept} after {leap}");
        }
    }

    #[test]
    fn what_was_there_before_the_first_mark_is_as_old_as_it() {
        let mut run = Run::new();
        run.turn(0, 1_000);
        for hour in 1..29 * 24 {
            run.turn(hour * HOUR, 1_000);
        }
        assert_eq!(run.removed, Position::START);
        for hour in 29 * 24..31 * 24 {
            run.turn(hour * HOUR, 1_000);
        }
        assert_eq!(run.removed, Position(1_000));
    }

    proptest! {
        #[test]
        fn whatever_the_clock_says_nothing_goes_before_its_time(
            leaps in prop::collection::vec((1..12_i64, prop::option::weighted(0.05, any::<i32>())), 1..200),
        ) {
            let (mut run, mut clock, mut lived, mut stored_at) = (Run::new(), 0_i64, 0_i64, vec![0]);
            for (hours, leap) in leaps {
                clock += hours * HOUR + i64::from(leap.unwrap_or(0));
                lived += hours * HOUR + leap.map_or(0, |_| 2 * measure().step());
                run.turn(clock, stored_at.len() as i64);
                stored_at.push(lived);
                if let Ok(removed @ 1..) = usize::try_from(run.removed.0) {
                    prop_assert!(lived - stored_at[removed - 1] >= 30 * DAYS);
                }
                prop_assert!(run.marks.len() < 300);
            }
        }
    }
}
