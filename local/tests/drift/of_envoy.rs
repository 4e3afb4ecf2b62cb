//! The facts of Envoy's configuration, gathered from every listener and cluster they hold in.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::facts::{Facts, millis, none, text};

/// Listeners' HTTP connection managers, by the listener's name.
pub(crate) fn manager<'a>(listeners: &'a mut Value, name: &str) -> &'a mut Value {
    let resources = listeners["resources"].as_array_mut().expect("listeners");
    let listener = resources
        .iter_mut()
        .find(|listener| listener["name"] == name);
    let listener = listener.unwrap_or_else(|| panic!("no listener {name}"));
    &mut listener["filter_chains"][0]["filters"][0]
}

pub(crate) fn facts(bootstrap: &Value, listeners: &Value) -> Facts {
    let mut facts = Facts::default();
    for listener in listeners["resources"].as_array().expect("listeners") {
        of_listener(&mut facts, listener);
    }
    for cluster in bootstrap["static_resources"]["clusters"]
        .as_array()
        .expect("clusters")
    {
        of_cluster(&mut facts, cluster);
    }
    let tags = bootstrap["stats_config"]["stats_tags"]
        .as_array()
        .expect("tags");
    let names: Value = tags.iter().map(|tag| tag["tag_name"].clone()).collect();
    facts.add("metrics: labels", names);
    facts
}

fn of_listener(facts: &mut Facts, listener: &Value) {
    let name = text(&listener["name"]);
    let manager = &listener["filter_chains"][0]["filters"][0]["typed_config"];
    for log in manager["access_log"].as_array().expect("logs") {
        facts.add(
            "access log: fields",
            &log["typed_config"]["log_format"]["json_format"],
        );
    }
    let hosts = manager["route_config"]["virtual_hosts"]
        .as_array()
        .expect("hosts");
    let filters = manager["http_filters"].as_array().expect("filters");
    // Where requests can come in, the path is put into its normal form.
    facts.take("normalisation", manager, "/normalize_path");
    match name.rsplit_once('.') {
        None => {
            facts.take("gateway: remote address", manager, "/use_remote_address");
            routes(facts, "gateway", &hosts[0]);
            filter(facts, "faultline-gateway", &filters[0], "");
        }
        Some((instance, "inbound")) => {
            let app = instance.trim_end_matches(|c: char| c == '-' || c.is_ascii_digit());
            in_front(facts, app, listener, &filters[1]);
            filter(
                facts,
                &format!("{app}-guard"),
                &filters[0],
                &suffix(instance),
            );
        }
        Some((proxy, "outbound")) => {
            for host in hosts
                .iter()
                .filter(|host| host["name"] == "log-agent-service")
            {
                routes(facts, "log-agent", host);
            }
            if proxy.starts_with("custom-app") {
                filter(facts, "custom-app-observe", &filters[0], &suffix(proxy));
            }
        }
        _ => panic!("a listener that nothing is known of: {name}"),
    }
}

/// The one thing that local mode changes: it appends the proxy's name to observed routes' names.
fn suffix(proxy: &str) -> String {
    format!("_{}", proxy.replace('-', "_"))
}

/// What Istio gives a route that says nothing about retries.
const ISTIOS_RETRIES: &str =
    "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

fn routes(facts: &mut Facts, of: &str, host: &Value) {
    let routes = host["routes"].as_array().expect("routes");
    let names: Vec<String> = routes.iter().map(|route| text(&route["name"])).collect();
    facts.add(format!("{of} routes"), names.join(", "));
    for route in routes {
        let field = |name: &str| format!("{of} route {}: {name}", text(&route["name"]));
        if route["match"]
            .get("prefix")
            .is_some_and(|prefix| prefix == "/")
        {
            facts.add(field("path"), "any");
        } else {
            facts.take(field("path"), route, "/match/path");
            let method = "/match/headers/0/string_match/safe_regex/regex";
            facts.take(field("methods"), route, method);
        }
        action(facts, &field, route);
        let delay = &route["typed_per_filter_config"]["envoy.filters.http.fault"]["delay"];
        facts.add(
            field("delay"),
            delay.get("fixed_delay").map_or_else(none, millis),
        );
        let share = delay["percentage"]["numerator"].as_f64().unwrap_or(0.0) / 10_000.0;
        facts.add(field("delay percentage"), share);
        assert!(delay.is_null() || delay["percentage"]["denominator"] == "MILLION");
        facts.take(field("status"), route, "/direct_response/status");
        facts.take(field("body"), route, "/direct_response/body/inline_string");
        for added in route["response_headers_to_add"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let header = &added["header"];
            assert_eq!(added["append_action"], "OVERWRITE_IF_EXISTS_OR_ADD");
            facts.add(
                field(&format!("header {}", text(&header["key"]))),
                text(&header["value"]),
            );
        }
    }
}

fn action(facts: &mut Facts, field: &impl Fn(&str) -> String, route: &Value) {
    let action = &route["route"];
    let cluster = action["cluster"]
        .as_str()
        .and_then(|name| name.rsplit_once('|'));
    facts.add(
        field("destination"),
        cluster.map_or("none", |(_, host)| host),
    );
    let timeout = action
        .get("timeout")
        .filter(|timeout| millis(timeout) != "0 ms");
    facts.add(field("timeout"), timeout.map_or_else(none, millis));
    let retries = &action["retry_policy"];
    let retries = if retries["retry_on"] == ISTIOS_RETRIES {
        &Value::Null
    } else {
        retries
    };
    facts.take(field("retries.attempts"), retries, "/num_retries");
    let try_for = retries.get("per_try_timeout");
    facts.add(
        field("retries.perTryTimeout"),
        try_for.map_or_else(none, millis),
    );
    facts.take(field("retries.retryOn"), retries, "/retry_on");
}

fn filter(facts: &mut Facts, plugin: &str, filter: &Value, suffix: &str) {
    let field = |name: &str| format!("filter {plugin}: {name}");
    let config = &filter["typed_config"]["config"];
    let strategy = match text(&config["failure_policy"]).as_str() {
        "FAIL_OPEN" => "FAIL_OPEN",
        "FAIL_CLOSED" => "FAIL_CLOSE",
        other => panic!("{other}"),
    };
    facts.add(field("failStrategy"), strategy);
    let mut own: Value =
        serde_json::from_str(&text(&config["configuration"]["value"])).expect("JSON");
    for route in own["routes"].as_array_mut().into_iter().flatten() {
        if let Some(name) = route.get_mut("observe") {
            *name = text(name)
                .strip_suffix(suffix)
                .expect("the proxy's name at its end")
                .into();
        }
    }
    facts.add(field("configuration"), own);
}

fn in_front(facts: &mut Facts, app: &str, listener: &Value, rbac: &Value) {
    let field = |name: &str| format!("in front of {app}: {name}");
    let chain = &listener["filter_chains"][0];
    let tls = &chain["transport_socket"]["typed_config"];
    let strict = listener["filter_chains"].as_array().map(Vec::len) == Some(1)
        && chain["filter_chain_match"]["transport_protocol"] == "tls"
        && tls["require_client_certificate"] == true
        && tls
            .pointer("/common_tls_context/validation_context/trusted_ca")
            .is_some();
    facts.add(field("mTLS"), if strict { "STRICT" } else { "not STRICT" });

    let rules = &rbac["typed_config"]["rules"];
    assert_eq!(rules["action"], "ALLOW");
    let (mut callers, mut requests) = (BTreeSet::new(), BTreeSet::new());
    for policy in rules["policies"].as_object().expect("policies").values() {
        for principal in all(&policy["principals"], "regex") {
            let path = principal
                .strip_prefix("spiffe://.+/ns/")
                .expect("Istio's form");
            let path = path.strip_suffix("(/.+)?").expect("Istio's form");
            callers.insert(path.replace("/(.+/|)sa/", "/"));
        }
        for permission in policy["permissions"].as_array().expect("permissions") {
            let [methods, paths] = [0, 1].map(|part| &permission["and_rules"]["rules"][part]);
            for method in all(methods, "exact") {
                for path in all(paths, "exact") {
                    requests.insert(format!("{method} {path}"));
                }
            }
        }
    }
    facts.all(field("callers"), &callers);
    facts.all(field("allowed"), &requests);
}

/// Every text of this name, at any depth.
fn all(value: &Value, name: &str) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| {
                if key == name {
                    vec![text(value)]
                } else {
                    all(value, name)
                }
            })
            .collect(),
        Value::Array(items) => items.iter().flat_map(|item| all(item, name)).collect(),
        _ => Vec::new(),
    }
}

fn of_cluster(facts: &mut Facts, cluster: &Value) {
    let name = text(&cluster["name"]);
    let limits = &cluster["circuit_breakers"]["thresholds"][0];
    let (proxy, host) = name.split_once('.').expect("PROXY.NAME");
    let own = host == "inbound|8080||";
    let host = match (own, proxy.starts_with("log-agent")) {
        (true, false) => "custom-app-service",
        (true, true) => "log-agent-service",
        (false, _) => host.rsplit_once('|').expect("outbound|8080||HOST").1,
    };
    let field = |name: &str| format!("to {host}: {name}");
    // Istio gives a DestinationRule's limits to both sides.
    facts.take(field("maxConnections"), limits, "/max_connections");
    facts.take(
        field("http1MaxPendingRequests"),
        limits,
        "/max_pending_requests",
    );
    if !own {
        facts.add(
            field("balancing"),
            cluster
                .get("lb_policy")
                .map_or("ROUND_ROBIN".to_owned(), text),
        );
        let tls = &cluster["transport_socket"]["typed_config"]["common_tls_context"];
        let called = format!(
            "spiffe://cluster.local/ns/faultline/sa/{}",
            host.trim_end_matches("-service")
        );
        let mutual = tls.pointer("/tls_certificates/0/private_key").is_some()
            && tls.pointer("/validation_context/match_typed_subject_alt_names/0/matcher/exact")
                == Some(&called.into());
        facts.add(
            field("tls"),
            if mutual { "ISTIO_MUTUAL" } else { "not mutual" },
        );
    }
}
