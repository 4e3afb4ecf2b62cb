//! `filter/examples/envoy.yaml` as it is, but for its ports and the module's path.

use crate::{
    annotations::{proxy_status, server_timing},
    client::{get, request, send},
    statistics::{exported, logged},
};
use faultline_testbed::{Envoy, Step, Upstream, filter};
use std::net::SocketAddr;

const EXAMPLE: &str = include_str!("../../examples/envoy.yaml");

/// The example, on ports of the system's choice. The testbed lays its own over `admin`.
async fn start(upstream: &Upstream) -> (Envoy, SocketAddr) {
    let mut config = EXAMPLE.to_owned();
    for (word, other) in [
        (
            "target/filter/plugin.wasm",
            filter().unwrap().display().to_string(),
        ),
        (
            "0.0.0.0, port_value: 8080",
            "127.0.0.1, port_value: 0".to_owned(),
        ),
        (
            "port_value: 8000",
            format!("port_value: {}", upstream.address().port()),
        ),
    ] {
        assert!(config.contains(word), "{word}");
        config = config.replace(word, &other);
    }
    let envoy = Envoy::start(&config)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let address = envoy.listener("http").await.unwrap();
    (envoy, address)
}

#[tokio::test]
async fn the_example_guards_observes_and_labels() {
    // What is routed is answered, but for the observed route.
    let upstream = Upstream::start(|request| match request.uri.path() {
        "/" | "/status" | "/static/app.css" => Step::answer(200, "app"),
        _ => Step::Stall,
    });
    let upstream = upstream.await.unwrap();
    let (envoy, address) = start(&upstream).await;

    for path in ["/", "/x/../status", "/static/app.css"] {
        let allowed = get(address, path).await;
        assert_eq!(
            (allowed.status, allowed.body.as_slice()),
            (200, b"app".as_slice()),
            "{path}"
        );
        assert_eq!(allowed.last("proxy-status"), None, "{path} is not observed");
    }

    let unknown = get(address, "/nothing").await;
    assert_eq!(unknown.status, 404);
    assert_eq!(
        unknown.last("content-type"),
        Some("application/problem+json")
    );
    assert_eq!(proxy_status(&unknown).details, "outcome=unknown_route");

    let refused = send(address, &request(b"DELETE", b"/orders"))
        .await
        .unwrap();
    assert_eq!(refused.status, 405);
    assert_eq!(refused.last("allow"), Some("GET, HEAD, POST"));
    assert_eq!(proxy_status(&refused).details, "outcome=method_not_allowed");

    let late = get(address, "/orders").await;
    assert_eq!(late.status, 504);
    // Three; on a busy machine the whole time may be over during the second.
    let attempts = upstream.seen_at("/orders").len();
    assert!((2..=3).contains(&attempts), "{attempts}");
    let status = proxy_status(&late);
    assert_eq!(status.error.as_deref(), Some("http_response_timeout"));
    assert_eq!(
        status.details,
        format!("outcome=timeout attempts={attempts} flags=UT")
    );
    let timings = server_timing(&late);
    assert_eq!(timings[0].description.as_deref(), Some("timeout"));
    assert!(timings[0].duration.unwrap() >= 900.0, "{timings:?}");
    assert_eq!(timings[1].description, Some(attempts.to_string()));

    let others = upstream.seen().len() - attempts;
    assert_eq!(others, 3, "nothing else reached the upstream");
    for line in [
        r#"faultline_requests{route="orders",outcome="timeout"} 1"#,
        r#"faultline_requests{route="orders",outcome="ok"} 0"#,
        &format!(r#"faultline_retries{{route="orders"}} {}"#, attempts - 1),
        r#"faultline_duration_ms_count{route="orders"} 1"#,
        "faultline_unknown_routes{} 1",
        "faultline_method_not_allowed{} 1",
    ] {
        exported(&envoy, line).await;
    }
    logged(&envoy, "/orders", Some("timeout")).await;
    logged(&envoy, "/nothing", Some("unknown_route")).await;
    logged(&envoy, "/", None).await;
}
