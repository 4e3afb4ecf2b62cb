//! Hosts, precedence, preflights and the proxy's own name, in real Envoy.

use crate::{
    client::{Response, send},
    host::{Host, each_host},
    proxy::{Proxy, typed},
    statistics::{counted, logged},
};
use faultline_testbed::{Step, Upstream};
use serde_json::{Value, json};
use std::net::SocketAddr;

each_host!(
    another_host_passes_untouched_and_uncounted,
    the_most_specific_route_takes_a_path,
    a_preflight_goes_on_to_the_policy_of_the_mesh,
    responses_carry_the_name_of_the_proxy_or_none,
    requests_are_refused_without_a_configuration_if_the_environment_says_so,
);

async fn upstream() -> Upstream {
    Upstream::start(|_| Step::answer(200, "app")).await.unwrap()
}

/// Sends a request without a body, with these headers beside what every request has.
async fn ask(
    address: SocketAddr,
    method: &str,
    target: &str,
    host: &str,
    headers: &[&str],
) -> Response {
    let more: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}content-length: 0\r\n\r\n"
    );
    let response = send(address, request.as_bytes()).await;
    response.unwrap_or_else(|| panic!("no response for {method} {target} of {host}"))
}

async fn another_host_passes_untouched_and_uncounted(host: Host) {
    let configuration = json!({
        "hosts": ["shop.example.com", "*.shop.example.com"],
        "routes": [{"path": "/log", "methods": ["GET"], "observe": "log"}],
    });
    let upstream = upstream().await;
    let (envoy, address) = Proxy::to(host, &upstream, &configuration).start().await;
    for host in [
        "other.example.com",
        "shop.example.com.evil",
        "xshop.example.com:80",
    ] {
        for (method, target) in [("GET", "/cart"), ("DELETE", "/log"), ("GET", "/log")] {
            let response = ask(address, method, target, host, &[]).await;
            assert_eq!(response.status, 200, "{method} {target} of {host}");
            assert!(response.all("proxy-status").is_empty(), "{response:?}");
        }
    }
    for host in [
        "shop.example.com",
        "SHOP.example.com:8080",
        "a.b.shop.example.com",
        "shop.example.com.",
    ] {
        assert_eq!(
            ask(address, "GET", "/cart", host, &[]).await.status,
            404,
            "{host}"
        );
        assert_eq!(
            ask(address, "DELETE", "/log", host, &[]).await.status,
            405,
            "{host}"
        );
        assert_eq!(
            ask(address, "GET", "/log", host, &[]).await.status,
            200,
            "{host}"
        );
    }
    counted(&envoy, "faultline_unknown_routes_total", 4).await;
    counted(&envoy, "faultline_method_not_allowed_total", 4).await;
    counted(&envoy, "faultline_requests_total.log.ok", 4).await;
    assert_eq!(upstream.seen().len(), 9 + 4);
}

async fn the_most_specific_route_takes_a_path(host: Host) {
    let configuration = json!({"routes": [
        {"prefix": "/", "observe": "root"},
        {"prefix": "/users/", "observe": "below"},
        {"path": "/users/{id}", "observe": "user"},
        {"path": "/users/me", "observe": "me"},
        {"path": "/{any}/me/{what}", "observe": "anybody"},
        {"path": "/users/{id}/orders", "observe": "orders"},
    ]});
    let upstream = upstream().await;
    let (envoy, address) = Proxy::to(host, &upstream, &configuration).start().await;
    for (target, observed, count) in [
        ("/anything", "root", 1),
        ("/users/", "below", 1),
        ("/users/7/8/9", "below", 2),
        ("/users/7", "user", 1),
        ("/users/caf%C3%A9?x=1", "user", 2),
        ("/x/../users/8", "user", 3),
        ("/users/me", "me", 1),
        // A literal first segment comes before a literal second one.
        ("/users/me/orders", "orders", 1),
        ("/groups/me/orders", "anybody", 1),
    ] {
        assert_eq!(
            ask(address, "GET", target, "a", &[]).await.status,
            200,
            "{target}"
        );
        counted(
            &envoy,
            &format!("faultline_requests_total.{observed}.ok"),
            count,
        )
        .await;
    }
    // Under a template or a prefix a path that could be read as another one is unknown.
    for target in [
        "/users/%2e%2e%2fadmin",
        "/users/a%2fb",
        "/users/a;b/orders",
        "/users/%c0%ae/orders",
        "/users//orders",
    ] {
        let before = upstream.seen().len();
        assert_eq!(
            ask(address, "GET", target, "a", &[]).await.status,
            404,
            "{target}"
        );
        assert_eq!(upstream.seen().len(), before, "{target}");
    }
}

/// Envoy's own CORS filter behind the module, as Istio orders the two.
async fn a_preflight_goes_on_to_the_policy_of_the_mesh(host: Host) {
    let configuration = json!({"routes": [
        {"path": "/open", "methods": ["GET"], "cors": "pass", "observe": "open"},
        {"path": "/shut", "methods": ["GET"]},
    ]});
    let upstream = upstream().await;
    let mut proxy = Proxy::to(host, &upstream, &configuration);
    let cors = |kind: &str, fields: Value| {
        typed(&format!("extensions.filters.http.cors.v3.{kind}"), fields)
    };
    proxy.filters =
        vec![json!({"name": "envoy.filters.http.cors", "typed_config": cors("Cors", json!({}))})];
    let policy = json!({
        "allow_origin_string_match": [{"exact": "https://shop.example.com"}],
        "allow_methods": "GET",
    });
    proxy.routes[0]["typed_per_filter_config"] =
        json!({"envoy.filters.http.cors": cors("CorsPolicy", policy)});
    let (envoy, address) = proxy.start().await;
    let preflight = [
        "origin: https://shop.example.com",
        "access-control-request-method: GET",
    ];
    let answer = ask(address, "OPTIONS", "/open", "a", &preflight).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        answer.last("access-control-allow-origin"),
        Some("https://shop.example.com")
    );
    assert!(answer.all("proxy-status").is_empty(), "{answer:?}");
    assert!(
        upstream.seen().is_empty(),
        "the policy answers for the upstream"
    );
    for (target, headers) in [
        ("/shut", &preflight[..]),
        ("/open", &preflight[..1]),
        ("/open", &preflight[1..]),
    ] {
        let answer = ask(address, "OPTIONS", target, "a", headers).await;
        assert_eq!(answer.status, 405, "{target} {headers:?}");
    }
    counted(&envoy, "faultline_method_not_allowed_total", 3).await;
    counted(&envoy, "faultline_requests_total.open.ok", 0).await;
}

async fn responses_carry_the_name_of_the_proxy_or_none(host: Host) {
    let configuration = json!({"name": "edge-1", "routes": [
        {"path": "/log", "methods": ["GET"], "observe": "log"},
        {"path": "/quiet", "observe": "quiet", "annotate": false},
    ]});
    let upstream = upstream().await;
    let (envoy, address) = Proxy::to(host, &upstream, &configuration).start().await;
    let first = |response: &Response, header: &str| response.last(header).map(str::to_owned);
    let log = ask(address, "GET", "/log", "a", &[]).await;
    assert!(
        first(&log, "proxy-status").unwrap().starts_with("edge-1; "),
        "{log:?}"
    );
    assert!(
        first(&log, "server-timing")
            .unwrap()
            .starts_with("edge-1;dur="),
        "{log:?}"
    );
    for (method, target) in [("PUT", "/log"), ("GET", "/none")] {
        let refused = ask(address, method, target, "a", &[]).await;
        assert!(
            first(&refused, "proxy-status")
                .unwrap()
                .starts_with("edge-1; error="),
            "{refused:?}"
        );
    }
    let quiet = ask(address, "GET", "/quiet", "a", &[]).await;
    assert_eq!(quiet.status, 200);
    assert!(
        quiet.all("proxy-status").is_empty() && quiet.all("server-timing").is_empty(),
        "{quiet:?}"
    );
    counted(&envoy, "faultline_requests_total.quiet.ok", 1).await;
    logged(&envoy, "/quiet", Some("ok")).await;
}

/// The environment, of the VM or of the process, is read where the configuration cannot be.
async fn requests_are_refused_without_a_configuration_if_the_environment_says_so(host: Host) {
    for (value, status, logged_as) in [
        ("pass", 200, None),
        ("refuse", 503, Some("not_configured")),
        ("yes", 503, Some("not_configured")),
    ] {
        let upstream = upstream().await;
        let mut proxy = Proxy::to(host, &upstream, &json!({}));
        let mut refused = host.plugin(r#"{"routes":[{"path":"log"}]}"#);
        match host {
            Host::Wasm => {
                refused["config"]["vm_config"]["environment_variables"] =
                    json!({"key_values": {"OTHER": "x", "FAULTLINE_UNCONFIGURED": value}});
            }
            Host::Module => proxy.environment = vec![("FAULTLINE_UNCONFIGURED", value)],
        }
        proxy.plugin["typed_config"] = refused;
        let (envoy, address) = proxy.start().await;
        let response = ask(address, "GET", "/log", "a", &[]).await;
        assert_eq!(response.status, status, "{value}");
        let expected =
            r#"faultline; error=proxy_configuration_error; details="outcome=not_configured""#;
        assert_eq!(
            response.last("proxy-status"),
            logged_as.map(|_| expected),
            "{value}"
        );
        logged(&envoy, "/log", logged_as).await;
        assert_eq!(upstream.seen().len(), usize::from(status == 200));
        let complaint = "FAULTLINE_UNCONFIGURED is neither pass nor refuse";
        assert_eq!(envoy.log().contains(complaint), value == "yes");
    }
}
