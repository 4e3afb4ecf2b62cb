//! VirtualService, filter and authorization policy say the same, path by path and method by method.

use crate::{
    manifest::{Manifest, rendered},
    plugins,
    traffic::HttpRoute,
};
use faultline_filter_core::{Admission, Name, problem};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The methods that each path takes.
pub(crate) type Table = BTreeMap<String, BTreeSet<String>>;

/// Paths that one of the services knows, and some that none does.
const PATHS: [&str; 12] = [
    "/",
    "/status",
    "/log",
    "/logs",
    "/logs/stream",
    "/healthz",
    "/readyz",
    "/metrics",
    "/LOG",
    "/log/",
    "/logs/x",
    "/unknown",
];
const METHODS: [&str; 8] = [
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
];

pub(crate) fn of_virtual_service(service: &Manifest) -> Table {
    let routes: Vec<HttpRoute> = service.read("/spec/http");
    let (last, routes) = routes.split_last().expect("routes");
    assert!(
        last.matches.is_empty(),
        "the last route must take every path"
    );
    let answer = last
        .direct_response
        .as_ref()
        .expect("the last route must answer by itself");
    assert_eq!(answer.status, 404);

    routes
        .iter()
        .flat_map(|route| {
            assert!(
                !route.matches.is_empty(),
                "only the last route may take everything"
            );
            assert_eq!(route.hosts(), ["custom-app-service"]);
            route.matches.iter().map(|r#match| {
                let methods = r#match.method.as_ref().expect("a method").regex.split('|');
                (
                    r#match.uri.exact.clone(),
                    methods.map(str::to_owned).collect(),
                )
            })
        })
        .collect()
}

/// Where the filter lets a request pass, asked of the filter itself: on the paths it is configured with, and on
/// others.
fn of_filter(plugin: &str) -> Table {
    let config = plugins::config(plugin);
    let routes: Vec<Exact> = rendered()
        .one("WasmPlugin", plugin)
        .read("/spec/pluginConfig/routes");
    let mut table = Table::new();
    for path in routes.iter().map(|route| route.path.as_str()).chain(PATHS) {
        for method in METHODS {
            let admission = config.admit(|name| match name {
                ":path" => Some(path.as_bytes()),
                ":method" => Some(method.as_bytes()),
                _ => None,
            });
            if let Admission::Allowed(_) = admission {
                table.entry(path.into()).or_default().insert(method.into());
            }
        }
    }
    table
}

/// A route of the filter's; a prefix has no place in these tables.
#[derive(serde::Deserialize)]
struct Exact {
    path: String,
}

fn of_policy(policy: &Manifest) -> Table {
    let rules: Vec<Value> = policy.read("/spec/rules");
    assert_eq!(rules.len(), 1, "one caller");
    assert_eq!(policy.text("/spec/action"), "ALLOW");
    let operations: Vec<Operation> = policy.read("/spec/rules/0/to");
    operations
        .into_iter()
        .flat_map(
            |Operation {
                 operation: Allowed { paths, methods },
             }| { paths.into_iter().map(move |path| (path, methods.clone())) },
        )
        .collect()
}

#[derive(serde::Deserialize)]
struct Operation {
    operation: Allowed,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    paths: Vec<String>,
    methods: BTreeSet<String>,
}

#[test]
fn gateway_routes_filter_and_policy_are_one_table() {
    let manifests = rendered();
    let routes = of_virtual_service(manifests.one("VirtualService", "faultline"));
    assert_eq!(
        routes.keys().collect::<Vec<_>>(),
        ["/", "/log", "/logs", "/status"]
    );
    assert_eq!(of_filter("faultline-gateway"), routes);
    assert_eq!(of_filter("custom-app-guard"), routes);
    assert_eq!(
        of_policy(manifests.one("AuthorizationPolicy", "custom-app")),
        routes
    );
}

#[test]
fn the_log_agents_filter_and_policy_are_one_table() {
    let guard = of_filter("log-agent-guard");
    assert_eq!(
        guard.keys().collect::<Vec<_>>(),
        ["/log", "/logs", "/logs/stream"]
    );
    assert_eq!(
        of_policy(rendered().one("AuthorizationPolicy", "log-agent")),
        guard
    );
}

/// Whoever answers, filter or route, a client sees the same 404.
#[test]
fn the_last_route_answers_as_the_filter_does() {
    let routes: Vec<HttpRoute> = rendered()
        .one("VirtualService", "faultline")
        .read("/spec/http");
    let last = routes.last().expect("routes");
    let body = &last
        .direct_response
        .as_ref()
        .expect("an answer")
        .body
        .string;
    let name = Name::default();
    let filter = problem::unknown_route(&name);
    assert_eq!(body, filter.body);
    let headers = last.headers.as_ref().expect("headers");
    let content_type = filter
        .headers
        .iter()
        .find(|(name, _)| *name == "content-type")
        .expect("a content type");
    assert_eq!(
        headers.response.set.get("content-type").map(String::as_str),
        Some(content_type.1)
    );
}

/// Gateway, then custom-app, then log-agent; nobody else.
#[test]
fn each_policy_names_one_caller() {
    let manifests = rendered();
    let caller = |policy: &str| -> Value {
        manifests
            .one("AuthorizationPolicy", policy)
            .get("/spec/rules/0/from")
            .clone()
    };
    assert_eq!(
        caller("custom-app"),
        serde_json::json!([{"source": {"serviceAccounts": ["istio-system/istio-ingressgateway-service-account"]}}])
    );
    assert_eq!(
        caller("log-agent"),
        serde_json::json!([{"source": {"serviceAccounts": ["custom-app"]}}])
    );

    assert_eq!(
        *manifests
            .one("AuthorizationPolicy", "allow-nothing")
            .get("/spec"),
        serde_json::json!({})
    );
    assert_eq!(
        manifests.of_kind("AuthorizationPolicy").count(),
        3,
        "a policy more is a way in more"
    );
    for app in ["custom-app", "log-agent"] {
        let policy = manifests.one("AuthorizationPolicy", app);
        assert_eq!(
            *policy.get("/spec/selector/matchLabels"),
            serde_json::json!({"app": app})
        );
    }
}
