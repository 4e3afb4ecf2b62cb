//! The route table: which route takes a path, however many there are.

use crate::{
    method::Methods,
    path,
    route::{Admission, Overlap, Pattern, Route, Slot},
};
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::ops::Range;

/// All routes. None matches a path that another one matches.
///
/// An exact path is found by its hash, in three reads of memory that are not near each other:
/// its place in the index, its entry, its text. Prefixes, of which tables have few, are found by
/// one binary search: of all prefixes not after a path only the last can match it. (If an earlier
/// one matched, every prefix between it and the path would start with it, and would have been
/// refused as an overlap.)
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    routes: Routes,
    exact: Index,
    /// Places of the routes that match prefixes, sorted by their texts.
    prefixes: Vec<u32>,
}

impl RouteTable {
    /// A table of these routes.
    ///
    /// # Errors
    /// Two of them match the same path: their indices.
    pub fn new<'r>(routes: impl IntoIterator<Item = Route<'r>>) -> Result<Self, Overlap> {
        let mut copies = Routes::with_room_for(0, 0);
        routes.into_iter().for_each(|route| copies.push(&route));
        Self::of(copies)
    }

    /// A table of these routes, as [`RouteTable::new`].
    pub(crate) fn of(routes: Routes) -> Result<Self, Overlap> {
        let mut sorted: Vec<u32> = routes.places().collect();
        // Of equal texts the prefix sorts first, so that neighbours show every overlap.
        let is_exact = |place: u32| !routes.is_prefix(place);
        sorted.sort_unstable_by_key(|place| (routes.text(*place), is_exact(*place)));
        for pair in sorted.windows(2) {
            if let [a, b] = *pair
                && routes.overlap(a, b)
            {
                let [first, second] = [a.min(b), a.max(b)].map(|place| place as usize);
                return Err(Overlap { first, second });
            }
        }
        let mut exact = Index::with_room_for(sorted.len());
        for place in sorted.iter().filter(|place| is_exact(**place)) {
            exact.insert(routes.text(*place), *place);
        }
        sorted.retain(|place| routes.is_prefix(*place));
        sorted.shrink_to_fit();
        Ok(Self {
            routes,
            exact,
            prefixes: sorted,
        })
    }

    /// All routes, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = Route<'_>> {
        self.routes
            .places()
            .filter_map(|place| self.routes.route(place))
    }

    /// The route that matches `path` (without a query), if any.
    pub fn find(&self, path: &[u8]) -> Option<Route<'_>> {
        self.routes.route(self.place_of(path)?)
    }

    /// Whether any route takes some methods only: if none does, no method has to be read.
    pub fn restricts_methods(&self) -> bool {
        !self.routes.methods.is_empty()
    }

    /// Whether a request for `target` (a `:path` value, query and all; `None` if it has none)
    /// may pass. `method` is asked for only if the route restricts methods.
    pub fn admit<M: AsRef<[u8]>>(
        &self,
        target: Option<&[u8]>,
        method: impl FnOnce() -> Option<M>,
    ) -> Admission<'_> {
        let place = target.and_then(|target| self.place_of(path::without_query(target)));
        let Some(entry) = place.and_then(|place| self.routes.entry(place)) else {
            return Admission::Unknown;
        };
        match self.routes.methods(entry) {
            Some(methods) if !method().is_some_and(|m| methods.contains(m.as_ref())) => {
                Admission::MethodNotAllowed(methods)
            }
            _ => Admission::Allowed(entry.observed),
        }
    }

    /// The place of the route that matches `path`.
    fn place_of(&self, path: &[u8]) -> Option<u32> {
        let text = |place| self.routes.text(place);
        self.exact.find(path, text).or_else(|| {
            let after = self.prefixes.partition_point(|place| text(*place) <= path);
            let last = *self.prefixes.get(after.checked_sub(1)?)?;
            (path.starts_with(text(last)) && path::is_unambiguous(path)).then_some(last)
        })
    }
}

/// What the routes are, close together: 10,000 of them are 120 KB and their texts. They are copied,
/// so that a configuration need not be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routes {
    /// Every path and prefix, one behind the other.
    texts: String,
    /// In the order of the configuration. A route's place here is its name everywhere else.
    entries: Vec<Entry>,
    /// The different sets of methods.
    methods: Vec<Methods>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    /// Where its text starts. It ends where the next one starts.
    start: u32,
    /// Which set of methods it takes, counted from 1; 0 for any method.
    methods: u32,
    observed: Option<Slot>,
    is_prefix: bool,
}

impl Routes {
    /// None yet, with memory for so many whose texts have so many bytes.
    pub(crate) fn with_room_for(routes: usize, bytes: usize) -> Self {
        Self {
            texts: String::with_capacity(bytes),
            entries: Vec::with_capacity(routes),
            methods: Vec::new(),
        }
    }

    /// Adds a route after those before.
    pub(crate) fn push(&mut self, route: &Route<'_>) {
        let entry = Entry {
            // Below 4 GiB: a memory of 32 bits holds them, and the configuration besides.
            start: u32::try_from(self.texts.len()).unwrap_or(u32::MAX),
            methods: self.set_of(route.methods.as_deref()),
            observed: route.observed,
            is_prefix: matches!(route.pattern, Pattern::Prefix(_)),
        };
        self.entries.push(entry);
        self.texts.push_str(route.pattern.text());
    }

    /// The number of this set of methods. Tables have few different ones, so that looking for an
    /// equal one among the last hundred finds nearly all.
    fn set_of(&mut self, methods: Option<&Methods>) -> u32 {
        const LOOKED_AT: usize = 100;
        let Some(methods) = methods else {
            return 0;
        };
        let sets = (1_u32..).zip(&self.methods);
        let mut recent = sets.skip(self.methods.len().saturating_sub(LOOKED_AT));
        if let Some((number, _)) = recent.find(|(_, known)| *known == methods) {
            return number;
        }
        self.methods.push(methods.clone());
        u32::try_from(self.methods.len()).unwrap_or(u32::MAX)
    }

    fn entry(&self, place: u32) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    /// Every place.
    fn places(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// Where in the texts its own is.
    fn span(&self, place: u32) -> Option<Range<usize>> {
        let start = |place| Some(self.entry(place)?.start as usize);
        let end = place.checked_add(1).and_then(start);
        Some(start(place)?..end.unwrap_or(self.texts.len()))
    }

    fn text(&self, place: u32) -> &[u8] {
        let text = |span| self.texts.as_bytes().get(span);
        self.span(place).and_then(text).unwrap_or_default()
    }

    fn is_prefix(&self, place: u32) -> bool {
        self.entry(place).is_some_and(|entry| entry.is_prefix)
    }

    fn methods(&self, entry: &Entry) -> Option<&Methods> {
        self.methods.get((entry.methods as usize).checked_sub(1)?)
    }

    /// Whether a path exists that both match, given that `a` sorts first.
    fn overlap(&self, a: u32, b: u32) -> bool {
        match self.is_prefix(a) {
            true => self.text(b).starts_with(self.text(a)),
            false => self.text(b) == self.text(a),
        }
    }

    fn route(&self, place: u32) -> Option<Route<'_>> {
        let entry = self.entry(place)?;
        let text = Cow::Borrowed(self.texts.get(self.span(place)?)?);
        Some(Route {
            pattern: match entry.is_prefix {
                true => Pattern::Prefix(text),
                false => Pattern::Exact(text),
            },
            methods: self.methods(entry).map(Cow::Borrowed),
            observed: entry.observed,
        })
    }
}

/// A hash table of places: each stands at its hash, or at the next free position behind it.
///
/// Who asks for paths cannot make that slow: the routes are the operator's own, and how far any
/// search goes is decided by them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Index {
    /// A power of two of positions, at least a third of them free. `FREE` stands for nothing.
    positions: Vec<u32>,
}

const FREE: u32 = u32::MAX;

impl Index {
    fn with_room_for(places: usize) -> Self {
        let size = (places + places / 2 + 1).next_power_of_two();
        let mut positions = Vec::new();
        positions.resize(size, FREE);
        Self { positions }
    }

    /// The positions at which `text` may stand, best first.
    fn positions_of(&self, text: &[u8]) -> impl Iterator<Item = usize> + use<> {
        let size = self.positions.len();
        let start = hash(text) as usize;
        (0..size).map(move |step| start.wrapping_add(step) & size.wrapping_sub(1))
    }

    fn insert(&mut self, text: &[u8], place: u32) {
        for position in self.positions_of(text) {
            if let Some(free @ &mut FREE) = self.positions.get_mut(position) {
                *free = place;
                return;
            }
        }
    }

    fn find<'t>(&self, text: &[u8], text_at: impl Fn(u32) -> &'t [u8]) -> Option<u32> {
        self.positions_of(text)
            .filter_map(|position| self.positions.get(position).copied())
            .take_while(|place| *place != FREE)
            .find(|place| text_at(*place) == text)
    }
}

/// FNV-1a: short, and good enough for paths that are not chosen to collide.
fn hash(text: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    text.iter().fold(0x811c_9dc5, step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::MAX_ROUTES;

    fn exact(path: &str) -> Route<'_> {
        Route {
            pattern: Pattern::Exact(path.into()),
            methods: None,
            observed: None,
        }
    }

    fn prefix(path: &str) -> Route<'_> {
        Route {
            pattern: Pattern::Prefix(path.into()),
            ..exact("")
        }
    }

    #[test]
    fn overlaps_are_found_wherever_they_stand() {
        let overlap = |routes| RouteTable::new(routes).unwrap_err();
        let pair = |first, second| Overlap { first, second };
        assert_eq!(
            overlap(vec![exact("/a"), exact("/b"), exact("/a")]),
            pair(0, 2)
        );
        assert_eq!(overlap(vec![exact("/a/x"), prefix("/a/")]), pair(0, 1));
        assert_eq!(overlap(vec![exact("/a/"), prefix("/a/")]), pair(0, 1));
        assert_eq!(overlap(vec![prefix("/a/"), exact("/a/")]), pair(0, 1));
        assert_eq!(
            overlap(vec![prefix("/a/b/"), exact("/z"), prefix("/a/")]),
            pair(0, 2)
        );
        assert_eq!(overlap(vec![prefix("/"), exact("/z")]), pair(0, 1));
        assert!(RouteTable::new(vec![exact("/a"), prefix("/a/"), exact("/a0")]).is_ok());
    }

    #[test]
    fn ten_thousand_routes_are_all_found_and_nothing_else_is() {
        let path = |n: usize| format!("/api/v1/resource/{n:05}");
        let paths: Vec<String> = (0..MAX_ROUTES).map(path).collect();
        let routes = paths.iter().rev().map(|path| exact(path));
        let table = RouteTable::new(routes).unwrap();
        for n in 0..MAX_ROUTES {
            let found = table.find(path(n).as_bytes()).unwrap();
            assert_eq!(found.pattern.text(), path(n));
            assert!(table.find(format!("{}/", path(n)).as_bytes()).is_none());
        }
        assert!(table.find(path(MAX_ROUTES).as_bytes()).is_none());
    }

    #[test]
    fn the_method_is_read_only_where_it_matters() {
        let mut posts = exact("/post");
        posts.methods = Some(Cow::Owned(Methods::new(["POST"])));
        let table = RouteTable::new(vec![exact("/any"), posts]).unwrap();
        let unread = || -> Option<Vec<u8>> { panic!("read") };
        assert_eq!(
            table.admit(Some(b"/any?x"), unread),
            Admission::Allowed(None)
        );
        assert_eq!(table.admit(Some(b"/none"), unread), Admission::Unknown);
        assert_eq!(table.admit(None, unread), Admission::Unknown);
        let methods = Methods::new(["POST"]);
        let refused = Admission::MethodNotAllowed(&methods);
        assert_eq!(table.admit(Some(b"/post"), || Some("GET")), refused);
        assert_eq!(table.admit(Some(b"/post"), || None::<&str>), refused);
    }
}
