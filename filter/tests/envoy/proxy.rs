//! The proxy's configuration around the filter.

use crate::host::Host;
use faultline_testbed::{Envoy, Error, Upstream};
use serde_json::{Value, json};
use std::net::SocketAddr;

const TYPES: &str = "type.googleapis.com/envoy";

/// A typed extension configuration: `fields` with their type beside them.
pub(crate) fn typed(name: &str, mut fields: Value) -> Value {
    fields["@type"] = json!(format!("{TYPES}.{name}"));
    fields
}

/// A cluster of one endpoint, or of none.
pub(crate) fn cluster(name: &str, endpoint: Option<SocketAddr>, mut more: Value) -> Value {
    let endpoints: Vec<_> = endpoint
        .into_iter()
        .map(|address| {
            json!({"endpoint": {"address": {"socket_address": {
                "address": address.ip().to_string(),
                "port_value": address.port(),
            }}}})
        })
        .collect();
    more["name"] = json!(name);
    more["load_assignment"] =
        json!({"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]});
    more
}

/// One listener, the filter, more filters behind it, and the router.
pub(crate) struct Proxy {
    pub(crate) plugin: Value,
    pub(crate) filters: Vec<Value>,
    pub(crate) routes: Vec<Value>,
    pub(crate) clusters: Vec<Value>,
    pub(crate) stats_tags: Vec<Value>,
    /// Variables of the process.
    pub(crate) environment: Vec<(&'static str, &'static str)>,
}

impl Proxy {
    /// A proxy that sends everything to `upstream`.
    pub(crate) fn to(host: Host, upstream: &Upstream, configuration: &Value) -> Self {
        let plugin = host.plugin(&configuration.to_string());
        Self {
            plugin: json!({"name": "faultline", "typed_config": plugin}),
            filters: Vec::new(),
            routes: vec![json!({"match": {"prefix": "/"}, "route": {"cluster": "app"}})],
            clusters: vec![cluster("app", Some(upstream.address()), json!({}))],
            stats_tags: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// One that observes `/log` with labels, and takes these out of the metrics' names as Istio's
    /// bootstrap template does for each of meshConfig's extraStatTags.
    pub(crate) fn labelled(host: Host, upstream: &Upstream) -> Self {
        let routes = json!([{"path": "/log", "observe": "log"}]);
        let tag = |tag: &str| json!({"tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)")});
        Self {
            stats_tags: ["route", "outcome"].map(tag).to_vec(),
            ..Self::to(host, upstream, &json!({"routes": routes, "labels": true}))
        }
    }

    /// Starts it; the address is the listener's.
    pub(crate) async fn start(&self) -> (Envoy, SocketAddr) {
        let envoy = self
            .try_start()
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let address = envoy.listener("test").await.unwrap();
        (envoy, address)
    }

    pub(crate) async fn try_start(&self) -> Result<Envoy, Error> {
        let arguments = ["--concurrency", "1"];
        Envoy::start_with(&self.config().to_string(), &arguments, &self.environment).await
    }

    /// The whole configuration.
    pub(crate) fn config(&self) -> Value {
        let mut filters = vec![self.plugin.clone()];
        filters.extend(self.filters.iter().cloned());
        let router = typed("extensions.filters.http.router.v3.Router", json!({}));
        filters.push(json!({"name": "router", "typed_config": router}));
        let manager = typed(
            "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            json!({
                "stat_prefix": "test",
                // As Istio sets it.
                "normalize_path": true,
                "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
                "http_protocol_options": {"accept_http_10": true},
                "http_filters": filters,
                "access_log": [access_log()],
                "route_config": {
                    "validate_clusters": false,
                    "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": self.routes}],
                },
            }),
        );
        json!({
            "node": {"id": "test", "cluster": "test"},
            "layered_runtime": plain_names(),
            // Histograms become visible at a flush.
            "stats_flush_interval": "0.05s",
            "stats_config": {"stats_tags": self.stats_tags},
            "static_resources": {
                "listeners": [{
                    "name": "test",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
                    "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
                }],
                "clusters": self.clusters,
            },
        })
    }
}

/// Names on the Prometheus page as WebAssembly has them. Without the module it does nothing.
fn plain_names() -> Value {
    json!({"layers": [{"name": "test", "static_layer": {
        "envoy.reloadable_features.dynamic_modules_strip_custom_stat_prefix": true,
    }}]})
}

/// One line of JSON per request on standard output.
fn access_log() -> Value {
    let format = json!({
        "path": "%PATH%",
        "code": "%RESPONSE_CODE%",
        "flags": "%RESPONSE_FLAGS%",
        "outcome": "%FILTER_STATE(wasm.faultline.outcome:PLAIN)%",
    });
    let log = typed(
        "extensions.access_loggers.stream.v3.StdoutAccessLog",
        json!({"log_format": {"json_format": format}}),
    );
    json!({"name": "stdout", "typed_config": log})
}
