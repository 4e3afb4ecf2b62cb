//! The route table: which route takes a path, however many there are.

use crate::{
    index::{Hash, Index},
    path,
    prefix::Prefixes,
    route::{Admission, Cors, Equal, Route},
    routes::{Entry, Kind, Routes},
    template::Templates,
};

/// All routes. Of several that match a path one takes it: an exact path before a template, a
/// template before a prefix, the longest prefix before a shorter one.
///
/// An exact path is found by its hash, in three reads of memory that are not near each other:
/// its place in the index, its entry, its text. A template is found by the hash of its literal
/// segments, once for each shape of as many segments as the path has. A prefix is found by one
/// binary search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteTable {
    routes: Routes,
    exact: Index,
    templates: Templates,
    prefixes: Prefixes,
}

impl RouteTable {
    /// A table of these routes.
    ///
    /// # Errors
    /// Two of them are equal: their indices.
    pub fn new<'r>(routes: impl IntoIterator<Item = Route<'r>>) -> Result<Self, Equal> {
        let mut copies = Routes::with_room_for(0, 0);
        routes.into_iter().for_each(|route| copies.push(&route));
        Self::of(copies)
    }

    /// A table of these routes, as [`RouteTable::new`].
    pub(crate) fn of(routes: Routes) -> Result<Self, Equal> {
        let text = |place| routes.text(place);
        let equal = |first: u32, second: u32| Equal {
            first: first as usize,
            second: second as usize,
        };

        let mut exact = Index::with_room_for(routes.places_of(Kind::Exact).count());
        for place in routes.places_of(Kind::Exact) {
            let path = text(place);
            let hash = Hash::of(path);
            if let Some(known) = exact.find(hash, |known| text(known) == path) {
                return Err(equal(known, place));
            }
            exact.insert(hash, place);
        }
        let mut templates = Templates::with_room_for(routes.places_of(Kind::Template).count());
        for place in routes.places_of(Kind::Template) {
            let inserted = templates.insert(place, text);
            inserted.map_err(|known| equal(known, place))?;
        }
        let prefixes = Prefixes::new(routes.places_of(Kind::Prefix), text)
            .map_err(|(first, second)| equal(first, second))?;
        Ok(Self {
            exact,
            templates,
            prefixes,
            routes,
        })
    }

    /// All routes, in the order of the configuration.
    pub fn iter(&self) -> impl Iterator<Item = Route<'_>> {
        self.routes
            .places()
            .filter_map(|place| self.routes.route(place))
    }

    /// The route that takes `path` (without a query), if any.
    pub fn find(&self, path: &[u8]) -> Option<Route<'_>> {
        self.routes.route(self.place_of(path)?)
    }

    /// Whether any route takes some methods only: if none does, the path is all that is read.
    pub fn restricts_methods(&self) -> bool {
        self.routes.restrict_methods()
    }

    /// Whether a request may pass. `header` gives the values of its headers by their lower-case
    /// names; of these are asked `:path` (a query does not matter) and, only if the route restricts
    /// methods, `:method` and those of a CORS preflight.
    pub fn admit<'h>(&self, header: impl Fn(&str) -> Option<&'h [u8]>) -> Admission<'_> {
        let path = header(":path").map(path::without_query);
        let place = path.and_then(|path| self.place_of(path));
        let Some(entry) = place.and_then(|place| self.routes.entry(place)) else {
            return Admission::Unknown;
        };
        let Some(methods) = self.routes.methods(entry) else {
            return Admission::Allowed(entry.observed);
        };
        let method = header(":method").unwrap_or_default();
        if methods.contains(method) {
            Admission::Allowed(entry.observed)
        } else if passes_as_preflight(entry, method, header) {
            Admission::Allowed(None)
        } else {
            Admission::MethodNotAllowed(methods)
        }
    }

    /// The place of the route that takes `path`.
    fn place_of(&self, path: &[u8]) -> Option<u32> {
        let text = |place| self.routes.text(place);
        let exact = self.exact.find(Hash::of(path), |place| text(place) == path);
        if exact.is_some() || self.templates.is_empty() && self.prefixes.is_empty() {
            return exact;
        }
        // Only now, since every configured path is unambiguous.
        if !path::is_unambiguous(path) {
            return None;
        }
        let template = self.templates.find(path, text);
        template.or_else(|| self.prefixes.find(path, text))
    }
}

/// Whether this is a CORS preflight request (Fetch standard, section 3.2.2) that its route leaves to
/// the mesh.
fn passes_as_preflight<'h>(
    entry: &Entry,
    method: &[u8],
    header: impl Fn(&str) -> Option<&'h [u8]>,
) -> bool {
    entry.cors == Cors::Pass
        && method == b"OPTIONS"
        && header("origin").is_some()
        && header("access-control-request-method").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        method::Methods,
        route::{MAX_ROUTES, Pattern},
    };
    use alloc::{borrow::Cow, string::String, vec::Vec};

    fn route(pattern: Pattern<'_>) -> Route<'_> {
        Route {
            pattern,
            methods: None,
            cors: Cors::Guard,
            observed: None,
        }
    }

    fn exact(path: &str) -> Route<'_> {
        route(Pattern::Exact(path.into()))
    }

    fn template(path: &str) -> Route<'_> {
        route(Pattern::Template(path.into()))
    }

    fn prefix(path: &str) -> Route<'_> {
        route(Pattern::Prefix(path.into()))
    }

    #[test]
    fn exact_beats_template_beats_the_longest_prefix() {
        let table = RouteTable::new([
            prefix("/"),
            prefix("/a/"),
            template("/a/{x}"),
            exact("/a/b"),
            template("/{x}/b"),
            exact("/a/"),
        ])
        .unwrap();
        for (path, expected) in [
            ("/a/b", exact("/a/b")),
            ("/a/c", template("/a/{x}")),
            ("/c/b", template("/{x}/b")),
            ("/a/", exact("/a/")),
            ("/a/c/d", prefix("/a/")),
            ("/c", prefix("/")),
        ] {
            assert_eq!(table.find(path.as_bytes()), Some(expected), "{path}");
        }
        for path in ["/a/%2e", "/a/;x", "/a//b", "/%c0%ae/b", ""] {
            assert_eq!(table.find(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn equal_routes_are_found_wherever_they_stand() {
        let equal = |routes| RouteTable::new(routes).unwrap_err();
        let pair = |first, second| Equal { first, second };
        assert_eq!(
            equal(vec![exact("/a"), exact("/b"), exact("/a")]),
            pair(0, 2)
        );
        assert_eq!(
            equal(vec![
                prefix("/b/"),
                exact("/z"),
                prefix("/a/"),
                prefix("/b/")
            ]),
            pair(0, 3)
        );
        assert_eq!(
            equal(vec![exact("/z"), template("/{a}"), template("/{b}")]),
            pair(1, 2)
        );
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
        let table = RouteTable::new([exact("/any"), posts]).unwrap();
        let only_path = |path: &'static str| {
            table.admit(move |name| match name {
                ":path" => Some(path.as_bytes()),
                other => panic!("{other} is read"),
            })
        };
        assert_eq!(only_path("/any?x"), Admission::Allowed(None));
        assert_eq!(only_path("/none"), Admission::Unknown);
        assert_eq!(table.admit(|_| None), Admission::Unknown);
        let methods = Methods::new(["POST"]);
        let refused = Admission::MethodNotAllowed(&methods);
        let post = |method: Option<&'static str>| {
            table.admit(move |name| match name {
                ":path" => Some(b"/post"),
                ":method" => method.map(str::as_bytes),
                other => panic!("{other} is read"),
            })
        };
        assert_eq!(post(Some("GET")), refused);
        assert_eq!(post(Some("POST")), Admission::Allowed(None));
        assert_eq!(post(None), refused);
    }

    #[test]
    fn a_whole_preflight_passes_where_the_route_leaves_it_to_the_mesh() {
        let route = |path, cors| Route {
            methods: Some(Cow::Owned(Methods::new(["GET"]))),
            cors,
            ..exact(path)
        };
        let routes = [route("/pass", Cors::Pass), route("/guard", Cors::Guard)];
        let table = RouteTable::new(routes).unwrap();
        let whole = [
            (":method", "OPTIONS"),
            ("origin", "https://a.example"),
            ("access-control-request-method", "POST"),
        ];
        let passes = |path: &'static str, headers: &[(&str, &'static str)]| {
            let value = |name: &str| {
                let found = headers.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| value.as_bytes())
            };
            let header = |name: &str| match name {
                ":path" => Some(path.as_bytes()),
                _ => value(name),
            };
            table.admit(header) == Admission::Allowed(None)
        };
        assert!(passes("/pass", &whole));
        assert!(!passes("/guard", &whole));
        for missing in 0..whole.len() {
            let mut headers = whole.to_vec();
            headers.remove(missing);
            assert!(!passes("/pass", &headers), "{headers:?}");
        }
    }
}
