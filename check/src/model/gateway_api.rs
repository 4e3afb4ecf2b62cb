//! HTTPRoute and GRPCRoute as route tables, as istiod converts them.

use super::duration::Duration;
use super::field::{At, Field, Place, Present, Read, Tree};
use super::meta::Meta;
use super::route::{Api, Destination, Fault, HttpMatch, HttpRoute, Retries, RouteTable};
use super::text_match::TextMatch;

impl RouteTable {
    pub(super) fn gateway_api(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        let parents: Vec<Parent> = spec.or_default("parentRefs")?;
        let rules: Vec<Rule> = spec.or_default("rules")?;
        let hosts: Vec<At<String>> = spec.or_default("hostnames")?;
        let gateways = parents
            .into_iter()
            .map(|parent| parent.name_from(&meta.namespace))
            .collect();
        Ok(Self {
            meta,
            api: Api::GatewayApi,
            hosts,
            gateways,
            http: rules.into_iter().map(|it| it.0).collect(),
            tls: Vec::new(),
            tcp: Vec::new(),
            export_to: None,
        })
    }
}

struct Parent {
    kind: Option<String>,
    name: At<String>,
    namespace: Option<String>,
}

impl Field for Parent {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            kind: tree.maybe("kind")?,
            name: tree.must("name")?,
            namespace: tree.maybe("namespace")?,
        })
    }
}

impl Parent {
    /// `mesh` for a Service, else the Gateway with its namespace.
    fn name_from(self, namespace: &str) -> At<String> {
        let place = self.name.place;
        let value = match self.kind.as_deref() {
            Some("Service" | "ServiceEntry") => "mesh".to_owned(),
            _ => format!(
                "{}/{}",
                self.namespace.as_deref().unwrap_or(namespace),
                self.name.value
            ),
        };
        At { place, value }
    }
}

struct Rule(HttpRoute);

impl Field for Rule {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let timeouts = tree.get("timeouts");
        let request: Option<At<Duration>> = timeouts
            .map(|it| it.maybe("request"))
            .transpose()?
            .flatten();
        let backend: Option<At<Duration>> = timeouts
            .map(|it| it.maybe("backendRequest"))
            .transpose()?
            .flatten()
            .filter(|it: &At<Duration>| !it.is_zero());
        let mut retries: Option<At<Retries>> = tree.get("retry").map(retries).transpose()?;
        let mut timeout = request.filter(|it| !it.is_zero());
        // As istiod: a backend's timeout is a try's with retries, and the route's without.
        match &mut retries {
            Some(retries) => retries.value.per_try_timeout = backend,
            None => timeout = backend.or(timeout),
        }
        let filters: Vec<Filter> = tree.or_default("filters")?;
        let destinations: Vec<Backend> = tree.or_default("backendRefs")?;
        let matches: Vec<At<Match>> = tree.or_default("matches")?;
        Ok(Self(HttpRoute {
            place: tree.place(),
            name: tree.maybe("name")?,
            matches: matches
                .into_iter()
                .map(|it| At {
                    place: it.place,
                    value: it.value.0,
                })
                .collect(),
            destinations: destinations.into_iter().map(|it| it.0).collect(),
            mirrors: Vec::new(),
            answers: filters.iter().any(|it| it.0 == "RequestRedirect"),
            delegate: None,
            rewrite: None,
            timeout,
            retries,
            fault: Fault::default(),
            cors: None,
        }))
    }
}

/// The conditions that istiod gives every HTTPRoute's retries; its codes come on top.
const RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled";

fn retries(tree: Tree<'_>) -> Read<At<Retries>> {
    let codes: Vec<u32> = tree.or_default("codes")?;
    let retry_on = codes
        .iter()
        .fold(RETRY_ON.to_owned(), |all, code| format!("{all},{code}"));
    let place = tree.place();
    let attempts: Option<At<i64>> = tree.maybe("attempts")?;
    let place_of_codes = tree.get("codes").map_or(place, Tree::place);
    Ok(At {
        place,
        value: Retries {
            attempts: Some(attempts.unwrap_or(At { place, value: 2 })),
            per_try_timeout: None,
            retry_on: Some(At {
                place: place_of_codes,
                value: retry_on,
            }),
            ignore_previous_hosts: None,
        },
    })
}

struct Filter(String);

impl Field for Filter {
    fn read(tree: Tree<'_>) -> Read<Self> {
        tree.or_default("type").map(Self)
    }
}

struct Backend(Destination);

impl Field for Backend {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let mut host: At<String> = tree.must("name")?;
        let kind: Option<String> = tree.maybe("kind")?;
        let namespace: Option<String> = tree.maybe("namespace")?;
        if let (Some(namespace), None | Some("Service")) = (namespace, kind.as_deref()) {
            host.value = format!("{}.{namespace}.svc.cluster.local", host.value);
        }
        let place: Place = tree.place();
        // The default of the Gateway API, unlike Istio's.
        let weight: Option<At<u32>> = tree.maybe("weight")?;
        Ok(Self(Destination {
            place,
            host,
            subset: None,
            port: tree.maybe("port")?,
            weight: weight.or(Some(At { place, value: 1 })),
        }))
    }
}

#[derive(Default)]
struct Match(HttpMatch);

impl Field for Match {
    fn read(tree: Tree<'_>) -> Read<Self> {
        // A GRPCRoute's method is a mapping, and its path is not judged.
        let grpc = tree
            .get("method")
            .is_some_and(|it| !it.node.entries().is_empty());
        let path: Option<At<Path>> = tree.maybe("path")?;
        let headers: Vec<Pair> = tree.or_default("headers")?;
        let query: Vec<Pair> = tree.or_default("queryParams")?;
        let method: Option<At<String>> = if grpc { None } else { tree.maybe("method")? };
        let grpc: Option<At<Present>> = if grpc { tree.maybe("method")? } else { None };
        Ok(Self(HttpMatch {
            uri: match (path, grpc) {
                (Some(path), _) => Some(At {
                    place: path.place,
                    value: path.value.0,
                }),
                (None, Some(grpc)) => Some(At {
                    place: grpc.place,
                    value: TextMatch::Regex("/[^/]+/[^/]+".to_owned()),
                }),
                (None, None) => None,
            },
            method: method.map(|it| At {
                place: it.place,
                value: TextMatch::Exact(it.value),
            }),
            headers: headers
                .into_iter()
                .map(|it| (it.0.to_ascii_lowercase(), it.1))
                .collect(),
            query: query.into_iter().map(|it| (it.0, it.1)).collect(),
            ..HttpMatch::default()
        }))
    }
}

struct Path(TextMatch);

impl Field for Path {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let value: String = tree.maybe("value")?.unwrap_or_else(|| "/".to_owned());
        let kind: Option<String> = tree.maybe("type")?;
        Ok(Self(match kind.as_deref() {
            Some("Exact") => TextMatch::Exact(value),
            Some("RegularExpression") => TextMatch::Regex(value),
            _ if value == "/" => TextMatch::Prefix(value),
            _ => TextMatch::Segments(value.trim_end_matches('/').to_owned()),
        }))
    }
}

struct Pair(String, At<TextMatch>);

impl Field for Pair {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let value: At<String> = tree.must("value")?;
        let kind: Option<String> = tree.maybe("type")?;
        let text = match kind.as_deref() {
            Some("RegularExpression") => TextMatch::Regex(value.value),
            _ => TextMatch::Exact(value.value),
        };
        Ok(Self(
            tree.must("name")?,
            At {
                place: value.place,
                value: text,
            },
        ))
    }
}
