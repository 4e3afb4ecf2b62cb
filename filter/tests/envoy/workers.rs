//! Several workers: each has a copy of the filter, and what they count adds up.

use crate::{
    client::get,
    host::{Host, each_host},
    proxy::Proxy,
    statistics::counted,
};
use faultline_testbed::{Envoy, Step, Upstream};
use serde_json::json;
use tokio::task::JoinSet;

each_host!(the_counts_of_several_workers_add_up,);

const REQUESTS: u64 = 400;

async fn the_counts_of_several_workers_add_up(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let config = json!({"routes": [{"path": "/log", "methods": ["GET"], "observe": "log"}]});
    let proxy = Proxy::to(host, &upstream, &config).config().to_string();
    let envoy = Envoy::start_with(&proxy, &["--concurrency", "4"], &[])
        .await
        .unwrap();
    let address = envoy.listener("test").await.unwrap();

    let mut clients = JoinSet::new();
    for _ in 0..8 {
        clients.spawn(async move {
            for n in 0..REQUESTS / 8 {
                let (path, status) = if n % 2 == 0 {
                    ("/log", 200)
                } else {
                    ("/nowhere", 404)
                };
                assert_eq!(get(address, path).await.status, status);
            }
        });
    }
    clients.join_all().await;

    counted(&envoy, "faultline_requests_total.log.ok", REQUESTS / 2).await;
    counted(&envoy, "faultline_unknown_routes_total", REQUESTS / 2).await;
    let stats = envoy.stats().await.unwrap();
    let busy = stats
        .iter()
        .filter(|(name, count)| is_worker(name) && **count > 0)
        .count();
    assert!(busy > 1, "only {busy} worker had a connection");
}

/// Whether this counts the connections of one worker.
fn is_worker(name: &str) -> bool {
    name.starts_with("listener.")
        && name.contains(".worker_")
        && name.ends_with(".downstream_cx_total")
}
