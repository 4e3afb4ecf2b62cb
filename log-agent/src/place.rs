//! Cursors, as this log agent makes and reads them.

use faultline_service::cursor::Cursor;
use uuid::Uuid;

use crate::store::Position;

/// Where to go on: at a position, or at an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// At this position, whether or not its entry is still there.
    At(Position),
    /// At the entry of this id.
    Entry(Uuid),
}

/// The first half of a position's cursor: `cursor` in ASCII, and version 8 of a UUID, the one whose
/// bits are free. A cursor has the form of an id because earlier versions of custom-app hand on
/// nothing else.
const MARK: u64 = 0x6375_7273_6f72_8000;

/// The variant bits of a UUID, above the position in the second half.
const VARIANT: u64 = 1 << 63;

/// The bits left for the position.
const POSITION: u64 = u64::MAX >> 2;

impl From<Position> for Cursor {
    fn from(Position(position): Position) -> Self {
        let position = position.unsigned_abs() & POSITION;
        Uuid::from_u64_pair(MARK, VARIANT | position).into()
    }
}

impl Place {
    /// Reads a cursor; none where it is neither of this log agent's nor an id.
    pub fn of(cursor: &Cursor) -> Option<Self> {
        let id = Uuid::try_parse(cursor.as_str()).ok()?;
        let (mark, position) = id.as_u64_pair();
        if mark == MARK && position & !POSITION == VARIANT {
            let position = i64::try_from(position & POSITION).ok()?;
            Some(Self::At(Position(position)))
        } else {
            Some(Self::Entry(id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_position_is_read_back(position in 0..1_i64 << 62) {
            let position = Position(position);
            prop_assert_eq!(Place::of(&position.into()), Some(Place::At(position)));
        }

        #[test]
        fn an_entrys_id_stands_for_the_entry(id: u128) {
            let id = Uuid::from_u128(id);
            prop_assert_eq!(Place::of(&id.into()), Some(Place::Entry(id)));
        }

        #[test]
        fn no_text_panics(text in "[A-Za-z0-9._~-]{1,40}") {
            let cursor = Cursor::try_from(text).unwrap();
            let _ = Place::of(&cursor);
        }
    }
}
