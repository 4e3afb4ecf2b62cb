//! Routes of a VirtualService as Envoy's.

use serde_json::{Map, Value, json};

use crate::mesh::resource::{DirectResponse, Fault, HttpMatch, HttpRoute, Retries};

/// Istio's retries where a route says nothing.
const DEFAULT_RETRY_ON: &str =
    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const DEFAULT_RETRIES: u32 = 2;

/// A virtual host for these host names.
pub(super) fn virtual_host(name: &str, domains: &[&str], routes: &[Value]) -> Value {
    json!({
        "name": name,
        "domains": domains,
        "routes": routes,
        "include_request_attempt_count": true,
    })
}

/// A route table.
pub(super) fn table(name: &str, hosts: &[Value]) -> Value {
    json!({
        "name": name,
        "virtual_hosts": hosts,
        "validate_clusters": false,
        "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1_048_576,
    })
}

/// The Envoy routes of a VirtualService's, one for each match; `cluster` names that of a host.
pub(super) fn routes(routes: &[HttpRoute], cluster: impl Fn(&str) -> String) -> Vec<Value> {
    let all = |route: &HttpRoute| match route.matches.as_slice() {
        [] => vec![json!({"prefix": "/"})],
        some => some.iter().map(matching).collect(),
    };
    routes
        .iter()
        .flat_map(|route| {
            all(route)
                .into_iter()
                .map(|matching| one(route, &matching, &cluster))
        })
        .collect()
}

/// The one route to a service for which there is no VirtualService.
pub(super) fn default(cluster: &str) -> Value {
    json!({
        "name": "default",
        "match": {"prefix": "/"},
        "route": action(cluster, "0s", &retry_policy(None)),
    })
}

/// The one route to a proxy's own application.
pub(super) fn to_application(cluster: &str) -> Value {
    json!({
        "name": "default",
        "match": {"prefix": "/"},
        "route": {
            "cluster": cluster,
            "timeout": "0s",
            "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
            "max_stream_duration": {"max_stream_duration": "0s", "grpc_timeout_header_max": "0s"},
        },
    })
}

fn one(route: &HttpRoute, matching: &Value, cluster: impl Fn(&str) -> String) -> Value {
    let mut fields = Map::new();
    let mut set = |name: &str, value| fields.insert(name.to_owned(), value);
    set("name", route.name.as_str().into());
    set("match", matching.clone());
    if let Some(answer) = &route.direct_response {
        set("direct_response", direct_response(answer));
    } else if let [to] = route.route.as_slice() {
        let cluster = cluster(&to.destination.host);
        let timeout = route
            .timeout
            .map_or("0s".to_owned(), |timeout| timeout.to_string());
        let retries = retry_policy(route.retries.as_ref());
        set("route", action(&cluster, &timeout, &retries));
    }
    if let Some(fault) = &route.fault {
        set("typed_per_filter_config", delay(fault));
    }
    if let Some(headers) = &route.headers {
        let added = headers.response.set.iter().map(|(key, value)| {
            json!({
                "header": {"key": key, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            })
        });
        set("response_headers_to_add", added.collect());
    }
    Value::Object(fields)
}

fn matching(taken: &HttpMatch) -> Value {
    let headers: Vec<Value> = taken
        .method
        .iter()
        .map(|method| {
            json!({"name": ":method", "string_match": {"safe_regex": {"regex": method.regex}}})
        })
        .collect();
    json!({"path": taken.uri.exact, "case_sensitive": true, "headers": headers})
}

fn action(cluster: &str, timeout: &str, retries: &Value) -> Value {
    json!({
        "cluster": cluster,
        "timeout": timeout,
        "retry_policy": retries,
    })
}

fn retry_policy(retries: Option<&Retries>) -> Value {
    let (retry_on, attempts) = retries.map_or((DEFAULT_RETRY_ON, DEFAULT_RETRIES), |retries| {
        (retries.retry_on.as_str(), retries.attempts)
    });
    let mut policy = json!({
        "retry_on": retry_on,
        "num_retries": attempts,
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }],
        "host_selection_retry_max_attempts": 5,
    });
    let try_for = retries.and_then(|retries| retries.per_try_timeout);
    if let (Some(fields), Some(try_for)) = (policy.as_object_mut(), try_for) {
        fields.insert("per_try_timeout".to_owned(), try_for.to_string().into());
    }
    policy
}

fn direct_response(answer: &DirectResponse) -> Value {
    json!({"status": answer.status, "body": {"inline_string": answer.body.string}})
}

fn delay(fault: &Fault) -> Value {
    // Envoy's finest denominator; a share of less than a ten-thousandth percent is cut off.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a percentage; `as` saturates and makes NaN 0"
    )]
    let numerator = (fault.delay.percentage.value * 10_000.0) as u32;
    json!({"envoy.filters.http.fault": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {
            "fixed_delay": fault.delay.fixed_delay.to_string(),
            "percentage": {"numerator": numerator, "denominator": "MILLION"},
        },
    }})
}
