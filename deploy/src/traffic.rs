//! Faults, timeouts, retries and limits: together they must show a fault and survive it.

use crate::manifest::{Manifest, millis, rendered};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

/// A route of a VirtualService. An unknown key fails the test: whatever it says was not thought of here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct HttpRoute {
    #[expect(dead_code, reason = "a name for the access log")]
    name: String,
    #[serde(default, rename = "match")]
    pub(crate) matches: Vec<HttpMatch>,
    fault: Option<Fault>,
    timeout: Option<String>,
    retries: Option<Retries>,
    #[serde(default)]
    route: Vec<Destination>,
    pub(crate) direct_response: Option<DirectResponse>,
    pub(crate) headers: Option<Headers>,
}

impl HttpRoute {
    pub(crate) fn hosts(&self) -> Vec<&str> {
        self.route
            .iter()
            .map(|route| route.destination.host.as_str())
            .collect()
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HttpMatch {
    pub(crate) uri: Exact,
    pub(crate) method: Option<Regex>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Exact {
    pub(crate) exact: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Regex {
    pub(crate) regex: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    delay: Delay,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delay {
    fixed_delay: String,
    percentage: Percentage,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Percentage {
    value: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Retries {
    attempts: u64,
    per_try_timeout: String,
    retry_on: String,
}

#[derive(Debug, Deserialize)]
struct Destination {
    destination: Host,
}

#[derive(Debug, Deserialize)]
struct Host {
    host: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectResponse {
    pub(crate) status: u16,
    pub(crate) body: Body,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    pub(crate) string: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Headers {
    pub(crate) response: Set,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Set {
    pub(crate) set: BTreeMap<String, String>,
}

fn routes(name: &str) -> Vec<HttpRoute> {
    rendered().one("VirtualService", name).read("/spec/http")
}

/// The one route of a VirtualService that takes exactly /log.
fn log_route(name: &str) -> HttpRoute {
    let takes_log =
        |route: &HttpRoute| matches!(route.matches.as_slice(), [only] if only.uri.exact == "/log");
    let mut found: Vec<_> = routes(name).into_iter().filter(takes_log).collect();
    assert_eq!(found.len(), 1, "{name}: one route for /log");
    found.remove(0)
}

/// On one route the fault filter waits first and the router then answers 200: no timeout, no retry.
#[test]
fn delay_and_timeout_are_never_on_one_route() {
    let (mut delays, mut timeouts) = (0, 0);
    for service in rendered().of_kind("VirtualService") {
        for route in service.read::<Vec<HttpRoute>>("/spec/http") {
            let limited = route.timeout.is_some() || route.retries.is_some();
            assert!(
                !(route.fault.is_some() && limited),
                "{}: {route:?}",
                service.name()
            );
            delays += usize::from(route.fault.is_some());
            timeouts += usize::from(route.timeout.is_some());
        }
    }
    assert_eq!((delays, timeouts), (1, 1));
}

#[test]
fn the_delay_is_on_every_call_to_log_inside_the_mesh() {
    let service = rendered().one("VirtualService", "log-agent");
    assert_eq!(*service.get("/spec/hosts"), json!(["log-agent-service"]));
    assert_eq!(*service.get("/spec/gateways"), json!(["mesh"]));
    let route = log_route("log-agent");
    assert!(
        route.matches.iter().all(|r#match| r#match.method.is_none()),
        "whatever the method"
    );
    let delay = route.fault.expect("a fault").delay;
    assert_eq!(millis(&delay.fixed_delay), 2000);
    assert!((delay.percentage.value - 100.0).abs() < f64::EPSILON);
    assert!(
        routes("log-agent")
            .last()
            .is_some_and(|last| last.matches.is_empty() && last.fault.is_none())
    );
}

/// Three attempts and a 504 at one second: two tries and the back-off before each retry fit into the timeout,
/// the third try does not end within it. Envoy draws the back-offs from 0 to 25 ms and from 0 to 75 ms.
#[test]
fn the_timeout_holds_three_attempts() {
    let route = log_route("faultline");
    let timeout = millis(&route.timeout.expect("a timeout"));
    assert_eq!(timeout, 1000);
    let retries = route.retries.expect("retries");
    assert_eq!(retries.attempts, 2);
    let try_for = millis(&retries.per_try_timeout);
    assert!((334..=450).contains(&try_for), "{try_for} ms");
    assert!(3 * try_for > timeout && 2 * try_for + 25 + 75 <= timeout);

    let delay = log_route("log-agent").fault.expect("a fault").delay;
    assert!(
        millis(&delay.fixed_delay) > timeout,
        "else the delay would not show"
    );
}

/// A try that ran out of time is retried only under one of these names; Istio's default has none of them.
#[test]
fn a_try_that_times_out_is_retried() {
    let retries = log_route("faultline").retries.expect("retries");
    let conditions: Vec<_> = retries.retry_on.split(',').collect();
    assert!(
        conditions
            .iter()
            .any(|name| ["gateway-error", "5xx", "reset"].contains(name))
    );
    assert!(
        !retries.retry_on.contains(' '),
        "Istio refuses a space after a comma"
    );
}

#[test]
fn both_destinations_have_the_same_limits() {
    for (name, host) in [
        ("custom-app", "custom-app-service"),
        ("log-agent", "log-agent-service"),
    ] {
        let rule = rendered().one("DestinationRule", name);
        assert_eq!(rule.text("/spec/host"), host);
        assert_eq!(
            *rule.get("/spec/trafficPolicy"),
            json!({
                "loadBalancer": {"simple": "LEAST_REQUEST"},
                "connectionPool": {"tcp": {"maxConnections": 3}, "http": {"http1MaxPendingRequests": 5}},
                "tls": {"mode": "ISTIO_MUTUAL"},
            })
        );
    }
    assert_eq!(rendered().of_kind("DestinationRule").count(), 2);
}

/// STRICT, for the whole namespace: a selector or a port would leave something out.
#[test]
fn plaintext_is_refused_everywhere() {
    let policies: Vec<&Manifest> = rendered().of_kind("PeerAuthentication").collect();
    assert_eq!(policies.len(), 1);
    assert!(
        policies
            .iter()
            .all(|policy| *policy.get("/spec") == json!({"mtls": {"mode": "STRICT"}}))
    );
}

#[test]
fn the_gateway_serves_any_host_on_port_80() {
    let gateway = rendered().one("Gateway", "faultline-gateway");
    assert_eq!(
        *gateway.get("/spec"),
        json!({
            "selector": {"istio": "ingressgateway"},
            "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
        })
    );
    let service = rendered().one("VirtualService", "faultline");
    assert_eq!(*service.get("/spec/gateways"), json!(["faultline-gateway"]));
    assert_eq!(*service.get("/spec/hosts"), json!(["*"]));
}
