//! The plugin's configuration: JSON in, a checked table out, or an error that names the key.
//!
//! `filter/schema.json` describes the same for editors and pipelines; a test holds the two
//! together.

use crate::{
    json::{ConfigError, Key, Node},
    method::{self, MAX_METHODS, Methods},
    metrics::{self, Labels, MAX_OBSERVED},
    path,
    route::{MAX_ROUTES, Pattern, Route, RouteTable, Slot},
};
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use serde_json::{Map, Value};

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
    /// The bytes are not JSON, a key is unknown or missing, a value is not allowed, two routes
    /// match the same path, or more than 64 names are observed. The first error found is given.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.is_empty() {
            return Err(missing(&Key::Root.to_string()));
        }
        let value: Value = serde_json::from_slice(bytes).map_err(|error| ConfigError {
            key: Key::Root.to_string(),
            value: None,
            problem: format!("is not JSON: {error}"),
        })?;
        let root = Node {
            key: Key::Root,
            value: &value,
        };
        let map = root.object(&["routes", "fallback", "labels"])?;

        let list = field(&root, map, "routes").ok_or_else(|| missing("routes"))?;
        let mut observed = Vec::new();
        let mut routes = Vec::new();
        for (index, value) in list.list(MAX_ROUTES)?.iter().enumerate() {
            let node = Node {
                key: Key::Item(&list.key, index),
                value,
            };
            routes.push(route(&node, &mut observed)?);
        }
        Ok(Self {
            routes: table(&list, routes)?,
            observed,
            fallback: match field(&root, map, "fallback") {
                None => Fallback::default(),
                Some(node) => match node.text()? {
                    "enforce" => Fallback::Enforce,
                    "observe" => Fallback::Observe,
                    _ => return Err(node.error("must be \"enforce\" or \"observe\"")),
                },
            },
            labels: match field(&root, map, "labels") {
                Some(node) if node.boolean()? => Labels::Tagged,
                _ => Labels::Plain,
            },
        })
    }
}

/// The field `name` of `parent`, if it is there.
fn field<'a>(parent: &'a Node<'a>, map: &'a Map<String, Value>, name: &'a str) -> Option<Node<'a>> {
    map.get(name).map(|value| Node {
        key: Key::Field(&parent.key, name),
        value,
    })
}

fn missing(key: &str) -> ConfigError {
    ConfigError {
        key: key.to_owned(),
        value: None,
        problem: "is missing".to_owned(),
    }
}

fn route(node: &Node<'_>, observed: &mut Vec<String>) -> Result<Route, ConfigError> {
    let map = node.object(&["path", "prefix", "methods", "observe"])?;
    let pattern = match (field(node, map, "path"), field(node, map, "prefix")) {
        (Some(exact), None) => Pattern::Exact(route_path(&exact)?.to_owned()),
        (None, Some(prefix)) => match route_path(&prefix)? {
            text if text.ends_with('/') => Pattern::Prefix(text.to_owned()),
            _ => return Err(prefix.error("must end with \"/\"")),
        },
        _ => return Err(node.error("must have either path or prefix")),
    };
    let methods = match field(node, map, "methods") {
        None => None,
        Some(list) => Some(route_methods(&list)?),
    };
    let observed = match field(node, map, "observe") {
        None => None,
        Some(name) => Some(slot(&name, observed)?),
    };
    Ok(Route {
        pattern,
        methods,
        observed,
    })
}

fn route_path<'a>(node: &Node<'a>) -> Result<&'a str, ConfigError> {
    let text = node.text()?;
    match path::configured_problem(text) {
        Some(problem) => Err(node.error(problem)),
        None => Ok(text),
    }
}

fn route_methods(list: &Node<'_>) -> Result<Methods, ConfigError> {
    let mut methods = Vec::new();
    for (index, value) in list.list(MAX_METHODS)?.iter().enumerate() {
        let node = Node {
            key: Key::Item(&list.key, index),
            value,
        };
        let method = node.text()?;
        if !method::is_configurable(method) {
            return Err(node.error("must be a method in upper-case letters, such as GET"));
        }
        if methods.contains(&method) {
            return Err(node.error("is there twice"));
        }
        methods.push(method);
    }
    Ok(Methods::new(methods))
}

/// The slot of an observed name: routes of the same name share one.
fn slot(node: &Node<'_>, observed: &mut Vec<String>) -> Result<Slot, ConfigError> {
    let name = node.text()?;
    if !metrics::is_route_name(name) {
        return Err(node.error("must be 1 to 32 of a-z, 0-9 and _"));
    }
    if let Some(index) = observed.iter().position(|known| known == name) {
        return Ok(Slot(index));
    }
    if observed.len() == MAX_OBSERVED {
        return Err(node.error(format!("is one name more than the {MAX_OBSERVED} allowed")));
    }
    observed.push(name.to_owned());
    Ok(Slot(observed.len() - 1))
}

fn table(list: &Node<'_>, routes: Vec<Route>) -> Result<RouteTable, ConfigError> {
    RouteTable::new(routes).map_err(|overlap| {
        let route = Node {
            key: Key::Item(&list.key, overlap.second),
            value: list.value.get(overlap.second).unwrap_or(&Value::Null),
        };
        let name = ["path", "prefix"].map(|name| route.value.get(name).map(|value| (name, value)));
        let problem = format!("is also matched by routes[{}]", overlap.first);
        match name.into_iter().flatten().next() {
            Some((name, value)) => Node {
                key: Key::Field(&route.key, name),
                value,
            }
            .error(problem),
            None => route.error(problem),
        }
    })
}
