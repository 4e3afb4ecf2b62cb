//! One way for a request to end, and what must be seen of it.

use crate::proxy::{cluster, typed};
use faultline_testbed::{Seen, Step};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// How the client behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Client {
    /// Waits for the whole answer.
    Stays,
    /// Leaves once the upstream has the request.
    LeavesBeforeHeaders,
    /// Leaves once it has the headers.
    LeavesMidBody,
}

/// A request and everything expected of it. The name is its path, its route name, its metrics'.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The proxy's route, without its match.
    pub(crate) route: Value,
    pub(crate) client: Client,
    /// What the upstream does at the nth request.
    pub(crate) script: fn(usize) -> Step,
    /// The status the client sees; `None` for no answer.
    pub(crate) status: Option<u16>,
    /// The outcome when the headers went out, if they did.
    pub(crate) announced: &'static str,
    /// The outcome that is counted.
    pub(crate) outcome: &'static str,
    pub(crate) error: Option<&'static str>,
    pub(crate) received: Option<i64>,
    pub(crate) attempts: Option<u64>,
    /// Flags as `proxy-status` says them.
    pub(crate) flags: &'static str,
    pub(crate) delays: u64,
    /// The least the request must have taken, in milliseconds.
    pub(crate) at_least_ms: f64,
}

impl Scenario {
    /// A request that is answered as the script says, over one attempt.
    fn new(name: &'static str, script: fn(usize) -> Step) -> Self {
        Self {
            name,
            route: to("app", json!({})),
            client: Client::Stays,
            script,
            status: Some(200),
            announced: "ok",
            outcome: "ok",
            error: None,
            received: Some(200),
            attempts: Some(1),
            flags: "",
            delays: 0,
            at_least_ms: 0.0,
        }
    }

    fn route(mut self, route: Value) -> Self {
        self.route = route;
        self
    }

    fn client(mut self, client: Client) -> Self {
        self.client = client;
        self
    }

    /// Ends with this status and outcome.
    fn ends(mut self, status: u16, outcome: &'static str) -> Self {
        self.status = Some(status);
        self.received = Some(i64::from(status));
        (self.announced, self.outcome) = (outcome, outcome);
        self
    }

    /// Fails in the proxy: no status came from the upstream.
    fn fails(mut self, error: &'static str, flags: &'static str) -> Self {
        self.received = None;
        self.error(error, flags)
    }

    fn error(mut self, error: &'static str, flags: &'static str) -> Self {
        (self.error, self.flags) = (Some(error), flags);
        self
    }

    fn attempts(mut self, attempts: impl Into<Option<u64>>) -> Self {
        self.attempts = attempts.into();
        self
    }

    fn takes(mut self, at_least_ms: f64) -> Self {
        self.at_least_ms = at_least_ms;
        self
    }

    fn counted_as(mut self, outcome: &'static str) -> Self {
        self.outcome = outcome;
        self
    }

    fn delayed(mut self) -> Self {
        (self.delays, self.flags) = (1, "DI");
        self
    }

    pub(crate) fn path(&self) -> String {
        format!("/{}", self.name)
    }
}

fn to(cluster: &str, more: Value) -> Value {
    let mut action = json!({"cluster": cluster, "timeout": "30s"});
    for (key, value) in more.as_object().expect("an object") {
        action[key] = value.clone();
    }
    json!({"route": action})
}

fn retrying(cluster: &str, on: &str) -> Value {
    // Waits between tries are short, so that only the timeouts under test take time.
    let back_off = json!({"base_interval": "0.001s", "max_interval": "0.002s"});
    let policy = json!({"retry_on": on, "num_retries": 2, "retry_back_off": back_off});
    to(cluster, json!({"retry_policy": policy}))
}

fn with_filter(name: &str, config: Value) -> Value {
    let mut route = to("app", json!({}));
    route["typed_per_filter_config"] = json!({ name: config });
    route
}

fn fault(fields: Value) -> Value {
    with_filter(
        "fault",
        typed("extensions.filters.http.fault.v3.HTTPFault", fields),
    )
}

fn ok(_: usize) -> Step {
    Step::answer(200, "app")
}

/// Every scenario. The order is that of the outcomes in docs/metrics.md.
pub(crate) fn all() -> Vec<Scenario> {
    let always = json!({"numerator": 100, "denominator": "HUNDRED"});
    let delay = json!({"fixed_delay": "0.05s", "percentage": always});
    let abort = json!({"http_status": 503, "percentage": always});
    let per_try = |mut route: Value| {
        route["route"]["retry_policy"]["per_try_timeout"] = json!("0.05s");
        route
    };
    vec![
        Scenario::new("ok", ok),
        Scenario::new("redirect", |_| Step::answer(302, "")).ends(302, "ok"),
        Scenario::new("retried", |before| Step::answer(if before < 2 { 503 } else { 200 }, "app"))
            .route(retrying("app", "5xx"))
            .attempts(3),
        Scenario::new("direct_response", ok)
            .route(json!({"direct_response": {"status": 200, "body": {"inline_string": "hi"}}}))
            .attempts(None)
            .without_upstream(),
        Scenario::new("client_error", |_| Step::answer(404, "no")).ends(404, "client_error"),
        Scenario::new("other_filter", ok)
            .route(with_filter("rbac", forbid()))
            .ends(403, "client_error")
            .fails("proxy_internal_response", "")
            .attempts(None),
        Scenario::new("upstream_error", |_| Step::answer(500, "no")).ends(500, "upstream_error"),
        Scenario::new("timeout_route", |_| Step::Stall)
            .route(to("app", json!({"timeout": "0.1s"})))
            .ends(504, "timeout")
            .fails("http_response_timeout", "UT")
            .takes(100.0),
        Scenario::new("timeout_try", |_| Step::Stall)
            .route(to("app", json!({"retry_policy": {"retry_on": "connect-failure",  "per_try_timeout": "0.05s"}})))
            .ends(504, "timeout")
            .fails("http_response_timeout", "UT")
            .takes(50.0),
        Scenario::new("timeout_tries", |_| Step::Stall)
            .route(per_try(retrying("app", "reset")))
            .ends(504, "timeout")
            .fails("http_response_timeout", "UT,URX")
            .attempts(3)
            .takes(150.0),
        Scenario::new("retries_exhausted", |_| Step::answer(503, "no"))
            .route(retrying("app", "5xx"))
            .ends(503, "retries_exhausted")
            .error("destination_unavailable", "URX")
            .attempts(3),
        Scenario::new("refused_tries", ok)
            .route(retrying("closed", "connect-failure"))
            .ends(503, "retries_exhausted")
            .fails("destination_unavailable", "UF,URX")
            .attempts(3),
        Scenario::new("overflow", ok)
            .route(to("full", json!({})))
            .ends(503, "overflow")
            .fails("connection_limit_reached", "UO"),
        Scenario::new("overflow_pending", ok)
            .route(to("no_queue", json!({})))
            .ends(503, "overflow")
            .fails("connection_limit_reached", "UO"),
        // The upstream's own answer is passed on, since no retry was to be had.
        Scenario::new("overflow_retries", |_| Step::answer(503, "no"))
            .route(retrying("no_retries", "5xx"))
            .ends(503, "overflow")
            .error("connection_limit_reached", "UO"),
        Scenario::new("refused", ok)
            .route(to("closed", json!({})))
            .ends(503, "unreachable")
            .fails("connection_refused", "UF"),
        Scenario::new("reset", |_| Step::Reset)
            .ends(503, "unreachable")
            .fails("connection_terminated", "UC"),
        Scenario::new("reset_stream", |_| Step::Reset)
            .route(to("app_http2", json!({})))
            .ends(503, "unreachable")
            .fails("connection_terminated", "UR"),
        // The headers had gone, as a success, when the connection broke.
        Scenario::new("reset_mid_body", |_| Step::ResetMidBody).counted_as("unreachable"),
        Scenario::new("no_healthy_host", ok)
            .route(to("empty", json!({})))
            .ends(503, "unreachable")
            .fails("destination_unavailable", "UH"),
        Scenario::new("no_cluster", ok)
            .route(to("missing", json!({})))
            .ends(503, "unreachable")
            .fails("destination_unavailable", "NC")
            .attempts(None),
        Scenario::new("no_route", ok)
            .route(Value::Null)
            .ends(404, "unreachable")
            .fails("destination_not_found", "NR")
            .attempts(None),
        Scenario::new("client_gone", |_| Step::Stall)
            .client(Client::LeavesBeforeHeaders)
            .counted_as("client_gone"),
        Scenario::new("client_gone_mid_body", |_| Step::StallMidBody)
            .client(Client::LeavesMidBody)
            .counted_as("client_gone"),
        Scenario::new("rate_limited", ok)
            .route(with_filter("local_ratelimit", no_tokens()))
            .ends(429, "rate_limited")
            .fails("http_request_denied", "RL")
            .attempts(None),
        Scenario::new("fault_abort", ok)
            .route(fault(json!({"abort": abort})))
            .ends(503, "fault_abort")
            .fails("proxy_internal_response", "FI")
            .attempts(None),
        Scenario::new("fault_delay", ok)
            .route(fault(json!({"delay": delay})))
            .delayed()
            .takes(50.0),
        Scenario::new("fault_both", ok)
            .route(fault(json!({"delay": delay, "abort": abort})))
            .ends(503, "fault_abort")
            .delayed()
            .fails("proxy_internal_response", "DI,FI")
            .attempts(None)
            .takes(50.0),
    ]
}

impl Scenario {
    /// Answered by the proxy, without any failure.
    fn without_upstream(mut self) -> Self {
        self.received = None;
        self
    }
}

fn forbid() -> Value {
    let anyone = json!({"permissions": [{"any": true}], "principals": [{"any": true}]});
    let rules = json!({"action": "DENY", "policies": {"all": anyone}});
    typed(
        "extensions.filters.http.rbac.v3.RBACPerRoute",
        json!({"rbac": {"rules": rules}}),
    )
}

/// A rate limit whose only token the first request takes. The scenario sends it before.
fn no_tokens() -> Value {
    let always = json!({"default_value": {"numerator": 100, "denominator": "HUNDRED"}});
    typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        json!({
            "stat_prefix": "test",
            "token_bucket": {"max_tokens": 1, "fill_interval": "3600s"},
            "filter_enabled": always,
            "filter_enforced": always,
        }),
    )
}

/// The filters that scenarios switch on by route.
pub(crate) fn filters() -> Vec<Value> {
    let filter = |name: &str, kind: &str, fields: Value| json!({"name": name, "typed_config": typed(&format!("extensions.filters.http.{kind}"), fields)});
    vec![
        filter("fault", "fault.v3.HTTPFault", json!({})),
        filter("rbac", "rbac.v3.RBAC", json!({})),
        filter(
            "local_ratelimit",
            "local_ratelimit.v3.LocalRateLimit",
            json!({"stat_prefix": "test"}),
        ),
    ]
}

/// What makes a cluster speak HTTP/2.
pub(crate) fn http2_options() -> Value {
    json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        json!({"explicit_http_config": {"http2_protocol_options": {}}}),
    )})
}

/// The clusters they name. Nothing listens at `closed`.
pub(crate) fn clusters(app: SocketAddr, closed: SocketAddr) -> Vec<Value> {
    let full = json!({"circuit_breakers": {"thresholds": [{"max_requests": 0, "max_pending_requests": 0}]}});
    vec![
        cluster("app", Some(app), json!({})),
        cluster(
            "app_http2",
            Some(app),
            json!({"typed_extension_protocol_options": http2_options()}),
        ),
        cluster("full", Some(app), full),
        cluster(
            "no_queue",
            Some(app),
            json!({"circuit_breakers": {"thresholds": [{"max_pending_requests": 0}]}}),
        ),
        cluster(
            "no_retries",
            Some(app),
            json!({"circuit_breakers": {"thresholds": [{"max_retries": 0}]}}),
        ),
        cluster("closed", Some(closed), json!({})),
        cluster("empty", None, json!({})),
    ]
}

/// Does what the scenario of the request's path says.
pub(crate) fn play(scenarios: &[Scenario], request: &Seen) -> Step {
    let mut named = scenarios
        .iter()
        .filter(|one| one.path() == request.uri.path());
    named.next().map_or_else(
        || Step::answer(200, "app"),
        |one| (one.script)(request.before),
    )
}
