//! The plugin's configuration: JSON in, a checked table out, or an error that names the key.
//!
//! `filter/schema.json` describes the same for editors and pipelines; a test holds the two
//! together.

use crate::{
    hosts::{Hosts, MAX_HOSTS},
    json::{ConfigError, Key, Node},
    method::{self, MAX_METHODS, Methods},
    metrics::{self, Labels, MAX_OBSERVED},
    name::Name,
    path,
    route::{Admission, Annotation, Cors, MAX_ROUTES, Observation, Pattern, Route, Slot},
    routes::Routes,
    table::RouteTable,
    template,
    text::around_number,
};
use alloc::{borrow::Cow, string::String, vec::Vec};

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
    /// The hosts that are guarded.
    pub hosts: Hosts,
    /// This proxy in `proxy-status` and `server-timing`.
    pub name: Name,
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
    /// The bytes are not JSON, a key is unknown, missing or there twice, a value is not allowed or
    /// without effect, two routes are equal, or more than 64 names are observed. One error is given.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        if bytes.is_empty() {
            return Err(Key::Root.error(MISSING));
        }
        let root = Node::root(bytes)?;
        let [hosts, name, routes, fallback, labels] =
            root.fields(["hosts", "name", "routes", "fallback", "labels"])?;
        let list = routes.ok_or_else(|| Key::Field(&root.key, "routes").error(MISSING))?;
        let mut observed = Vec::new();
        Ok(Self {
            hosts: match &hosts {
                None => Hosts::default(),
                Some(list) => guarded_hosts(list)?,
            },
            name: match &name {
                None => Name::default(),
                Some(node) => proxy_name(node)?,
            },
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

    /// Whether a request may pass. `header` gives the values of its headers by their lower-case
    /// names; [`Config::reads`] says which.
    pub fn admit<'h>(&self, header: impl Fn(&str) -> Option<&'h [u8]>) -> Admission<'_> {
        if self.hosts.contains_by(|| header(":authority")) {
            self.routes.admit(header)
        } else {
            Admission::OtherHost
        }
    }

    /// What [`Config::admit`] reads.
    pub fn reads(&self) -> Reads {
        match self.hosts.is_all() && !self.routes.restricts_methods() {
            true => Reads::Path,
            false => Reads::Headers,
        }
    }
}

/// What a decision needs of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// `:path` alone.
    Path,
    /// Several headers.
    Headers,
}

const MISSING: &str = "is missing";
const ROUTE: [&str; 6] = ["path", "prefix", "methods", "cors", "observe", "annotate"];

fn guarded_hosts(list: &Node<'_, '_>) -> Result<Hosts, ConfigError> {
    let mut hosts = Hosts::default();
    for node in list.list(MAX_HOSTS)?.iter() {
        let added = hosts.add(&node.string()?);
        added.map_err(|problem| node.error(problem))?;
    }
    Ok(hosts)
}

fn proxy_name(node: &Node<'_, '_>) -> Result<Name, ConfigError> {
    let problem = "must be a letter, then letters, digits, \".\", \"_\", \"-\"; at most 64";
    Name::new(&node.string()?).ok_or_else(|| node.error(problem))
}

fn table(list: &Node<'_, '_>, observed: &mut Vec<String>) -> Result<RouteTable, ConfigError> {
    let items = list.list(MAX_ROUTES)?;
    // Measured first: a table that grows as it is filled leaves holes in a memory that cannot shrink.
    let length = |route: Node<'_, '_>| Some(text(&route)?.length());
    let bytes = items.iter().filter_map(length).sum();
    let mut routes = Routes::with_room_for(items.length(), bytes);
    for node in items.iter() {
        routes.push(&route(&node, observed)?);
    }
    RouteTable::of(routes).map_err(|equal| {
        let problem = around_number("is the same route as routes[", equal.first, "]");
        match items.iter().nth(equal.second) {
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
    let [path, prefix, methods, cors, observe, annotate] = node.fields(ROUTE)?;
    let pattern = match (path, prefix) {
        (Some(path), None) => path_pattern(&path)?,
        (None, Some(prefix)) => match checked(&prefix, path::configured_problem)? {
            text if text.ends_with('/') => Pattern::Prefix(text),
            _ => return Err(prefix.error("must end with \"/\"")),
        },
        _ => return Err(node.error("must have either path or prefix")),
    };
    let methods = match methods {
        None => None,
        Some(list) => Some(Cow::Owned(route_methods(&list)?)),
    };
    Ok(Route {
        pattern,
        cors: match &cors {
            None => Cors::Guard,
            Some(node) if methods.is_none() => {
                return Err(node.error("has no effect without methods"));
            }
            Some(node) => match &*node.string()? {
                "guard" => Cors::Guard,
                "pass" => Cors::Pass,
                _ => return Err(node.error("must be \"guard\" or \"pass\"")),
            },
        },
        methods,
        observed: match (&observe, &annotate) {
            (None, None) => None,
            (None, Some(node)) => return Err(node.error("has no effect without observe")),
            (Some(name), annotate) => Some(Observation {
                slot: slot(name, observed)?,
                annotation: match annotate {
                    Some(node) if !node.boolean()? => Annotation::None,
                    _ => Annotation::Headers,
                },
            }),
        },
    })
}

fn path_pattern<'t>(node: &Node<'t, '_>) -> Result<Pattern<'t>, ConfigError> {
    Ok(match template::is_template(&node.string()?) {
        true => Pattern::Template(checked(node, template::configured_problem)?),
        false => Pattern::Exact(checked(node, path::configured_problem)?),
    })
}

fn checked<'t>(
    node: &Node<'t, '_>,
    problem: impl FnOnce(&str) -> Option<&'static str>,
) -> Result<Cow<'t, str>, ConfigError> {
    let text = node.string()?;
    match problem(&text) {
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
            return Err(node.error("is one name more than the 64 allowed"));
        }
    };
    // Below 64.
    Ok(Slot(u8::try_from(place).unwrap_or(u8::MAX)))
}
