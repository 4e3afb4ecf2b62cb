//! Where entries stand: segments of positions, each of which is a partition.

use crate::store::Position;

/// The bits of a position within its segment.
const BITS: u32 = 32;

/// A run of positions that is kept and removed as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Segment(pub(super) i64);

impl Segment {
    /// The segment of a position.
    pub(super) const fn of(position: Position) -> Self {
        Self(position.0 >> BITS)
    }

    /// The one that follows.
    pub(super) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Before its first entry.
    pub(super) const fn start(self) -> Position {
        Position(self.0 << BITS)
    }

    /// The number of its entries up to a position; those of other segments are none of them, or all.
    pub(super) fn up_to(self, position: Position) -> i64 {
        (position.0 - self.start().0).max(0)
    }

    /// The name of its partition.
    pub(super) fn table(self) -> String {
        format!("entries_{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_has_its_positions_and_no_other() {
        let segment = Segment(7);
        assert_eq!(Segment::of(segment.start().next()), segment);
        assert_eq!(Segment::of(Position(segment.next().start().0 - 1)), segment);
        assert_eq!(segment.up_to(Position(segment.start().0 + 5)), 5);
        assert_eq!(segment.up_to(Position::START), 0);
        assert_eq!(Segment::of(Position::START), Segment(0));
    }
}
