//! Routes, wherever they come from: VirtualService, HTTPRoute, GRPCRoute.

use super::duration::Duration;
use super::field::{At, Field, Named, Place, Present, Read, Tree};
use super::meta::Meta;
use super::text_match::{Case, TextMatch};
use super::workload::Labels;

/// The API that a route table was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// Istio's VirtualService.
    Istio,
    /// The Gateway API's HTTPRoute or GRPCRoute.
    GatewayApi,
}

/// Hosts, where they are served, and the routes in order.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTable {
    /// The resource.
    pub meta: Meta,
    /// Its API.
    pub api: Api,
    /// Names as written; none in a VirtualService that only others delegate to.
    pub hosts: Vec<At<String>>,
    /// Gateways as written; empty means the mesh.
    pub gateways: Vec<At<String>>,
    /// HTTP routes, the first that matches wins.
    pub http: Vec<HttpRoute>,
    /// Routes by SNI.
    pub tls: Vec<L4Route>,
    /// Routes by port.
    pub tcp: Vec<L4Route>,
    /// Namespaces that see it; none: all, unless the mesh says otherwise.
    pub export_to: Option<At<Vec<At<String>>>>,
}

/// One HTTP route.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpRoute {
    /// Where it starts.
    pub place: Place,
    /// Its name.
    pub name: Option<String>,
    /// Conditions, any of which is enough; none: every request.
    pub matches: Vec<At<HttpMatch>>,
    /// Destinations.
    pub destinations: Vec<Destination>,
    /// Destinations that get a copy.
    pub mirrors: Vec<Destination>,
    /// Answers by itself: `redirect` or `directResponse`.
    pub answers: bool,
    /// Routes of another VirtualService.
    pub delegate: Option<At<Delegate>>,
    /// Path rewrite.
    pub rewrite: Option<At<Rewrite>>,
    /// The timeout, all tries together.
    pub timeout: Option<At<Duration>>,
    /// Retries.
    pub retries: Option<At<Retries>>,
    /// Faults that are injected.
    pub fault: Fault,
    /// CORS.
    pub cors: Option<At<Cors>>,
}

/// The conditions of one match, all of which must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpMatch {
    /// The path.
    pub uri: Option<At<TextMatch>>,
    /// True where the path's case does not count.
    pub ignore_uri_case: bool,
    /// The method.
    pub method: Option<At<TextMatch>>,
    /// The scheme.
    pub scheme: Option<At<TextMatch>>,
    /// The authority.
    pub authority: Option<At<TextMatch>>,
    /// Headers, by lower-case name.
    pub headers: Vec<(String, At<TextMatch>)>,
    /// Headers that must not match, by lower-case name.
    pub without_headers: Vec<(String, At<TextMatch>)>,
    /// Query parameters.
    pub query: Vec<(String, At<TextMatch>)>,
    /// The port of the listener.
    pub port: Option<At<u32>>,
    /// Labels of the client's workload.
    pub source_labels: Option<At<Labels>>,
    /// The client's namespace.
    pub source_namespace: Option<At<String>>,
    /// Gateways among the VirtualService's own.
    pub gateways: Vec<At<String>>,
}

/// A destination of a route.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// Where it starts.
    pub place: Place,
    /// The host as written.
    pub host: At<String>,
    /// The subset.
    pub subset: Option<At<String>>,
    /// The Service's port.
    pub port: Option<At<u32>>,
    /// Its weight as written.
    pub weight: Option<At<u32>>,
}

/// Retries of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Retries {
    /// Further tries; 0 turns retries off.
    pub attempts: Option<At<i64>>,
    /// The timeout of each try.
    pub per_try_timeout: Option<At<Duration>>,
    /// Conditions, comma-separated; none: Istio's own.
    pub retry_on: Option<At<String>>,
    /// True where a retry goes to another host.
    pub ignore_previous_hosts: Option<At<bool>>,
}

/// Faults of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fault {
    /// A fixed delay and its percentage.
    pub delay: Option<At<Injected<Duration>>>,
    /// An abort and its percentage.
    pub abort: Option<At<Injected<()>>>,
}

/// A fault and how many requests it takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Injected<T> {
    /// What is injected.
    pub value: T,
    /// Of a hundred.
    pub percent: f64,
}

/// A path rewrite.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rewrite {
    /// Put in the place of the matched prefix, or of the whole path.
    pub uri: Option<At<String>>,
    /// True where an expression rewrites.
    pub by_regex: bool,
    /// The authority.
    pub authority: Option<At<String>>,
}

/// A CORS policy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cors {
    /// Methods that the browser may use.
    pub allow_methods: Vec<String>,
    /// Headers that the browser may send.
    pub allow_headers: Vec<String>,
}

/// A VirtualService whose routes are taken in.
#[derive(Clone, Debug, PartialEq)]
pub struct Delegate {
    /// Its name.
    pub name: String,
    /// Its namespace, if another.
    pub namespace: Option<String>,
}

/// A route of TCP or TLS connections.
#[derive(Clone, Debug, PartialEq)]
pub struct L4Route {
    /// Where it starts.
    pub place: Place,
    /// Destinations.
    pub destinations: Vec<Destination>,
}

impl RouteTable {
    pub(super) fn virtual_service(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        Ok(Self {
            meta,
            api: Api::Istio,
            hosts: spec.or_default("hosts")?,
            gateways: spec.or_default("gateways")?,
            http: spec.or_default("http")?,
            tls: spec.or_default("tls")?,
            tcp: spec.or_default("tcp")?,
            export_to: spec.maybe("exportTo")?,
        })
    }

    /// True where the mesh's own proxies use it.
    #[must_use]
    pub fn in_mesh(&self) -> bool {
        self.gateways.is_empty() || self.gateways.iter().any(|it| it.value == "mesh")
    }

    /// The gateways besides the mesh.
    pub fn real_gateways(&self) -> impl Iterator<Item = &At<String>> {
        self.gateways.iter().filter(|it| it.value != "mesh")
    }
}

impl HttpRoute {
    /// Retries that are on.
    #[must_use]
    pub fn active_retries(&self) -> Option<&At<Retries>> {
        let retries = self.retries.as_ref()?;
        (!self.answers && retries.count() > 0).then_some(retries)
    }

    /// The destinations that get requests: with several, those with a weight.
    #[must_use]
    pub fn active_destinations(&self) -> Vec<&Destination> {
        let several = self.destinations.len() > 1;
        let weighted = |it: &&Destination| !several || it.weight.is_some_and(|it| it.value > 0);
        self.destinations.iter().filter(weighted).collect()
    }

    /// The timeout, where there is one: 0 turns it off.
    #[must_use]
    pub fn active_timeout(&self) -> Option<&At<Duration>> {
        self.timeout
            .as_ref()
            .filter(|it| !it.is_zero() && !self.answers)
    }
}

impl HttpMatch {
    /// Whether the path's case counts.
    #[must_use]
    pub const fn case(&self) -> Case {
        match self.ignore_uri_case {
            true => Case::Ignored,
            false => Case::Sensitive,
        }
    }

    /// True where this takes every request, as istiod judges it: what it moves to the end.
    #[must_use]
    pub fn is_catch_all(&self) -> bool {
        let any_path = match self.uri.as_ref().map(|it| &it.value) {
            None | Some(TextMatch::Present) => true,
            Some(TextMatch::Prefix(path)) => path == "/",
            Some(TextMatch::Regex(path)) => path == ".*",
            Some(TextMatch::Exact(_) | TextMatch::Segments(_)) => false,
        };
        any_path
            && self.method.is_none()
            && self.scheme.is_none()
            && self.authority.is_none()
            && self.headers.is_empty()
            && self.without_headers.is_empty()
            && self.query.is_empty()
    }
}

impl Retries {
    /// Further tries after the first. Istio turns retries off where `attempts` is absent from `retries`.
    #[must_use]
    pub fn count(&self) -> u32 {
        let attempts = self.attempts.as_ref().map_or(0, |it| it.value);
        u32::try_from(attempts.max(0)).unwrap_or(u32::MAX)
    }
}

impl Field for HttpRoute {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let redirect: Option<Present> = tree.maybe("redirect")?;
        let direct: Option<Present> = tree.maybe("directResponse")?;
        Ok(Self {
            place: tree.place(),
            name: tree.maybe("name")?,
            matches: tree.or_default("match")?,
            destinations: tree.or_default("route")?,
            mirrors: mirrors(tree)?,
            answers: redirect.is_some() || direct.is_some(),
            delegate: tree.maybe("delegate")?,
            rewrite: tree.maybe("rewrite")?,
            timeout: tree.maybe("timeout")?,
            retries: tree.maybe("retries")?,
            fault: tree.or_default("fault")?,
            cors: tree.maybe("corsPolicy")?,
        })
    }
}

fn mirrors(tree: Tree<'_>) -> Read<Vec<Destination>> {
    let one = tree
        .get("mirror")
        .map(|it| Destination::of(it, tree.place()))
        .transpose()?;
    let mut all: Vec<Mirror> = tree.or_default("mirrors")?;
    all.extend(one.map(Mirror));
    Ok(all.into_iter().map(|it| it.0).collect())
}

struct Mirror(Destination);

impl Field for Mirror {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Destination::read(tree).map(Self)
    }
}

impl Field for HttpMatch {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let lower = |named: Named<At<TextMatch>>| {
            let lower = |(name, value): (At<String>, _)| (name.to_ascii_lowercase(), value);
            named.0.into_iter().map(lower).collect()
        };
        let query: Named<At<TextMatch>> = tree.or_default("queryParams")?;
        Ok(Self {
            uri: tree.maybe("uri")?,
            ignore_uri_case: tree.or_default("ignoreUriCase")?,
            method: tree.maybe("method")?,
            scheme: tree.maybe("scheme")?,
            authority: tree.maybe("authority")?,
            headers: lower(tree.or_default("headers")?),
            without_headers: lower(tree.or_default("withoutHeaders")?),
            query: query
                .0
                .into_iter()
                .map(|(name, value)| (name.value, value))
                .collect(),
            port: tree.maybe("port")?,
            source_labels: tree.maybe("sourceLabels")?,
            source_namespace: tree.maybe("sourceNamespace")?,
            gateways: tree.or_default("gateways")?,
        })
    }
}

impl Field for Destination {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let inner = tree
            .get("destination")
            .ok_or_else(|| tree.unreadable("destination is missing"))?;
        Ok(Self {
            weight: tree.maybe("weight")?,
            ..Self::of(inner, tree.place())?
        })
    }
}

impl Destination {
    fn of(inner: Tree<'_>, place: Place) -> Read<Self> {
        let port = inner
            .get("port")
            .map(|port| port.maybe("number"))
            .transpose()?;
        Ok(Self {
            place,
            host: inner.must("host")?,
            subset: inner.maybe("subset")?,
            port: port.flatten(),
            weight: None,
        })
    }
}

impl Field for Retries {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            attempts: tree.maybe("attempts")?,
            per_try_timeout: tree.maybe("perTryTimeout")?,
            retry_on: tree
                .maybe::<At<String>>("retryOn")?
                .filter(|it| !it.is_empty()),
            ignore_previous_hosts: tree.maybe("retryIgnorePreviousHosts")?,
        })
    }
}

impl Field for Fault {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            delay: tree.maybe::<Option<_>>("delay")?.flatten(),
            abort: tree.maybe("abort")?,
        })
    }
}

/// A delay without a fixed length (`exponentialDelay`) is none.
impl Field for Option<At<Injected<Duration>>> {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let Some(length) = tree.maybe::<At<Duration>>("fixedDelay")? else {
            return Ok(None);
        };
        let percent = percent(tree)?;
        Ok(Some(At {
            place: length.place,
            value: Injected {
                value: length.value,
                percent,
            },
        }))
    }
}

impl Field for Injected<()> {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let percent = percent(tree)?;
        Ok(Self { value: (), percent })
    }
}

/// `percentage.value`, or the old `percent`. Without either, no request gets the fault.
fn percent(tree: Tree<'_>) -> Read<f64> {
    let new = tree
        .get("percentage")
        .map(|it| it.or_default("value"))
        .transpose()?;
    let old = tree.maybe("percent")?;
    Ok(new.or(old).unwrap_or_default())
}

impl Field for Rewrite {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let by_regex: Option<Present> = tree.maybe("uriRegexRewrite")?;
        Ok(Self {
            uri: tree.maybe::<At<String>>("uri")?.filter(|it| !it.is_empty()),
            by_regex: by_regex.is_some(),
            authority: tree.maybe("authority")?,
        })
    }
}

impl Field for Cors {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            allow_methods: tree.or_default("allowMethods")?,
            allow_headers: tree.or_default("allowHeaders")?,
        })
    }
}

impl Field for Delegate {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            name: tree.must("name")?,
            namespace: tree.maybe("namespace")?,
        })
    }
}

impl Field for L4Route {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            place: tree.place(),
            destinations: tree.or_default("route")?,
        })
    }
}
