//! The routes of a table, close together in memory.

use crate::{
    method::Methods,
    route::{Cors, Observation, Pattern, Route},
};
use alloc::{borrow::Cow, string::String, vec::Vec};
use core::ops::Range;

/// All routes: 10,000 of them are 120 KB and their texts. They are copied, so that a configuration
/// need not be kept.
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
pub(crate) struct Entry {
    /// Where its text starts. It ends where the next one starts.
    start: u32,
    /// Which set of methods it takes, counted from 1; 0 for any method.
    methods: u16,
    kind: Kind,
    /// Which preflight requests it lets pass.
    pub(crate) cors: Cors,
    /// Where its outcomes are counted.
    pub(crate) observed: Option<Observation>,
}

/// The kinds of [`Pattern`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Exact,
    Template,
    Prefix,
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
            kind: match route.pattern {
                Pattern::Exact(_) => Kind::Exact,
                Pattern::Template(_) => Kind::Template,
                Pattern::Prefix(_) => Kind::Prefix,
            },
            cors: route.cors,
            observed: route.observed,
        };
        self.entries.push(entry);
        self.texts.push_str(route.pattern.text());
    }

    /// The number of this set of methods: at most [`crate::route::MAX_ROUTES`]. Tables have few
    /// different ones, so that looking for an equal one among the last hundred finds nearly all.
    fn set_of(&mut self, methods: Option<&Methods>) -> u16 {
        const LOOKED_AT: usize = 100;
        let Some(methods) = methods else {
            return 0;
        };
        let sets = (1_u16..).zip(&self.methods);
        let mut recent = sets.skip(self.methods.len().saturating_sub(LOOKED_AT));
        if let Some((number, _)) = recent.find(|(_, known)| *known == methods) {
            return number;
        }
        self.methods.push(methods.clone());
        u16::try_from(self.methods.len()).unwrap_or(u16::MAX)
    }

    pub(crate) fn entry(&self, place: u32) -> Option<&Entry> {
        self.entries.get(place as usize)
    }

    /// Every place.
    pub(crate) fn places(&self) -> impl Iterator<Item = u32> + use<> {
        0..u32::try_from(self.entries.len()).unwrap_or(u32::MAX)
    }

    /// The places of the routes of one kind.
    pub(crate) fn places_of(&self, kind: Kind) -> impl Iterator<Item = u32> {
        let is_kind = move |place: &u32| self.entry(*place).is_some_and(|it| it.kind == kind);
        self.places().filter(is_kind)
    }

    /// Where in the texts its own is.
    fn span(&self, place: u32) -> Option<Range<usize>> {
        let start = |place| Some(self.entry(place)?.start as usize);
        let end = place.checked_add(1).and_then(start);
        Some(start(place)?..end.unwrap_or(self.texts.len()))
    }

    pub(crate) fn text(&self, place: u32) -> &[u8] {
        let text = |span| self.texts.as_bytes().get(span);
        self.span(place).and_then(text).unwrap_or_default()
    }

    /// The methods that a route takes; `None` for any.
    pub(crate) fn methods(&self, entry: &Entry) -> Option<&Methods> {
        self.methods.get(usize::from(entry.methods).checked_sub(1)?)
    }

    /// Whether any route takes some methods only.
    pub(crate) fn restrict_methods(&self) -> bool {
        !self.methods.is_empty()
    }

    pub(crate) fn route(&self, place: u32) -> Option<Route<'_>> {
        let entry = self.entry(place)?;
        let text = Cow::Borrowed(self.texts.get(self.span(place)?)?);
        Some(Route {
            pattern: match entry.kind {
                Kind::Exact => Pattern::Exact(text),
                Kind::Template => Pattern::Template(text),
                Kind::Prefix => Pattern::Prefix(text),
            },
            methods: self.methods(entry).map(Cow::Borrowed),
            cors: entry.cors,
            observed: entry.observed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_twelve_bytes() {
        assert_eq!(size_of::<Entry>(), 12);
    }
}
