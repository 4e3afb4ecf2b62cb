//! The resources of `istio/`, as far as a request's way depends on them. An unknown key is refused.

mod destination;
mod plugin;
mod route;
mod security;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::destination::{
    Balancing, ConnectionPool, DestinationRule, HttpLimits, LoadBalancer, TcpLimits, Tls, TlsMode,
    TrafficPolicy,
};
pub use self::plugin::{FailStrategy, Phase, PluginMatch, Side, WasmPlugin};
pub use self::route::{
    Body, Delay, Destination, DirectResponse, Exact, Fault, Headers, Host, HttpMatch, HttpRoute,
    Percentage, Port, Regex, Retries, SetHeaders, VirtualService,
};
pub use self::security::{
    Action, AuthorizationPolicy, From, Mtls, MtlsMode, Operation, PeerAuthentication, Rule, Source,
    To,
};

/// Which workload.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Selector {
    /// Its labels.
    pub match_labels: BTreeMap<String, String>,
}
