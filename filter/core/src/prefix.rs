//! The prefixes of a table: the longest that a path starts with.

use alloc::{collections::BinaryHeap, vec::Vec};

/// Places of the routes that match prefixes, sorted by their texts.
///
/// One binary search finds the last prefix that does not sort after the path. If the path starts
/// with a shorter prefix, then so does everything that sorts between the two: it is one of those
/// that the found one lies in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prefixes {
    sorted: Vec<Prefix>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Prefix {
    place: u32,
    /// The position of the longest other prefix that this one starts with.
    outer: Option<u16>,
}

impl Prefixes {
    /// The prefixes at these places, of which there are at most [`crate::route::MAX_ROUTES`].
    ///
    /// # Errors
    /// Two are equal: their places.
    pub(crate) fn new<'t>(
        places: impl Iterator<Item = u32>,
        text: impl Fn(u32) -> &'t [u8],
    ) -> Result<Self, (u32, u32)> {
        // Sorted by a heap, whose code is a tenth of that of the slice's own sort.
        let heap: BinaryHeap<_> = places.map(|place| (text(place), place)).collect();
        let mut sorted: Vec<_> = heap
            .into_sorted_vec()
            .into_iter()
            .map(|(_, place)| Prefix { place, outer: None })
            .collect();
        for position in 1..sorted.len() {
            let Some(own) = sorted.get(position).map(|prefix| text(prefix.place)) else {
                continue;
            };
            let mut outer = u16::try_from(position - 1).ok();
            while let Some(candidate) = outer.and_then(|outer| sorted.get(usize::from(outer))) {
                let longest = text(candidate.place);
                if longest == own {
                    let later = sorted.get(position).map_or(candidate.place, |it| it.place);
                    return Err((candidate.place, later));
                }
                if own.starts_with(longest) {
                    break;
                }
                outer = candidate.outer;
            }
            if let Some(prefix) = sorted.get_mut(position) {
                prefix.outer = outer;
            }
        }
        Ok(Self { sorted })
    }

    /// The place of the longest prefix that `path` starts with.
    pub(crate) fn find<'t>(&self, path: &[u8], text: impl Fn(u32) -> &'t [u8]) -> Option<u32> {
        let after = self
            .sorted
            .partition_point(|prefix| text(prefix.place) <= path);
        let mut candidate = self.sorted.get(after.checked_sub(1)?)?;
        while !path.starts_with(text(candidate.place)) {
            candidate = self.sorted.get(usize::from(candidate.outer?))?;
        }
        Some(candidate.place)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 5] = ["/", "/a/", "/a/b/c/", "/a/b/", "/b/"];

    fn text(place: u32) -> &'static [u8] {
        TEXTS[place as usize].as_bytes()
    }

    #[test]
    fn the_longest_is_found() {
        let prefixes = Prefixes::new(0..5, text).unwrap();
        for (path, expected) in [
            ("/", Some("/")),
            ("/a", Some("/")),
            ("/a/", Some("/a/")),
            ("/a/b", Some("/a/")),
            ("/a/b/x", Some("/a/b/")),
            ("/a/b/c/d", Some("/a/b/c/")),
            ("/a/b/z/d", Some("/a/b/")),
            ("/a/z/d", Some("/a/")),
            ("/a0", Some("/")),
            ("/b/", Some("/b/")),
            ("/c", Some("/")),
            ("", None),
        ] {
            let found = prefixes.find(path.as_bytes(), text);
            assert_eq!(found.map(|place| TEXTS[place as usize]), expected, "{path}");
        }
    }

    #[test]
    fn equal_ones_are_refused() {
        let text = |place: u32| [&b"/a/"[..], b"/b/", b"/a/"][place as usize];
        assert_eq!(Prefixes::new(0..3, text), Err((0, 2)));
        assert!(Prefixes::new(0..2, text).is_ok());
    }
}
