//! Every outcome, brought about for real: what the client sees, what is counted, what is logged.

use crate::{
    annotations::{proxy_status, server_timing},
    client::{Response, get, request, send},
    host::{Host, each_host},
    http2,
    proxy::Proxy,
    scenario::{self, Client, Scenario},
    statistics::{counted, exported, logged, statistics},
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use http_body_util::BodyExt;
use serde_json::json;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

each_host!(
    every_outcome_is_announced_counted_and_logged,
    every_outcome_over_http2_likewise,
    annotations_of_others_stay,
    odd_requests_are_answered_and_counted,
    labels_come_out_as_istio_reads_them,
);

/// Envoy starts its timers at the time its event loop last looked at the clock, so a timeout may
/// be early by as long as a loaded machine takes for one turn of the loop.
const EARLY_MS: f64 = 20.0;

/// No scenario takes long; a loaded machine may, so the upper limit is generous.
const AT_MOST_MS: f64 = 20_000.0;

async fn every_outcome_is_announced_counted_and_logged(host: Host) {
    every_outcome(host, Protocol::Http1).await;
}

async fn every_outcome_over_http2_likewise(host: Host) {
    every_outcome(host, Protocol::Http2).await;
}

/// What the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http1,
    Http2,
}

impl Protocol {
    async fn get(self, address: SocketAddr, target: &str) -> Response {
        match self {
            Self::Http1 => get(address, target).await,
            Self::Http2 => http2::send(address, "GET", target).await,
        }
    }
}

async fn every_outcome(host: Host, protocol: Protocol) {
    let scenarios = scenario::all();
    let upstream = {
        let scenarios = scenarios.clone();
        Upstream::start(move |request| scenario::play(&scenarios, request))
            .await
            .unwrap()
    };
    let closed = closed();
    let proxy = proxy(host, &scenarios, &upstream, closed.local_addr().unwrap());
    let (envoy, address) = proxy.start().await;
    for scenario in &scenarios {
        run(scenario, protocol, &envoy, address, &upstream).await;
    }
}

fn proxy(host: Host, scenarios: &[Scenario], upstream: &Upstream, closed: SocketAddr) -> Proxy {
    let observed: Vec<_> = scenarios
        .iter()
        .map(|one| json!({"path": one.path(), "observe": one.name}))
        .collect();
    let mut proxy = Proxy::to(host, upstream, &json!({"routes": observed}));
    proxy.filters = scenario::filters();
    proxy.clusters = scenario::clusters(upstream.address(), closed);
    proxy.routes = scenarios
        .iter()
        .filter(|one| !one.route.is_null())
        .map(|one| {
            let mut route = one.route.clone();
            route["match"] = json!({"path": one.path()});
            route
        })
        .collect();
    proxy
}

/// A port that nothing listens at, nor will as long as it is held.
fn closed() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    socket
}

async fn run(
    scenario: &Scenario,
    protocol: Protocol,
    envoy: &Envoy,
    address: SocketAddr,
    upstream: &Upstream,
) {
    let name = scenario.name;
    let mut before = 0;
    if scenario.outcome == "rate_limited" {
        assert_eq!(
            protocol.get(address, &scenario.path()).await.status,
            200,
            "the only token"
        );
        counted(envoy, &format!("faultline_requests_total.{name}.ok"), 1).await;
        before = 1;
    }

    match scenario.client {
        Client::Stays => {
            let response = protocol.get(address, &scenario.path()).await;
            assert_eq!(Some(response.status), scenario.status, "{name}");
            check_annotations(scenario, &response);
        }
        leaving => match protocol {
            Protocol::Http1 => leave(scenario, address, upstream, leaving).await,
            Protocol::Http2 => leave_http2(scenario, address, upstream, leaving).await,
        },
    }

    counted(
        envoy,
        &format!("faultline_requests_total.{name}.{}", scenario.outcome),
        1,
    )
    .await;
    let stats = statistics(envoy).await;
    let requests = format!("faultline_requests_total.{name}.");
    let all: u64 = stats
        .iter()
        .filter(|(stat, _)| stat.starts_with(&requests))
        .map(|(_, n)| n)
        .sum();
    assert_eq!(all, 1 + before, "{name}: one outcome per request");
    let retries = scenario.attempts.map_or(0, |attempts| attempts - 1);
    assert_eq!(
        stats[&format!("faultline_retries_total.{name}")],
        retries,
        "{name}"
    );
    let delays = stats[&format!("faultline_delays_injected_total.{name}")];
    assert_eq!(delays, scenario.delays, "{name}");
    let durations = format!(
        "faultline_request_duration_milliseconds_{name}_count{{}} {}",
        1 + before
    );
    exported(envoy, &durations).await;

    logged(envoy, &scenario.path(), Some(scenario.outcome)).await;
}

fn check_annotations(scenario: &Scenario, response: &Response) {
    let name = scenario.name;
    let status = proxy_status(response);
    let mut details = format!("outcome={}", scenario.announced);
    if let Some(attempts) = scenario.attempts {
        details += &format!(" attempts={attempts}");
    }
    if !scenario.flags.is_empty() {
        details += &format!(" flags={}", scenario.flags);
    }
    assert_eq!(status.details, details, "{name}");
    assert_eq!(status.error.as_deref(), scenario.error, "{name}");
    assert_eq!(status.received, scenario.received, "{name}");

    let timings = server_timing(response);
    assert_eq!(timings[0].name, "faultline", "{name}");
    assert_eq!(
        timings[0].description.as_deref(),
        Some(scenario.announced),
        "{name}"
    );
    let duration = timings[0].duration.expect("a duration");
    let expected = scenario.at_least_ms - EARLY_MS..AT_MOST_MS;
    assert!(
        expected.contains(&duration),
        "{name}: {duration} ms, not {expected:?}"
    );
    let attempts = timings
        .get(1)
        .map(|timing| (timing.name.as_str(), timing.description.clone()));
    let expected = scenario
        .attempts
        .map(|attempts| ("attempts", Some(attempts.to_string())));
    assert_eq!(attempts, expected, "{name}");
}

/// The first half of a body that the client leaves in the middle of.
const HALF: &[u8] = b"half of ";

async fn arrived(scenario: &Scenario, upstream: &Upstream) {
    let arrived = until("the upstream to have the request", async || {
        (!upstream.seen_at(&scenario.path()).is_empty()).then_some(())
    });
    arrived.await.unwrap();
}

/// Sends the request, waits until the upstream has it (and the client half a body), and leaves.
async fn leave(scenario: &Scenario, address: SocketAddr, upstream: &Upstream, client: Client) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = request(b"GET", scenario.path().as_bytes());
    stream.write_all(&request).await.unwrap();
    arrived(scenario, upstream).await;
    let mut read = Vec::new();
    while client == Client::LeavesMidBody && !read.windows(HALF.len()).any(|window| window == HALF)
    {
        let mut buffer = [0; 1024];
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "closed before {read:?}");
        read.extend_from_slice(&buffer[..length]);
    }
}

/// The same over HTTP/2.
async fn leave_http2(
    scenario: &Scenario,
    address: SocketAddr,
    upstream: &Upstream,
    client: Client,
) {
    let (mut exchange, body) = http2::open(address, "GET", &scenario.path(), &[]).await;
    drop(body);
    arrived(scenario, upstream).await;
    if client == Client::LeavesMidBody {
        let (_, mut body) = exchange.head().await;
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), HALF);
    }
}

/// The upstream may have annotated the response already, more than once: all of it stays, and
/// this proxy comes last.
async fn annotations_of_others_stay(host: Host) {
    let upstream = Upstream::start(|_| Step::Answer {
        status: http::StatusCode::OK,
        headers: vec![
            ("proxy-status", "cache; hit"),
            ("server-timing", "db;dur=5"),
            ("proxy-status", "other; error=dns_error"),
            ("server-timing", "cache"),
        ],
        body: "app".into(),
    });
    let upstream = upstream.await.unwrap();
    let config = json!({"routes": [{"path": "/log", "observe": "log"}, {"path": "/plain"}]});
    let (_envoy, address) = Proxy::to(host, &upstream, &config).start().await;

    let observed = get(address, "/log").await;
    // Envoy joins what it has of this header into one line, which is the same list.
    let statuses = observed.all("proxy-status").join(",");
    assert!(
        statuses.starts_with("cache; hit,other; error=dns_error,faultline;"),
        "{statuses}"
    );
    assert_eq!(proxy_status(&observed).received, Some(200));
    let timings: Vec<_> = server_timing(&observed)
        .into_iter()
        .map(|timing| timing.name)
        .collect();
    assert_eq!(timings, ["db", "cache", "faultline", "attempts"]);

    let plain = get(address, "/plain").await;
    let statuses = plain.all("proxy-status").join(",");
    assert_eq!(
        statuses, "cache; hit,other; error=dns_error",
        "not observed: left alone"
    );
    assert_eq!(plain.all("server-timing").join(","), "db;dur=5,cache");
}

/// What arrives may lack what every request should have, or have it twice.
async fn odd_requests_are_answered_and_counted(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let config = json!({"routes": [{"path": "/log", "methods": ["GET"], "observe": "log"}]});
    let (envoy, address) = Proxy::to(host, &upstream, &config).start().await;
    for (request, status) in [
        ("GET /log HTTP/1.0\r\nhost: a\r\n\r\n", 200),
        ("GET /log HTTP/1.1\r\nconnection: close\r\n\r\n", 400),
        (
            "GET /log HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n",
            200,
        ),
        (
            "GET /log HTTP/1.1\r\nhost: a\r\nx: 1\r\nx: \u{ff}\r\nx:\r\nconnection: close\r\n\r\n",
            200,
        ),
        (
            "CONNECT /log HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
            404,
        ),
        (
            "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\nconnection: close\r\n\r\n",
            404,
        ),
    ] {
        let response = send(address, request.as_bytes()).await.expect(request);
        assert!(
            response.status == status || (status == 404 && response.status == 400),
            "{request:?}: {response:?}"
        );
    }
    counted(&envoy, "faultline_requests_total.log.ok", 3).await;
    assert_eq!(upstream.seen().len(), 3);
}

/// With labels, the names are in Istio's tag encoding, and its bootstrap's expressions read them.
async fn labels_come_out_as_istio_reads_them(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let (envoy, address) = Proxy::labelled(host, &upstream).start().await;
    get(address, "/log").await;
    get(address, "/nowhere").await;

    let requests = "route=.=log;.;outcome=.=ok;.;faultline_requests_total";
    counted(&envoy, requests, 1).await;
    counted(&envoy, "faultline_unknown_routes_total", 1).await;
    for line in [
        r#"faultline_requests_total{route="log",outcome="ok"} 1"#,
        r#"faultline_requests_total{route="log",outcome="timeout"} 0"#,
        r#"faultline_retries_total{route="log"} 0"#,
        r#"faultline_delays_injected_total{route="log"} 0"#,
        r#"faultline_request_duration_milliseconds_count{route="log"} 1"#,
        "faultline_unknown_routes_total{} 1",
        "faultline_method_not_allowed_total{} 0",
        "faultline_config_errors_total{} 0",
    ] {
        exported(&envoy, line).await;
    }
}
