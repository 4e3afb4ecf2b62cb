//! Memory for what the host gives: a value is read and let go within a callback, so that most
//! requests need nothing of the allocator.

use core::cell::Cell;

/// Bytes for short values, given out from the front. Once all of them are back it starts again.
///
/// It only keeps the books: offsets, no memory.
pub(crate) struct Scratch {
    size: usize,
    used: Cell<usize>,
    live: Cell<usize>,
}

impl Scratch {
    pub(crate) const fn new(size: usize) -> Self {
        Self {
            size,
            used: Cell::new(0),
            live: Cell::new(0),
        }
    }

    /// The offset of `size` bytes; `None` if so many are not left.
    pub(crate) fn take(&self, size: usize) -> Option<usize> {
        let offset = self.used.get();
        let end = offset.checked_add(size).filter(|end| *end <= self.size)?;
        self.used.set(end);
        self.live.set(self.live.get().saturating_add(1));
        Some(offset)
    }

    /// Takes one value back.
    pub(crate) fn give_back(&self) {
        let live = self.live.get().saturating_sub(1);
        self.live.set(live);
        if live == 0 {
            self.used.set(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_do_not_overlap_and_all_of_it_comes_back() {
        let scratch = Scratch::new(10);
        assert_eq!(scratch.take(4), Some(0));
        assert_eq!(scratch.take(6), Some(4));
        assert_eq!(scratch.take(1), None);
        scratch.give_back();
        assert_eq!(scratch.take(1), None, "one value is still read");
        scratch.give_back();
        assert_eq!(scratch.take(usize::MAX), None);
        assert_eq!(scratch.take(10), Some(0));
    }
}
