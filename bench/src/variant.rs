//! What is compared: which guard stands in Envoy, how many routes it has, and which path is asked.

use crate::peer::Peer;
use serde::{Deserialize, Serialize, Serializer};
use std::fmt;

/// What decides about a request, apart from Envoy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Nothing: every path is answered.
    Bare,
    /// Envoy's own route table, with a 404 at its end.
    Native,
    /// The same as a matching tree: one lookup instead of one comparison for each route.
    NativeTree,
    /// A Lua script with the features of the filter, as far as Lua has them.
    Lua,
    /// The filter.
    Faultline,
    /// The filter, with labels in its metrics' names.
    FaultlineLabels,
    /// The filter as a dynamic module.
    FaultlineModule,
    /// The same with a configuration that it refuses, so that it lets every request pass: the share of
    /// being there.
    ModuleIdle,
    /// A module of another project.
    Peer(&'static Peer),
}

impl Guard {
    /// All but the peers.
    pub(crate) const OURS: [Self; 8] = [
        Self::Bare,
        Self::Native,
        Self::NativeTree,
        Self::Lua,
        Self::Faultline,
        Self::FaultlineLabels,
        Self::FaultlineModule,
        Self::ModuleIdle,
    ];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Native => "native",
            Self::NativeTree => "native-tree",
            Self::Lua => "lua",
            Self::Faultline => "faultline",
            Self::FaultlineLabels => "faultline-labels",
            Self::FaultlineModule => "faultline-module",
            Self::ModuleIdle => "module-idle",
            Self::Peer(peer) => &peer.name,
        }
    }

    /// Whether paths of this kind are asked of it: a peer knows only what its description has.
    pub(crate) fn is_asked(self, path: Kind) -> bool {
        match self {
            Self::Peer(peer) => peer.request(path).is_some(),
            Self::ModuleIdle => path == Kind::Allowed,
            _ => true,
        }
    }
}

impl Serialize for Guard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The shape of the requests. Each is compared with bare Envoy under requests of the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// Four short headers, answered at once.
    Plain,
    /// The same with a `cookie` of [`COOKIE`] bytes.
    Cookie,
    /// [`AT_ONCE`] at once, each delayed behind the guard until the last has arrived.
    Slow,
}

impl Shape {
    /// A word behind the kind of path, in the table; none for plain requests.
    pub(crate) const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Cookie => "-cookie",
            Self::Slow => "-slow",
        }
    }
}

/// Bytes of the large header.
pub(crate) const COOKIE: usize = 8 << 10;

/// Requests under way at once, if they are slow.
pub(crate) const AT_ONCE: usize = 10_000;

/// One Envoy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Setup {
    /// What stands in it.
    pub(crate) guard: Guard,
    /// How many routes that has.
    pub(crate) routes: usize,
    /// The requests it gets.
    pub(crate) shape: Shape,
}

impl Setup {
    /// An Envoy that answers every path: what everything of this shape is compared with.
    pub(crate) const fn bare(shape: Shape) -> Self {
        Self {
            guard: Guard::Bare,
            routes: 0,
            shape,
        }
    }

    /// An Envoy with so many routes, for plain requests.
    pub(crate) const fn plain(guard: Guard, routes: usize) -> Self {
        Self {
            guard,
            routes,
            shape: Shape::Plain,
        }
    }

    /// An Envoy with a module of another project.
    pub(crate) fn of_peer(peer: &'static Peer) -> Self {
        Self::plain(Guard::Peer(peer), peer.routes)
    }
}

/// What kind of path is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A route that takes any method.
    Open,
    /// A route that takes some methods, as the mesh's own routes do.
    Allowed,
    /// Such a route, with its answers annotated and, where the guard can, counted.
    Observed,
    /// No route.
    Unknown,
}

impl Kind {
    /// All of them, in the order of the table.
    pub(crate) const ALL: [Self; 4] = [Self::Open, Self::Allowed, Self::Observed, Self::Unknown];

    /// Its name in the table.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Allowed => "allowed",
            Self::Observed => "observed",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of route number `n`: the three take turns, so that a table of any size has all.
    pub(crate) const fn of_route(n: usize) -> Self {
        match n % 3 {
            0 => Self::Allowed,
            1 => Self::Observed,
            _ => Self::Open,
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Variant {
    /// The Envoy.
    #[serde(flatten)]
    pub(crate) setup: Setup,
    /// What is asked of it.
    pub(crate) path: Kind,
}

impl Variant {
    /// Bare Envoy, measured against itself: the noise.
    pub(crate) const BARE_AGAIN: Self = Self::bare(Shape::Plain);

    /// Bare Envoy under requests of this shape.
    pub(crate) const fn bare(shape: Shape) -> Self {
        Self {
            setup: Setup::bare(shape),
            path: Kind::Allowed,
        }
    }

    /// Whether it is the A/A line.
    pub(crate) fn is_noise(&self) -> bool {
        *self == Self::BARE_AGAIN
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_noise() {
            return f.write_str("bare-again");
        }
        let (guard, path) = (self.setup.guard.name(), self.path.name());
        let (routes, shape) = (self.setup.routes, self.setup.shape.suffix());
        write!(f, "{guard}-{routes}-{path}{shape}")
    }
}

/// How many routes the tables have.
pub(crate) const ROUTES: [usize; 3] = [10, 1_000, 10_000];

/// Every variant, equals beside each other, the A/A line first.
pub(crate) fn all(peers: &[&'static Peer]) -> Vec<Variant> {
    let mut variants = vec![Variant::BARE_AGAIN];
    for routes in ROUTES {
        for path in Kind::ALL {
            // How many methods a route takes has nothing to do with how many routes there are.
            if path == Kind::Open && routes != ROUTES[0] {
                continue;
            }
            for guard in [
                Guard::Native,
                Guard::NativeTree,
                Guard::Lua,
                Guard::Faultline,
                Guard::FaultlineModule,
            ] {
                let setup = Setup::plain(guard, routes);
                variants.push(Variant { setup, path });
            }
            // What one kind of path shows, on the smallest table.
            let once = match (path, routes == ROUTES[0]) {
                (Kind::Allowed, true) => Some(Guard::ModuleIdle),
                (Kind::Observed, true) => Some(Guard::FaultlineLabels),
                _ => None,
            };
            if let Some(guard) = once {
                let setup = Setup::plain(guard, routes);
                variants.push(Variant { setup, path });
            }
            let setups = peers.iter().map(|peer| Setup::of_peer(peer));
            let asked = setups.filter(|peer| peer.routes == routes && peer.guard.is_asked(path));
            variants.extend(asked.map(|setup| Variant { setup, path }));
        }
    }
    // Of the kinds, each shape is asked for the one on which it costs most: all headers of a request
    // are read where methods are restricted, and an observed request is kept until it has ended.
    for (shape, path) in [
        (Shape::Cookie, Kind::Allowed),
        (Shape::Slow, Kind::Observed),
    ] {
        for guard in [Guard::Lua, Guard::Faultline, Guard::FaultlineModule] {
            let setup = Setup {
                shape,
                ..Setup::plain(guard, ROUTES[0])
            };
            variants.push(Variant { setup, path });
        }
    }
    variants
}

/// The variants whose names contain any of `patterns`, all if there are none; the A/A line always.
///
/// # Errors
/// A pattern that no name contains, with the names there are.
pub(crate) fn select(patterns: &[String], peers: &[&'static Peer]) -> anyhow::Result<Vec<Variant>> {
    let mut variants = all(peers);
    for pattern in patterns {
        anyhow::ensure!(
            variants.iter().any(|one| one.to_string().contains(pattern)),
            "--variants: no variant's name contains {pattern:?}; there are {}",
            variants
                .iter()
                .map(Variant::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    if !patterns.is_empty() {
        variants.retain(|one| {
            let name = one.to_string();
            one.is_noise() || patterns.iter().any(|pattern| name.contains(pattern))
        });
    }
    Ok(variants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<String> = all(&[]).iter().map(Variant::to_string).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(names.contains(&"faultline-10000-unknown".to_owned()));
        assert!(names.contains(&"faultline-labels-10-observed".to_owned()));
        assert!(names.contains(&"faultline-module-10000-unknown".to_owned()));
        assert!(names.contains(&"lua-10-allowed-cookie".to_owned()));
        assert!(names.contains(&"faultline-10-observed-slow".to_owned()));
    }

    #[test]
    fn patterns_select_by_name_and_keep_the_noise() {
        let names = |patterns: &[&str]| {
            let patterns: Vec<String> = patterns.iter().map(|&one| one.to_owned()).collect();
            let selected = select(&patterns, &[]).unwrap();
            selected.iter().map(Variant::to_string).collect::<Vec<_>>()
        };
        assert_eq!(names(&["lua-10-open"]), ["bare-again", "lua-10-open"]);
        assert_eq!(names(&["bare-again"]), ["bare-again"]);
        assert_eq!(names(&[]).len(), all(&[]).len());
    }

    #[test]
    fn an_unknown_pattern_is_refused_with_the_names_there_are() {
        let error = select(&["luau".to_owned()], &[]).unwrap_err().to_string();
        assert!(
            error.contains("\"luau\"") && error.contains("lua-10-open"),
            "{error}"
        );
    }

    #[test]
    fn every_table_has_every_kind_of_route() {
        let kinds: Vec<Kind> = (0..ROUTES[0]).map(Kind::of_route).collect();
        for kind in [Kind::Open, Kind::Allowed, Kind::Observed] {
            assert!(kinds.contains(&kind));
        }
    }
}
