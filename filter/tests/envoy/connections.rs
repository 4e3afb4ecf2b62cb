//! The limit on connections: nothing fails by it alone, but what it makes wait may find no place
//! to wait.

use crate::{
    client::{get, request},
    host::{Host, each_host},
    proxy::{Proxy, cluster},
    statistics::counted,
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

each_host!(a_request_beyond_the_connections_waits_and_one_beyond_those_overflows,);

/// Waits until one of the proxy's own statistics is at least 1.
async fn happened(envoy: &Envoy, statistic: &str) {
    let waited = until(statistic, async || {
        let stats = envoy.stats().await.ok()?;
        stats.get(statistic).filter(|value| **value > 0).map(|_| ())
    });
    waited.await.unwrap();
}

async fn a_request_beyond_the_connections_waits_and_one_beyond_those_overflows(host: Host) {
    let upstream = Upstream::start(|request| match request.uri.path() {
        "/first" => Step::Stall,
        _ => Step::answer(200, "app"),
    });
    let upstream = upstream.await.unwrap();
    let routes: Vec<_> = ["first", "second", "third"]
        .map(|name| json!({"path": format!("/{name}"), "observe": name}))
        .to_vec();
    let mut proxy = Proxy::to(host, &upstream, &json!({"routes": routes}));
    let limits = json!({"max_connections": 1, "max_pending_requests": 1});
    proxy.clusters = vec![cluster(
        "app",
        Some(upstream.address()),
        json!({"circuit_breakers": {"thresholds": [limits]}}),
    )];
    let (envoy, address) = proxy.start().await;

    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(&request(b"GET", b"/first")).await.unwrap();
    let arrived = until("the first at the upstream", async || {
        (!upstream.seen().is_empty()).then_some(())
    });
    arrived.await.unwrap();

    let second = tokio::spawn(get(address, "/second"));
    happened(&envoy, "cluster.app.upstream_rq_pending_active").await;
    happened(&envoy, "cluster.app.upstream_cx_overflow").await;

    assert_eq!(get(address, "/third").await.status, 503);
    counted(&envoy, "faultline_requests_total.third.overflow", 1).await;

    // The only connection goes with the first client; the one made in its place takes the second.
    drop(first);
    assert_eq!(second.await.unwrap().status, 200);
    counted(&envoy, "faultline_requests_total.first.client_gone", 1).await;
    counted(&envoy, "faultline_requests_total.second.ok", 1).await;
    assert_eq!(upstream.seen().len(), 2, "the third never arrived");
}
