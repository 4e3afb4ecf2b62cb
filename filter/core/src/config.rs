//! The plugin's configuration: JSON in, a checked table out, or an error that names the key.
//!
//! `filter/schema.json` describes the same for editors and pipelines; a test holds the two
//! together.

use crate::{
    json::{ConfigError, Key, Node},
    method::{self, MAX_METHODS, Methods},
    metrics::{self, Labels, MAX_OBSERVED},
    path,
    route::{MAX_ROUTES, Pattern, Route, Slot},
    table::{RouteTable, Routes},
};
use alloc::{borrow::Cow, format, string::String, vec::Vec};

/// What happens to a request that no route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fallback {
    /// It is counted and answered with 404 or 405.
    #[default]
    Enforce,
    /// It is counted and goes on: for the client side of a sidecar, which sees other services'
    /// paths too.
    Observe,
}

/// A checked configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// All routes there are.
    pub routes: RouteTable,
    /// The names under which outcomes are counted; a [`Slot`] is an index into them.
    pub observed: Vec<String>,
    /// What happens to a request that no route takes.
    pub fallback: Fallback,
    /// How metric names carry route and outcome.
    pub labels: Labels,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The bytes are not JSON, a key is unknown, missing or there twice, a value is not allowed,
    /// two routes match the same path, or more than 64 names are observed. One error is given.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.is_empty() {
            return Err(Key::Root.error(MISSING));
        }
        let root = Node::root(bytes)?;
        let [routes, fallback, labels] = root.fields(["routes", "fallback", "labels"])?;
        let list = routes.ok_or_else(|| Key::Field(&root.key, "routes").error(MISSING))?;
        let mut observed = Vec::new();
        Ok(Self {
            routes: table(&list, &mut observed)?,
            observed,
            fallback: match &fallback {
                None => Fallback::default(),
                Some(node) => match &*node.string()? {
                    "enforce" => Fallback::Enforce,
                    "observe" => Fallback::Observe,
                    _ => return Err(node.error("must be \"enforce\" or \"observe\"")),
                },
            },
            labels: match &labels {
                Some(node) if node.boolean()? => Labels::Tagged,
                _ => Labels::Plain,
            },
        })
    }
}

const MISSING: &str = "is missing";
const ROUTE: [&str; 4] = ["path", "prefix", "methods", "observe"];

fn table(list: &Node<'_, '_>, observed: &mut Vec<String>) -> Result<RouteTable, ConfigError> {
    let items = list.list(MAX_ROUTES)?;
    // Measured first: a table that grows as it is filled leaves holes in a memory that cannot shrink.
    let length = |route: Node<'_, '_>| Some(text(&route)?.length());
    let bytes = items.iter().filter_map(length).sum();
    let mut routes = Routes::with_room_for(items.length(), bytes);
    for node in items.iter() {
        routes.push(&route(&node, observed)?);
    }
    RouteTable::of(routes).map_err(|overlap| {
        let problem = format!("is also matched by routes[{}]", overlap.first);
        match items.iter().nth(overlap.second) {
            Some(node) => text(&node).unwrap_or(node).error(problem),
            None => list.error(problem),
        }
    })
}

/// The path or prefix of a route.
fn text<'t, 'k>(route: &'k Node<'t, '_>) -> Option<Node<'t, 'k>> {
    let [path, prefix, ..] = route.fields(ROUTE).ok()?;
    path.or(prefix)
}

fn route<'t>(node: &Node<'t, '_>, observed: &mut Vec<String>) -> Result<Route<'t>, ConfigError> {
    let [path, prefix, methods, observe] = node.fields(ROUTE)?;
    let pattern = match (path, prefix) {
        (Some(exact), None) => Pattern::Exact(route_path(&exact)?),
        (None, Some(prefix)) => match route_path(&prefix)? {
            text if text.ends_with('/') => Pattern::Prefix(text),
            _ => return Err(prefix.error("must end with \"/\"")),
        },
        _ => return Err(node.error("must have either path or prefix")),
    };
    Ok(Route {
        pattern,
        methods: match methods {
            None => None,
            Some(list) => Some(Cow::Owned(route_methods(&list)?)),
        },
        observed: match observe {
            None => None,
            Some(name) => Some(slot(&name, observed)?),
        },
    })
}

fn route_path<'t>(node: &Node<'t, '_>) -> Result<Cow<'t, str>, ConfigError> {
    let text = node.string()?;
    match path::configured_problem(&text) {
        Some(problem) => Err(node.error(problem)),
        None => Ok(text),
    }
}

fn route_methods(list: &Node<'_, '_>) -> Result<Methods, ConfigError> {
    let mut methods = Vec::new();
    for node in list.list(MAX_METHODS)?.iter() {
        let method = node.string()?;
        if !method::is_configurable(&method) {
            return Err(node.error("must be a method in upper-case letters, such as GET"));
        }
        if methods.contains(&method) {
            return Err(node.error("is there twice"));
        }
        methods.push(method);
    }
    Ok(Methods::new(methods.iter().map(|method| &**method)))
}

/// The slot of an observed name: routes of the same name share one.
fn slot(node: &Node<'_, '_>, observed: &mut Vec<String>) -> Result<Slot, ConfigError> {
    let name = node.string()?;
    if !metrics::is_route_name(&name) {
        return Err(node.error("must be 1 to 32 of a-z, 0-9 and _"));
    }
    let place = match observed.iter().position(|known| *known == name) {
        Some(place) => place,
        None if observed.len() < MAX_OBSERVED => {
            observed.push(name.into_owned());
            observed.len() - 1
        }
        None => {
            return Err(node.error(format!("is one name more than the {MAX_OBSERVED} allowed")));
        }
    };
    // Below 64.
    Ok(Slot(u8::try_from(place).unwrap_or(u8::MAX)))
}
