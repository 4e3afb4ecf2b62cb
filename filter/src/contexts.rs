//! What is kept for each of the host's contexts.

use alloc::vec::Vec;

/// Values by context id, of which a host has few at a time and makes the newest the largest: a
/// sorted list, so that nearly every insertion is at its end.
pub(crate) struct Contexts<T> {
    sorted: Vec<(u32, T)>,
}

impl<T> Contexts<T> {
    pub(crate) const fn new() -> Self {
        Self { sorted: Vec::new() }
    }

    fn place(&self, id: u32) -> Result<usize, usize> {
        self.sorted.binary_search_by_key(&id, |(known, _)| *known)
    }

    /// Keeps `value` for `id`, in place of what was kept before.
    pub(crate) fn insert(&mut self, id: u32, value: T) {
        match self.place(id) {
            Ok(place) => {
                if let Some((_, old)) = self.sorted.get_mut(place) {
                    *old = value;
                }
            }
            // The place is at most the length, which is what `insert` asks for.
            Err(place) => self.sorted.insert(place, (id, value)),
        }
    }

    pub(crate) fn get(&self, id: u32) -> Option<&T> {
        let (_, value) = self.sorted.get(self.place(id).ok()?)?;
        Some(value)
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut T> {
        let place = self.place(id).ok()?;
        let (_, value) = self.sorted.get_mut(place)?;
        Some(value)
    }

    pub(crate) fn remove(&mut self, id: u32) -> Option<T> {
        let place = self.place(id).ok()?;
        Some(self.sorted.remove(place).1)
    }

    pub(crate) fn len(&self) -> usize {
        self.sorted.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
