//! Which segment is closed, and which goes: decided from what the database says.

use std::time::Duration;

use crate::marks::{Mark, Measure, Next};
use crate::postgres_store::place::Segment;
use crate::removals::Reason;
use crate::retain::Retain;
use crate::store::Position;

/// About the bytes of an id: its row, and its share of an index that is filled in no order. The
/// table keeps its size when ids go, and uses the room again.
const ID_BYTES: u64 = 100;

/// The longest time of a segment.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The smallest size at which a segment is closed: the least that a table and its indexes take is a
/// part of it.
const LEAST_BYTES: u64 = 256 * 1024;

/// The parts of a bound that are segments: what goes at once.
const PARTS: u64 = 16;

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    age: Option<Measure>,
    bytes: Option<u64>,
    /// The longest time in which a segment takes entries.
    span: Duration,
}

impl Bounds {
    pub(super) fn of(retain: Retain) -> Self {
        // Thirty parts: a day of the thirty that are kept if nobody says otherwise.
        let span = retain.age.0.map_or(DAY, |age| age / 30);
        Self {
            age: retain.age.0.map(Measure::of),
            bytes: retain.bytes.0,
            span: span.clamp(Duration::from_secs(1), DAY),
        }
    }
}

/// The store as one statement finds it.
#[derive(Clone, Debug)]
pub(super) struct View {
    /// The server's clock, in milliseconds since 1970.
    pub(super) now: i64,
    /// The position of the entry stored last.
    pub(super) last: Position,
    /// The segment that takes entries.
    pub(super) open: Segment,
    /// Those whose table is there, oldest first.
    pub(super) segments: Vec<Part>,
    /// The bytes of the table of ids.
    pub(super) ids: u64,
    /// How far it had come, and when, oldest first.
    pub(super) marks: Vec<Mark>,
}

/// A segment whose table is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) segment: Segment,
    /// The entries stored before its first.
    pub(super) before: i64,
    /// When it began to take entries, in milliseconds since 1970.
    pub(super) opened: i64,
    /// Its entries are not removed.
    pub(super) is_kept: bool,
    pub(super) bytes: u64,
}

impl View {
    fn kept(&self) -> impl Iterator<Item = &Part> {
        self.segments.iter().filter(|part| part.is_kept)
    }

    /// The number of entries.
    pub(super) fn entries(&self) -> u64 {
        let before_oldest = self.kept().map(|part| part.before).min().unwrap_or(0);
        let open = self.kept().find(|part| part.segment == self.open);
        let stored = open.map_or(0, |open| open.before + self.open.up_to(self.last));
        (stored - before_oldest).max(0).unsigned_abs()
    }

    /// The bytes in use: of the segments, and of the ids of their entries.
    pub(super) fn used(&self) -> u64 {
        let segments: u64 = self.kept().map(|part| part.bytes).sum();
        segments + self.entries() * ID_BYTES
    }

    /// The bytes that removed ids have left, and those of segments that are about to go.
    pub(super) fn free(&self) -> u64 {
        let going = self.segments.iter().filter(|part| !part.is_kept);
        let ids = self.ids.saturating_sub(self.entries() * ID_BYTES);
        going.map(|part| part.bytes).sum::<u64>() + ids
    }

    /// The segment that takes entries is to be followed by another.
    pub(super) fn is_open_for_too_long(&self, bounds: &Bounds) -> bool {
        let Some(open) = self.kept().find(|part| part.segment == self.open) else {
            return false;
        };
        let most = bounds.bytes.map(|bytes| (bytes / PARTS).max(LEAST_BYTES));
        let span = i64::try_from(bounds.span.as_millis()).unwrap_or(i64::MAX);
        let passed = self.now - open.opened;
        // A clock that was set back says nothing of how long it is.
        let is_old = !(0..span).contains(&passed);
        let is_large = most.is_some_and(|most| open.bytes >= most);
        self.open.up_to(self.last) > 0 && (is_old || is_large)
    }

    /// The next segment to go, and why. The one with the newest entry stays.
    pub(super) fn due(&self, bounds: &Bounds) -> Option<(Segment, Reason)> {
        let last = Segment::of(self.last);
        let mut kept = self.kept();
        let oldest = kept.next().filter(|oldest| oldest.segment < last)?;
        let next = kept.next()?;
        let last_of_oldest = Position(oldest.segment.start().0 + next.before - oldest.before);
        if last_of_oldest <= self.aged(bounds) {
            Some((oldest.segment, Reason::Age))
        } else if bounds.bytes.is_some_and(|bytes| self.used() > bytes) {
            Some((oldest.segment, Reason::Size))
        } else {
            None
        }
    }

    /// Entries up to here are too old.
    fn aged(&self, bounds: &Bounds) -> Position {
        let aged = bounds.age.map_or(0, |age| age.aged(&self.marks, self.now));
        let last = aged.checked_sub(1).and_then(|last| self.marks.get(last));
        last.map_or(Position::START, |mark| mark.position)
    }

    /// The marks as they are to be set now, if one is due.
    pub(super) fn next_marks(&self, bounds: &Bounds) -> Option<Vec<Mark>> {
        let age = bounds.age?;
        let mut marks = self.marks.clone();
        match age.next(&marks, self.now) {
            Next::Wait(_) => return None,
            Next::Add => {}
            Next::Replace => drop(marks.pop()),
        }
        marks.push(Mark {
            position: self.last,
            time: self.now,
        });
        // The last mark that is too old stays, for the next turn to find.
        let forgotten = age.aged(&marks, self.now).saturating_sub(1);
        marks.drain(..forgotten);
        Some(marks)
    }

    /// The first segment that is kept.
    pub(super) fn oldest(&self) -> Segment {
        self.kept()
            .next()
            .map_or(self.open, |oldest| oldest.segment)
    }

    /// A segment whose entries are removed, and whose ids and table are not.
    pub(super) fn to_clear(&self) -> Option<Segment> {
        let part = self.segments.iter().find(|part| !part.is_kept)?;
        Some(part.segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retain::{RetainAge, RetainBytes};

    const MIB: u64 = 1024 * 1024;

    fn bounds(age: Option<u64>, bytes: Option<u64>) -> Bounds {
        Bounds::of(Retain {
            age: RetainAge(age.map(Duration::from_secs)),
            bytes: RetainBytes(bytes),
        })
    }

    fn part(segment: i64, before: i64, bytes: u64) -> Part {
        Part {
            segment: Segment(segment),
            before,
            opened: segment * 1000,
            is_kept: true,
            bytes,
        }
    }

    /// Three segments of 10, 20 and 5 entries.
    fn view() -> View {
        View {
            now: 2_500,
            last: Position(Segment(2).start().0 + 5),
            open: Segment(2),
            segments: vec![part(0, 0, MIB), part(1, 10, MIB), part(2, 30, MIB)],
            ids: 100_000,
            marks: Vec::new(),
        }
    }

    #[test]
    fn entries_and_bytes_are_those_of_what_is_kept() {
        let mut view = view();
        assert_eq!(view.entries(), 35);
        assert_eq!(view.used(), 3 * MIB + 3_500);
        assert_eq!(view.free(), 96_500);
        view.segments[0].is_kept = false;
        assert_eq!(view.entries(), 25);
        assert_eq!(view.used(), 2 * MIB + 2_500);
        assert_eq!(view.free(), MIB + 97_500);
        assert_eq!(view.to_clear(), Some(Segment(0)));
    }

    /// At a time when all up to a position is as old as the bound says.
    fn aged_up_to(position: i64) -> Vec<Mark> {
        let mark = |time| Mark {
            position: Position(if time == 0 { position } else { i64::MAX }),
            time,
        };
        (0..=64).map(|number| mark(number * 1000 / 64)).collect()
    }

    #[test]
    fn the_oldest_segment_goes_when_all_of_it_is_too_old_or_there_is_too_much() {
        let mut view = View {
            now: 1_000,
            ..view()
        };
        let (size, second) = (bounds(None, Some(2 * MIB)), bounds(Some(1), None));
        assert_eq!(view.due(&bounds(None, None)), None);
        assert_eq!(view.due(&size), Some((Segment(0), Reason::Size)));
        view.marks = aged_up_to(9);
        assert_eq!(view.due(&second), None);
        view.marks = aged_up_to(10);
        assert_eq!(view.due(&second), Some((Segment(0), Reason::Age)));
    }

    #[test]
    fn the_newest_entry_stays() {
        let mut view = View {
            now: 1_000,
            marks: aged_up_to(i64::MAX),
            ..view()
        };
        let bounds = bounds(Some(1), Some(MIB));
        for segment in [0, 1] {
            let due = view.due(&bounds);
            assert_eq!(due, Some((Segment(segment), Reason::Age)));
            view.segments.remove(0);
        }
        assert_eq!(view.due(&bounds), None);
        // Nor when another segment is open that has none yet.
        view.segments.push(part(3, 35, 0));
        view.open = Segment(3);
        assert_eq!(view.due(&bounds), None);
    }

    #[test]
    fn a_segment_is_followed_by_another_when_it_is_old_or_large_and_has_an_entry() {
        let mut view = view();
        let second = bounds(Some(30), None);
        assert!(!view.is_open_for_too_long(&second));
        view.now = 3_000;
        assert!(view.is_open_for_too_long(&second));
        view.now = 1_000;
        assert!(view.is_open_for_too_long(&second), "the clock was set back");
        view.now = 2_100;
        assert!(!view.is_open_for_too_long(&bounds(None, Some(17 * MIB))));
        assert!(view.is_open_for_too_long(&bounds(None, Some(16 * MIB))));
        view.last = Position(Segment(1).start().0 + 20);
        assert!(!view.is_open_for_too_long(&bounds(None, Some(16 * MIB))));
    }
}
