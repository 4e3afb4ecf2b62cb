//! Local mode and `istio/` say the same: both are read into facts, each by its own way, and compared.
//!
//! Local mode derives most of this from `istio/`. The comparison does not trust that: it looks at the
//! resources as they are on disk now, and at the configuration that Envoy would be given.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod facts;
mod of_envoy;
mod of_istio;

use facts::{Facts, differences};
use faultline_local::envoy::{Configuration, Files, Plan};
use faultline_local::mesh::{Mesh, Sources};
use faultline_local::topology::Topology;
use of_istio::Istio;
use serde_json::{Value, json};

fn rendered() -> Configuration {
    let files = Files {
        module: "/module.wasm".into(),
        listeners: "/listeners.json".into(),
        certificates: "/certificates".into(),
        logs: "/logs".into(),
    };
    let ports = std::array::from_fn(|at| 20_000 + u16::try_from(at).unwrap());
    Plan {
        mesh: &Mesh::read(&Sources::COMPILED_IN).unwrap(),
        topology: &Topology::new(8080, 9901, ports),
        files: &files,
    }
    .configuration()
}

fn envoy(configuration: &Configuration) -> Facts {
    of_envoy::facts(&configuration.bootstrap, &configuration.listeners)
}

#[test]
fn local_mode_says_what_istio_says() {
    let (istio, envoy) = (Istio::on_disk().facts(), envoy(&rendered()));
    assert!(
        istio.len() > 60,
        "too few facts to mean anything: {istio:#?}"
    );
    let differences = differences(&istio, &envoy);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// Every kind of fact, changed in `istio/` alone, is named.
#[test]
fn a_change_of_istio_alone_is_named() {
    let envoy = envoy(&rendered());
    let http = |index: usize, field: &str| format!("/0/spec/http/{index}/{field}");
    let pool = "/0/spec/trafficPolicy/connectionPool";
    let changes: Vec<(&str, String, Value, &str)> = vec![
        (
            "virtualservice",
            http(3, "timeout"),
            json!("2s"),
            "gateway route log: timeout",
        ),
        (
            "virtualservice",
            http(3, "retries/attempts"),
            json!(3),
            "gateway route log: retries.attempts",
        ),
        (
            "virtualservice",
            http(3, "retries/perTryTimeout"),
            json!("300ms"),
            "gateway route log: retries.perTryTimeout",
        ),
        (
            "virtualservice",
            http(3, "retries/retryOn"),
            json!("reset"),
            "gateway route log: retries.retryOn",
        ),
        (
            "virtualservice",
            http(0, "match/0/uri/exact"),
            json!("/home"),
            "gateway route home: path",
        ),
        (
            "virtualservice",
            http(0, "match/0/method/regex"),
            json!("GET"),
            "gateway route home: methods",
        ),
        (
            "virtualservice",
            http(0, "route/0/destination/host"),
            json!("log-agent-service"),
            "gateway route home: destination",
        ),
        (
            "virtualservice",
            http(4, "directResponse/status"),
            json!(410),
            "gateway route unknown: status",
        ),
        (
            "virtualservice",
            http(4, "directResponse/body/string"),
            json!("no"),
            "gateway route unknown: body",
        ),
        (
            "virtualservice",
            http(4, "headers/response/set/content-type"),
            json!("text/plain"),
            "gateway route unknown: header content-type",
        ),
        (
            "virtualservice",
            http(1, "name"),
            json!("state"),
            "gateway routes",
        ),
        (
            "log-virtualservice",
            http(0, "fault/delay/fixedDelay"),
            json!("1s"),
            "log-agent route log-delayed: delay",
        ),
        (
            "log-virtualservice",
            http(0, "fault/delay/percentage/value"),
            json!(50),
            "log-agent route log-delayed: delay percentage",
        ),
        (
            "log-virtualservice",
            http(0, "match/0/uri/exact"),
            json!("/logs"),
            "log-agent route log-delayed: path",
        ),
        (
            "destinationrule",
            format!("{pool}/tcp/maxConnections"),
            json!(4),
            "to custom-app-service: maxConnections",
        ),
        (
            "destinationrule",
            "/0/spec/trafficPolicy/loadBalancer/simple".to_owned(),
            json!("RANDOM"),
            "to custom-app-service: balancing",
        ),
        (
            "log-destinationrule",
            format!("{pool}/http/http1MaxPendingRequests"),
            json!(6),
            "to log-agent-service: http1MaxPendingRequests",
        ),
        (
            "log-destinationrule",
            "/0/spec/trafficPolicy/tls/mode".to_owned(),
            json!("DISABLE"),
            "to log-agent-service: tls",
        ),
        (
            "peerauthentication",
            "/0/spec/mtls/mode".to_owned(),
            json!("PERMISSIVE"),
            "in front of custom-app: mTLS",
        ),
        (
            "authorizationpolicy",
            "/1/spec/rules/0/from/0/source/serviceAccounts/0".to_owned(),
            json!("other"),
            "in front of custom-app: callers",
        ),
        (
            "authorizationpolicy",
            "/2/spec/rules/0/to/0/operation/paths/0".to_owned(),
            json!("/x"),
            "in front of log-agent: allowed",
        ),
        (
            "authorizationpolicy",
            "/1/spec/rules/0/to/0/operation/methods/0".to_owned(),
            json!("PUT"),
            "in front of custom-app: allowed",
        ),
        (
            "wasmplugin",
            "/0/spec/pluginConfig/routes/3/methods".to_owned(),
            json!(["GET"]),
            "filter faultline-gateway: configuration",
        ),
        (
            "wasmplugin",
            "/1/spec/pluginConfig/labels".to_owned(),
            json!(false),
            "filter custom-app-guard: configuration",
        ),
        (
            "wasmplugin",
            "/2/spec/pluginConfig/fallback".to_owned(),
            json!("enforce"),
            "filter custom-app-observe: configuration",
        ),
        (
            "wasmplugin",
            "/2/spec/pluginConfig/routes/0/observe".to_owned(),
            json!("other"),
            "filter custom-app-observe: configuration",
        ),
        (
            "wasmplugin",
            "/3/spec/failStrategy".to_owned(),
            json!("FAIL_CLOSE"),
            "filter log-agent-guard: failStrategy",
        ),
        (
            "installation",
            "/0/spec/meshConfig/defaultConfig/extraStatTags".to_owned(),
            json!(["route"]),
            "metrics: labels",
        ),
        (
            "installation",
            "/0/spec/meshConfig/accessLogFormat".to_owned(),
            json!("{\"a\": \"b\"}"),
            "access log: fields",
        ),
    ];
    for (file, pointer, value, named) in changes {
        let mut istio = Istio::on_disk();
        *istio.at(file, &pointer) = value;
        let differences = differences(&istio.facts(), &envoy);
        assert!(
            differences
                .iter()
                .any(|difference| difference.starts_with(named)),
            "{file}{pointer} must be named as {named:?}: {differences:#?}"
        );
    }
}

/// What is there on one side only is named too.
#[test]
fn what_is_missing_or_new_is_named() {
    let envoy = envoy(&rendered());
    let mut istio = Istio::on_disk();
    let routes = istio
        .at("virtualservice", "/0/spec/http")
        .as_array_mut()
        .unwrap();
    let new = json!({"name": "new", "match": [{"uri": {"exact": "/new"}}], "route": [{"destination": {"host": "custom-app-service"}}]});
    routes.insert(0, new);
    routes.remove(2);
    let differences = differences(&istio.facts(), &envoy);
    for named in ["gateway route new: path", "gateway route status: path"] {
        assert!(
            differences
                .iter()
                .any(|difference| difference.starts_with(named)),
            "{differences:#?}"
        );
    }
}

/// The same the other way about: Envoy's configuration alone is changed, everywhere a value stands.
#[test]
fn a_change_of_local_mode_alone_is_named() {
    let istio = Istio::on_disk().facts();
    let outbound = "custom-app-2.outbound";
    for (listener, pointer, value, named) in [
        (
            "gateway",
            "/typed_config/route_config/virtual_hosts/0/routes/3/route/timeout",
            json!("9s"),
            "gateway route log: timeout",
        ),
        (
            "gateway",
            "/typed_config/normalize_path",
            json!(false),
            "normalisation",
        ),
        (
            "gateway",
            "/typed_config/use_remote_address",
            json!(false),
            "gateway: remote address",
        ),
        (
            outbound,
            "/typed_config/route_config/virtual_hosts/0/routes/0/typed_per_filter_config",
            json!({}),
            "log-agent route log-delayed: delay",
        ),
        (
            outbound,
            "/typed_config/http_filters/0/typed_config/config/configuration/value",
            json!("{}"),
            "filter custom-app-observe: configuration",
        ),
        (
            "log-agent.inbound",
            "/typed_config/http_filters/1/typed_config/rules/policies",
            json!({}),
            "in front of log-agent: callers",
        ),
    ] {
        let mut configuration = rendered();
        *of_envoy::manager(&mut configuration.listeners, listener)
            .pointer_mut(pointer)
            .unwrap() = value;
        let differences = differences(&istio, &envoy(&configuration));
        assert!(
            differences
                .iter()
                .any(|difference| difference.starts_with(named)),
            "{listener}{pointer} must be named as {named:?}: {differences:#?}"
        );
    }
    let mut configuration = rendered();
    let clusters = configuration
        .bootstrap
        .pointer_mut("/static_resources/clusters")
        .unwrap();
    for cluster in clusters.as_array_mut().unwrap() {
        if cluster["name"] == "custom-app-1.outbound|8080||log-agent-service" {
            cluster["circuit_breakers"]["thresholds"][0]["max_connections"] = json!(7);
            cluster["transport_socket"] = Value::Null;
        }
    }
    let differences = differences(&istio, &envoy(&configuration));
    for named in [
        "to log-agent-service: maxConnections",
        "to log-agent-service: tls",
    ] {
        assert!(
            differences
                .iter()
                .any(|difference| difference.starts_with(named)),
            "{differences:#?}"
        );
    }
}
