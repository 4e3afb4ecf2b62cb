//! The guard: nothing reaches the upstream but what has a route, however it is spelt.

use crate::{
    client::{Response, request, send},
    host::{Host, each_host},
    http2,
    proxy::Proxy,
    statistics::{counted, logged},
};
use faultline_testbed::{Step, Upstream};
use serde_json::{Value, json};

/// What a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The upstream sees it, under this path.
    Passes(&'static str),
    /// The filter's 404.
    Unknown,
    /// The filter's 405.
    MethodNotAllowed,
    /// The filter's 404 or 405, or a 400 or 404 of Envoy itself: versions differ.
    Refused,
}
use Fate::{MethodNotAllowed, Passes, Refused, Unknown};

each_host!(
    only_routes_reach_the_upstream,
    http2_is_guarded_alike,
    observing_lets_everything_pass,
);

fn configuration() -> Value {
    json!({"routes": [
        {"path": "/", "methods": ["GET"]},
        {"path": "/status", "methods": ["GET"]},
        {"path": "/log", "methods": ["GET", "POST"], "observe": "log"},
        {"prefix": "/static/", "methods": ["GET"]},
    ]})
}

/// Request targets of a GET over HTTP/1.1, as bytes on the wire.
const TARGETS: &[(&[u8], Fate)] = &[
    (b"/", Passes("/")),
    (b"/?", Passes("/")),
    (b"/?a=/b", Passes("/")),
    (b"/status", Passes("/status")),
    (b"/status?x=%00&y=..", Passes("/status")),
    (b"/log?q=1", Passes("/log")),
    (b"/static/app.css", Passes("/static/app.css")),
    (b"/static/caf%C3%A9", Passes("/static/caf%C3%A9")),
    // Envoy's normalisation makes these the route they name; only then is a path compared.
    (b"/./status", Passes("/status")),
    (b"/x/../status", Passes("/status")),
    (b"/%73tatus", Passes("/status")),
    (b"/static/..\\log", Passes("/log")),
    (b"http://test/status", Passes("/status")),
    (b"http://elsewhere/status", Passes("/status")),
    // Case
    (b"/Status", Unknown),
    (b"/STATUS", Unknown),
    (b"/sTatus", Unknown),
    (b"/LOG", Unknown),
    (b"/Static/app.css", Unknown),
    // Slashes
    (b"//", Unknown),
    (b"///", Unknown),
    (b"//status", Unknown),
    (b"/status/", Unknown),
    (b"/status//", Unknown),
    (b"/log/", Unknown),
    (b"/static", Unknown),
    (b"/static//app.css", Unknown),
    (b"/static/a//", Unknown),
    (b"/\\status", Refused),
    // Dots
    (b"/status.", Unknown),
    (b"/status..", Unknown),
    (b"/.status", Unknown),
    (b"/...", Unknown),
    (b"/status/x/../../healthz", Unknown),
    (b"/static/../healthz", Unknown),
    (b"/../../healthz", Refused),
    (b"/static/%2e%2e/healthz", Unknown),
    (b"/static/%2E%2E%2Fhealthz", Unknown),
    (b"/static/..%2fhealthz", Unknown),
    (b"/static/..%5chealthz", Unknown),
    // Encodings
    (b"/status%20", Unknown),
    (b"/status%09", Unknown),
    (b"/%2fstatus", Unknown),
    (b"/status%2f", Unknown),
    (b"/%5cstatus", Unknown),
    (b"/status%3fx", Unknown),
    (b"/status%23x", Unknown),
    (b"/%25%37%33tatus", Unknown),
    (b"/%2573tatus", Unknown),
    (b"/static/%252e%252e/healthz", Unknown),
    (b"/static/%c0%ae%c0%ae/healthz", Unknown),
    (b"/static/%e0%80%ae/healthz", Unknown),
    (b"/static/%u002e/healthz", Refused),
    (b"/static/%", Refused),
    (b"/static/%zz", Refused),
    (b"/static/%2", Refused),
    // Parameters
    (b"/status;", Unknown),
    (b"/status;x=1", Unknown),
    (b"/;x/status", Unknown),
    (b"/static/a;b", Unknown),
    (b"/static/..;/healthz", Unknown),
    (b"/static/%3b", Unknown),
    // NUL and other control characters
    (b"/status%00", Refused),
    (b"/%00/status", Refused),
    (b"/static/%00", Refused),
    (b"/status\0", Refused),
    (b"/status%0d%0ax", Unknown),
    (b"/static/%0a", Unknown),
    (b"/status\x7f", Refused),
    (b"/status\x01", Refused),
    // Bytes beyond ASCII
    (b"/status\xff", Refused),
    (b"/\xc0\xaf/status", Refused),
    (b"/stat\xc5\xb3s", Refused),
    // Forms of the target
    (b"*", Refused),
    (b"status", Refused),
    (b"?status", Refused),
    (b"http://test", Passes("/")),
    (b"http://test/healthz", Unknown),
    (b"http://test//status", Unknown),
    (b"ftp://test/status", Refused),
    (b"/http://test/status", Unknown),
    (b"/status#x", Refused),
    (b"#/status", Refused),
    // What the services have but do not show
    (b"/healthz", Unknown),
    (b"/readyz", Unknown),
    (b"/metrics", Unknown),
    (b"/logs", Unknown),
    (b"/favicon.ico", Unknown),
    // Near misses
    (b"/statu", Unknown),
    (b"/statuss", Unknown),
    (b"/status:80", Unknown),
    (b"/status,", Unknown),
    (b"/status*", Unknown),
    (b"/status&x=1", Unknown),
    (b"/s/tatus", Unknown),
];

/// Methods, each with a path that exists and a body of none.
const METHODS: &[(&[u8], &[u8], Fate)] = &[
    (b"HEAD", b"/status", Passes("/status")),
    (b"POST", b"/log", Passes("/log")),
    (b"POST", b"/status", MethodNotAllowed),
    (b"POST", b"/", MethodNotAllowed),
    (b"PUT", b"/log", MethodNotAllowed),
    (b"DELETE", b"/log", MethodNotAllowed),
    (b"PATCH", b"/log", MethodNotAllowed),
    (b"OPTIONS", b"/status", MethodNotAllowed),
    (b"TRACE", b"/status", MethodNotAllowed),
    (b"PROPFIND", b"/static/a", MethodNotAllowed),
    (b"OPTIONS", b"*", Refused),
    (b"CONNECT", b"test:80", Refused),
    (b"get", b"/status", Refused),
    (b"BREW", b"/status", Refused),
    (b"G3T", b"/status", Refused),
    (b"DELETE", b"/healthz", Unknown),
];

async fn only_routes_reach_the_upstream(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let (envoy, address) = Proxy::to(host, &upstream, &configuration()).start().await;
    let long = [b"/status/".as_slice(), &[b'a'; 20_000]].concat();
    // Longer than Envoy's limit for all headers, 60 KiB.
    let longer = [b"/".as_slice(), &[b'a'; 100_000]].concat();
    let gets = TARGETS
        .iter()
        .map(|(target, fate)| (b"GET".as_slice(), *target, *fate));
    let all =
        gets.chain(METHODS.iter().copied())
            .chain([(b"GET".as_slice(), long.as_slice(), Unknown)]);

    let (mut unknown, mut not_allowed) = (0, 0);
    for (method, target, fate) in all {
        let name = format!("{} {}", method.escape_ascii(), target.escape_ascii());
        let before = upstream.seen().len();
        let response = send(address, &request(method, target)).await;
        let response = response.unwrap_or_else(|| panic!("{name}: no response"));
        let seen = upstream.seen();
        let arrived: Vec<_> = seen[before..].iter().map(|seen| seen.uri.path()).collect();
        match fate {
            Passes(path) => {
                assert_eq!(response.status, 200, "{name}: {response:?}");
                assert_eq!(arrived, [path], "{name}");
            }
            Unknown => assert!(is_unknown(&response), "{name}: {response:?}"),
            MethodNotAllowed => assert!(is_not_allowed(&response), "{name}: {response:?}"),
            Refused => assert!(
                matches!(response.status, 400 | 404) || is_not_allowed(&response),
                "{name}: {response:?}"
            ),
        }
        if !matches!(fate, Passes(_)) {
            assert!(
                arrived.is_empty(),
                "{name} reached the upstream as {arrived:?}"
            );
        }
        unknown += u64::from(is_unknown(&response));
        not_allowed += u64::from(is_not_allowed(&response));
    }
    assert_eq!(
        send(address, &request(b"GET", &longer))
            .await
            .unwrap()
            .status,
        431
    );
    assert!(unknown + not_allowed >= 60, "{unknown} and {not_allowed}");
    counted(&envoy, "faultline_unknown_routes_total", unknown).await;
    counted(&envoy, "faultline_method_not_allowed_total", not_allowed).await;
    logged(&envoy, "/healthz", Some("unknown_route")).await;
    logged(&envoy, "/log", Some("method_not_allowed")).await;
    // A route that is not observed has no outcome.
    logged(&envoy, "/status", None).await;
}

fn is_unknown(response: &Response) -> bool {
    response.status == 404
        && response.all("content-type") == ["application/problem+json"]
        && response.all("proxy-status")
            == [r#"faultline; error=destination_not_found; details="outcome=unknown_route""#]
        && response.body
            == br#"{"type":"about:blank","title":"Not Found","status":404,"detail":"no route matches this path"}"#
}

fn is_not_allowed(response: &Response) -> bool {
    response.status == 405
        && response.all("content-type") == ["application/problem+json"]
        && response
            .last("allow")
            .is_some_and(|allow| allow.starts_with("GET, HEAD"))
        && response.all("proxy-status")
            == [r#"faultline; error=http_request_denied; details="outcome=method_not_allowed""#]
        && response
            .body
            .starts_with(br#"{"type":"about:blank","title":"Method Not Allowed""#)
}

async fn http2_is_guarded_alike(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let (envoy, address) = Proxy::to(host, &upstream, &configuration()).start().await;
    for (method, target, status) in [
        ("GET", "/status", 200),
        ("HEAD", "/status", 200),
        ("GET", "/static/a", 200),
        ("GET", "/Status", 404),
        ("GET", "//status", 404),
        ("GET", "/status/", 404),
        ("GET", "/status;x", 404),
        ("GET", "/static/a%2fb", 404),
        ("GET", "/static/%252e", 404),
        ("GET", "/static/..;/healthz", 404),
        ("POST", "/healthz", 404),
        ("POST", "/status", 405),
        ("BREW", "/status", 405),
    ] {
        let before = upstream.seen().len();
        let response = http2::send(address, method, target).await;
        assert_eq!(response.status, status, "{method} {target}");
        let proxy_status = response.last("proxy-status").unwrap_or_default();
        assert_eq!(
            upstream.seen().len() > before,
            status == 200,
            "{method} {target}"
        );
        assert_eq!(
            proxy_status.starts_with("faultline; error="),
            status != 200,
            "{proxy_status}"
        );
    }
    counted(&envoy, "faultline_unknown_routes_total", 8).await;
    counted(&envoy, "faultline_method_not_allowed_total", 2).await;
}

/// On the client side of a sidecar the filter counts, and stops nothing.
async fn observing_lets_everything_pass(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let mut configuration = configuration();
    configuration["fallback"] = json!("observe");
    let (envoy, address) = Proxy::to(host, &upstream, &configuration).start().await;
    for (method, target) in [("GET", "/elsewhere"), ("POST", "/status"), ("GET", "/log")] {
        let response = send(address, &request(method.as_bytes(), target.as_bytes()))
            .await
            .unwrap();
        assert_eq!(response.status, 200, "{method} {target}");
        let annotated = !response.all("proxy-status").is_empty();
        assert_eq!(annotated, target == "/log", "{method} {target}");
    }
    assert_eq!(upstream.seen().len(), 3);
    counted(&envoy, "faultline_unknown_routes_total", 1).await;
    counted(&envoy, "faultline_method_not_allowed_total", 1).await;
    counted(&envoy, "faultline_requests_total.log.ok", 1).await;
    // Nothing was decided over it.
    logged(&envoy, "/elsewhere", None).await;
}
