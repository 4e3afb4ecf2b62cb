//! State for each of the host's contexts, found in constant time.

use alloc::vec::Vec;
use core::mem;

/// Values by context id: a hash table whose hash is the id. A host numbers its contexts one after the
/// other, so that the low bits spread them evenly, however many are live.
///
/// A library's table adds 4 KB to a module of 64 KiB; this one adds less than 1.
pub(crate) struct Contexts<T> {
    /// A power of two of places, at most half of them taken; none before the first value. A value
    /// stands at its home or, without a gap between, behind it.
    places: Vec<Option<(u32, T)>>,
    taken: usize,
}

impl<T> Contexts<T> {
    pub(crate) const fn new() -> Self {
        Self {
            places: Vec::new(),
            taken: 0,
        }
    }

    /// Keeps `value` for `id`, in place of the one before.
    pub(crate) fn insert(&mut self, id: u32, value: T) {
        if let Some(kept) = self.get_mut(id) {
            *kept = value;
            return;
        }
        if (self.taken + 1) * 2 > self.places.len() {
            self.grow();
        }
        self.put(id, value);
        self.taken += 1;
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let (_, value) = self.places.get(self.find(id)?)?.as_ref()?;
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let place = self.find(id)?;
        let (_, value) = self.places.get_mut(place)?.as_mut()?;
        Some(value)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let mut gap = self.find(id)?;
        let (_, removed) = self.places.get_mut(gap)?.take()?;
        self.taken -= 1;
        // Whatever stands behind the gap and not at its home moves up, so that none is cut off.
        let mut place = gap;
        loop {
            place = (place + 1) & self.mask();
            let Some(Some((next, _))) = self.places.get(place) else {
                return Some(removed);
            };
            let to_home = place.wrapping_sub(self.home(*next)) & self.mask();
            let to_gap = place.wrapping_sub(gap) & self.mask();
            if to_home >= to_gap {
                let moved = self.places.get_mut(place).and_then(Option::take);
                if let Some(empty) = self.places.get_mut(gap) {
                    *empty = moved;
                }
                gap = place;
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    fn mask(&self) -> usize {
        self.places.len().wrapping_sub(1)
    }

    fn home(&self, id: u32) -> usize {
        id as usize & self.mask()
    }

    fn find(&self, id: u32) -> Option<usize> {
        let mut place = self.home(id);
        loop {
            let (known, _) = self.places.get(place)?.as_ref()?;
            if *known == id {
                return Some(place);
            }
            place = (place + 1) & self.mask();
        }
    }

    /// Puts a value at its home, or at the first free place behind it.
    fn put(&mut self, id: u32, value: T) {
        let mut place = self.home(id);
        while let Some(there) = self.places.get_mut(place) {
            if there.is_none() {
                *there = Some((id, value));
                return;
            }
            place = (place + 1) & self.mask();
        }
    }

    fn grow(&mut self) {
        let size = self.places.len().saturating_mul(2).max(16);
        let mut places = Vec::new();
        places.resize_with(size, || None);
        for (id, value) in mem::replace(&mut self.places, places).into_iter().flatten() {
            self.put(id, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;

    #[test]
    fn ids_may_come_in_any_order_and_twice() {
        let mut contexts = Contexts::new();
        for id in [5, 1, u32::MAX, 0, 5] {
            contexts.insert(id, id.wrapping_add(1));
        }
        assert_eq!(contexts.len(), 4);
        assert_eq!(contexts.get(5), Some(&6));
        assert_eq!(contexts.remove(0), Some(1));
        assert_eq!(contexts.remove(0), None);
        assert_eq!(contexts.get_mut(u32::MAX), Some(&mut 0));
        assert_eq!(contexts.get(2), None);
    }

    /// As a map would, with chains of several and through every growth.
    #[test]
    fn any_history_is_that_of_a_map() {
        let mut random = fastrand::Rng::with_seed(9);
        for spread in [1, 16, 1 << 20] {
            let (mut contexts, mut map) = (Contexts::new(), BTreeMap::new());
            for value in 0..20_000_u32 {
                let id = random.u32(0..400) * spread;
                match random.u8(0..3) {
                    0 => assert_eq!(contexts.remove(id), map.remove(&id)),
                    _ => {
                        contexts.insert(id, value);
                        map.insert(id, value);
                    }
                }
                let asked = random.u32(0..400) * spread;
                assert_eq!(contexts.get(asked), map.get(&asked));
                assert_eq!(contexts.len(), map.len());
            }
        }
    }

    /// With 10,000 at once, old and new, a search passes few places.
    #[test]
    fn searches_stay_short() {
        let mut contexts = Contexts::new();
        (0..10_000).for_each(|id| contexts.insert(id, ()));
        (0..5_000).for_each(|id| {
            contexts.remove(2 * id);
            contexts.insert(id + 10_000, ());
        });
        assert!(contexts.places.len() >= 2 * contexts.len());
        let steps = |place: usize, id: u32| place.wrapping_sub(contexts.home(id)) & contexts.mask();
        let places = contexts.places.iter().enumerate();
        let all = places.filter_map(|(place, kept)| Some(steps(place, kept.as_ref()?.0)));
        let total: usize = all.sum();
        assert!(total < 10_000, "{total} steps for 10,000 searches");
    }
}
