//! A hash table of small numbers, each found by the bytes that it stands for.

use alloc::vec::Vec;

/// Numbers below 2²⁴ - 1: each stands at its hash, or at the next free position behind it, together
/// with a part of the hash. Without that part, a search would read what each number on its way stands
/// for: memory that is rarely near.
///
/// Requests cannot make a search slow: the operator's own routes decide how far it goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Index {
    /// A power of two of positions, at least a third of them [`FREE`]; none in an index of nothing.
    positions: Vec<u32>,
}

const FREE: u32 = u32::MAX;

/// The bits of a position that are its number's. The others are the hash's.
const NUMBER: u32 = 0x00ff_ffff;

impl Index {
    /// Room for so many numbers; more do not fit.
    pub(crate) fn with_room_for(numbers: usize) -> Self {
        let mut positions = Vec::new();
        if numbers > 0 {
            let size = (numbers + numbers / 2 + 1).next_power_of_two();
            positions.resize(size, FREE);
        }
        Self { positions }
    }

    /// The positions at which a number of this hash may stand, best first.
    fn positions_of(&self, Hash(hash): Hash) -> impl Iterator<Item = usize> + use<> {
        let size = self.positions.len();
        let start = hash as usize;
        (0..size).map(move |step| start.wrapping_add(step) & size.wrapping_sub(1))
    }

    /// Adds a number behind those of the same hash.
    pub(crate) fn insert(&mut self, hash: Hash, number: u32) {
        for position in self.positions_of(hash) {
            if let Some(free @ &mut FREE) = self.positions.get_mut(position) {
                *free = hash.0 & !NUMBER | number & NUMBER;
                return;
            }
        }
    }

    /// The first number of this hash that `is_it` takes.
    pub(crate) fn find(&self, hash: Hash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.positions_of(hash)
            .filter_map(|position| self.positions.get(position).copied())
            .take_while(|position| *position != FREE)
            .filter(|position| (position ^ hash.0) & !NUMBER == 0)
            .map(|position| position & NUMBER)
            .find(|number| is_it(*number))
    }
}

/// FNV-1a: short, and good enough for paths that are not chosen to collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hash(u32);

impl Hash {
    /// The hash of no bytes.
    pub(crate) const EMPTY: Self = Self(0x811c_9dc5);

    /// The hash of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::EMPTY.then(bytes)
    }

    /// The hash of the bytes so far and these.
    pub(crate) fn then(self, bytes: &[u8]) -> Self {
        let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        Self(bytes.iter().fold(self.0, step))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_one_hash_are_found_in_their_order() {
        let mut index = Index::with_room_for(3);
        for number in [7, 8, 9] {
            index.insert(Hash::of(b"same"), number);
        }
        assert_eq!(index.find(Hash::of(b"same"), |_| true), Some(7));
        assert_eq!(index.find(Hash::of(b"same"), |number| number > 7), Some(8));
        assert_eq!(index.find(Hash::of(b"same"), |number| number > 9), None);
    }

    #[test]
    fn a_number_of_another_hash_is_rarely_looked_at() {
        let numbers = 0..10_000_u32;
        let mut index = Index::with_room_for(numbers.len());
        let hash = |number: u32| Hash::of(&number.to_le_bytes());
        for number in numbers.clone() {
            index.insert(hash(number), number);
        }
        let looked_at = core::cell::Cell::new(0);
        for absent in 10_000..20_000 {
            let found = index.find(hash(absent), |_| {
                looked_at.set(looked_at.get() + 1);
                false
            });
            assert_eq!(found, None);
        }
        assert!(looked_at.get() < 1_000, "{}", looked_at.get());
        for number in numbers {
            assert_eq!(
                index.find(hash(number), |known| known == number),
                Some(number)
            );
        }
    }

    #[test]
    fn an_index_of_nothing_has_no_memory_and_finds_nothing() {
        let index = Index::with_room_for(0);
        assert_eq!(index.find(Hash::EMPTY, |_| true), None);
        assert_eq!(index.positions.capacity(), 0);
    }
}
