//! The route table: which paths exist, and what each takes.

use crate::{method::Methods, path};
use alloc::{string::String, vec::Vec};

/// The most routes a configuration may hold.
pub const MAX_ROUTES: usize = 10_000;

/// Which observed route a request belongs to: an index into [`crate::Config::observed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub usize);

/// What a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// This path and no other.
    Exact(String),
    /// Every unambiguous path ([`path::is_unambiguous`]) that starts so; ends with `/`.
    Prefix(String),
}

impl Pattern {
    /// The path or prefix as configured.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text,
        }
    }

    fn matches(&self, path: &[u8]) -> bool {
        match self {
            Self::Exact(exact) => exact.as_bytes() == path,
            Self::Prefix(prefix) => {
                path.starts_with(prefix.as_bytes()) && path::is_unambiguous(path)
            }
        }
    }

    /// Whether a path exists that both match, given that `self` sorts first.
    fn overlaps(&self, next: &Self) -> bool {
        match self {
            Self::Exact(exact) => exact == next.text(),
            Self::Prefix(prefix) => next.text().starts_with(prefix.as_str()),
        }
    }
}

/// One configured route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// What it matches.
    pub pattern: Pattern,
    /// The methods it takes; `None` for any.
    pub methods: Option<Methods>,
    /// Where its outcomes are counted, if they are.
    pub observed: Option<Slot>,
}

/// Two routes, by their place in the configuration, that match the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The one that comes first in the configuration.
    pub first: usize,
    /// The one that comes later.
    pub second: usize,
}

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'t> {
    /// Its route takes it; the slot says where to count its outcome, if anywhere.
    Allowed(Option<Slot>),
    /// Its route exists, but takes only these methods.
    MethodNotAllowed(&'t Methods),
    /// No route matches its path.
    Unknown,
}

/// All routes, found by one binary search however many there are.
///
/// Routes are sorted by text, and none matches what another one matches. So of all texts not
/// after a path only the last can match it: if a prefix matches, every text between the two
/// starts with that prefix too, and would have been refused as an overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    sorted: Vec<Route>,
}

impl RouteTable {
    /// A table of these routes.
    ///
    /// # Errors
    /// Two of them match the same path: their indices.
    pub fn new(routes: Vec<Route>) -> Result<Self, Overlap> {
        let mut numbered: Vec<(usize, Route)> = routes.into_iter().enumerate().collect();
        numbered.sort_unstable_by(|(_, a), (_, b)| {
            let exact = |route: &Route| matches!(route.pattern, Pattern::Exact(_));
            // Of equal texts the prefix sorts first, so that neighbours show every overlap.
            (a.pattern.text(), exact(a)).cmp(&(b.pattern.text(), exact(b)))
        });
        for pair in numbered.windows(2) {
            if let [(a, route), (b, next)] = pair
                && route.pattern.overlaps(&next.pattern)
            {
                let (first, second) = (*a.min(b), *a.max(b));
                return Err(Overlap { first, second });
            }
        }
        let sorted = numbered.into_iter().map(|(_, route)| route).collect();
        Ok(Self { sorted })
    }

    /// All routes, sorted by their text.
    pub fn as_slice(&self) -> &[Route] {
        &self.sorted
    }

    /// The route that matches `path` (without a query), if any.
    pub fn find(&self, path: &[u8]) -> Option<&Route> {
        let after = self
            .sorted
            .partition_point(|route| route.pattern.text().as_bytes() <= path);
        let route = self.sorted.get(after.checked_sub(1)?)?;
        route.pattern.matches(path).then_some(route)
    }

    /// Whether a request for `target` (a `:path` value, query and all; `None` if it has none)
    /// may pass. `method` is asked for only if the route restricts methods: in the proxy, each
    /// header read costs.
    pub fn admit<M: AsRef<[u8]>>(
        &self,
        target: Option<&[u8]>,
        method: impl FnOnce() -> Option<M>,
    ) -> Admission<'_> {
        let Some(route) = target.and_then(|target| self.find(path::without_query(target))) else {
            return Admission::Unknown;
        };
        match &route.methods {
            Some(methods) if !method().is_some_and(|m| methods.contains(m.as_ref())) => {
                Admission::MethodNotAllowed(methods)
            }
            _ => Admission::Allowed(route.observed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(path: &str) -> Route {
        Route {
            pattern: Pattern::Exact(path.into()),
            methods: None,
            observed: None,
        }
    }

    fn prefix(path: &str) -> Route {
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
        let routes = (0..MAX_ROUTES).map(|n| exact(&path(n))).rev().collect();
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
        posts.methods = Some(Methods::new(["POST"]));
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
