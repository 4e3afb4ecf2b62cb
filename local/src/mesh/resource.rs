//! The resources of `istio/`, as far as a request's way depends on them. An unknown key is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Span;

/// `VirtualService.spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualService {
    /// The hosts it is for.
    pub hosts: Vec<String>,
    /// Where it applies: a Gateway's name, or `mesh`.
    pub gateways: Vec<String>,
    /// Its routes; the first that matches is taken.
    pub http: Vec<HttpRoute>,
}

/// A route.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRoute {
    /// Its name, for the access log.
    pub name: String,
    /// What it takes; everything where empty.
    #[serde(default, rename = "match")]
    pub matches: Vec<HttpMatch>,
    /// A fault to inject.
    pub fault: Option<Fault>,
    /// How long all attempts together may take; without limit where absent.
    pub timeout: Option<Span>,
    /// When and how often to try again; Istio's default where absent.
    pub retries: Option<Retries>,
    /// Where it leads; exclusive with `direct_response`.
    #[serde(default)]
    pub route: Vec<Destination>,
    /// The answer it gives by itself.
    pub direct_response: Option<DirectResponse>,
    /// Headers to set.
    pub headers: Option<Headers>,
}

/// What a route takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpMatch {
    /// Which path.
    pub uri: Exact,
    /// Which method; any where absent.
    pub method: Option<Regex>,
}

/// A text that must be equal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    /// The text.
    pub exact: String,
}

/// A regular expression (RE2) that must match the whole text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regex {
    /// The expression.
    pub regex: String,
}

/// A fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A delay before the request is sent on.
    pub delay: Delay,
}

/// A delay.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    /// How long.
    pub fixed_delay: Span,
    /// How many of the requests.
    pub percentage: Percentage,
}

/// A share, in percent.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentage {
    /// From 0 to 100.
    pub value: f64,
}

/// When and how often to try again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retries {
    /// How often beyond the first try.
    pub attempts: u32,
    /// How long one try may take.
    pub per_try_timeout: Option<Span>,
    /// On what, separated by commas.
    pub retry_on: String,
}

/// Where a route leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The service.
    pub destination: Host,
}

/// A service's port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The service's name.
    pub host: String,
    /// Its port.
    pub port: Port,
}

/// A port.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its number.
    pub number: u16,
}

/// An answer that a route gives by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Body,
}

/// A body.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Its text.
    pub string: String,
}

/// Changes to headers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// Of the answer.
    pub response: SetHeaders,
}

/// Headers to set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetHeaders {
    /// By name.
    pub set: BTreeMap<String, String>,
}

/// `DestinationRule.spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DestinationRule {
    /// The service it is for.
    pub host: String,
    /// How it is called.
    pub traffic_policy: TrafficPolicy,
}

/// How a service is called.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficPolicy {
    /// Which of its instances is chosen.
    pub load_balancer: LoadBalancer,
    /// The limits.
    pub connection_pool: ConnectionPool,
    /// How the connection is encrypted.
    pub tls: Tls,
}

/// Load balancing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancer {
    /// The policy.
    pub simple: Balancing,
}

/// A load balancing policy. Istio and Envoy have the same names for these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Balancing {
    /// Of two at random, the one with fewer requests under way.
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// Any.
    Random,
}

impl Balancing {
    /// Envoy's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastRequest => "LEAST_REQUEST",
            Self::RoundRobin => "ROUND_ROBIN",
            Self::Random => "RANDOM",
        }
    }
}

/// The limits of a connection pool.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionPool {
    /// Of connections.
    pub tcp: TcpLimits,
    /// Of requests.
    pub http: HttpLimits,
}

/// Limits of connections.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpLimits {
    /// How many.
    pub max_connections: u32,
}

/// Limits of requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpLimits {
    /// How many may wait for a connection.
    #[serde(rename = "http1MaxPendingRequests")]
    pub max_pending_requests: u32,
}

/// Encryption of calls.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whose certificates.
    pub mode: TlsMode,
}

/// Whose certificates; local mode knows the mesh's only.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TlsMode {
    /// The mesh's own, on both sides.
    IstioMutual,
}

/// `PeerAuthentication.spec`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerAuthentication {
    /// What callers must do.
    pub mtls: Mtls,
}

/// What callers must do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Local mode knows the strict one only.
    pub mode: MtlsMode,
}

/// What callers must do; local mode knows the strict one only.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MtlsMode {
    /// Show a certificate of the mesh.
    Strict,
}

/// `AuthorizationPolicy.spec`; what no rule allows is refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationPolicy {
    /// The workload it is for; all of them where absent.
    pub selector: Option<Selector>,
    /// What its rules do; local mode knows the policies that allow.
    pub action: Option<Action>,
    /// What is allowed.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What a policy's rules do; local mode knows the policies that allow.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// Allow.
    Allow,
}

/// Which workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Its labels.
    pub match_labels: BTreeMap<String, String>,
}

/// What is allowed to whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// To whom.
    pub from: Vec<From>,
    /// What.
    pub to: Vec<To>,
}

/// To whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The caller.
    pub source: Source,
}

/// A caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Its service account: `NAMESPACE/NAME`, or `NAME` in the policy's own namespace.
    pub service_accounts: Vec<String>,
}

/// What.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The requests.
    pub operation: Operation,
}

/// Requests: one of the paths with one of the methods.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The paths.
    pub paths: Vec<String>,
    /// The methods.
    pub methods: Vec<String>,
}

/// `WasmPlugin.spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WasmPlugin {
    /// The workload it is for.
    pub selector: Selector,
    /// On which side of its proxy; both where absent.
    #[serde(default, rename = "match")]
    pub matches: Vec<PluginMatch>,
    /// Where the module is; of no meaning here.
    pub url: String,
    /// Where among the filters.
    pub phase: Phase,
    /// What happens if the module does not load.
    pub fail_strategy: FailStrategy,
    /// The filter's own configuration, as it is.
    pub plugin_config: Map<String, Value>,
}

/// A side of a proxy.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginMatch {
    /// Which.
    pub mode: Side,
}

/// A side of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Side {
    /// What the workload calls.
    Client,
    /// Who calls the workload.
    Server,
}

/// Where among the filters; local mode knows the one in use.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Before everything else.
    Authn,
}

/// What happens if the module does not load. Istio and Envoy have the same names for these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailStrategy {
    /// Requests pass.
    FailOpen,
    /// Requests are refused.
    FailClose,
}

impl FailStrategy {
    /// Envoy's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailOpen => "FAIL_OPEN",
            Self::FailClose => "FAIL_CLOSED",
        }
    }
}
