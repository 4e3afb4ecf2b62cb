//! The configuration changes while requests come: nobody notices.

use crate::{
    client::get,
    configuration::{discover, discovery},
    proxy::Proxy,
    statistics::counted,
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use serde_json::json;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::task::JoinSet;

const CHANGES: usize = 100;

/// The filter's counters.
async fn counters(envoy: &Envoy) -> BTreeMap<String, u64> {
    let mut stats = envoy.stats().await.unwrap();
    stats.retain(|name, _| name.starts_with("wasmcustom."));
    stats
}

/// Of every second configuration another route is observed, under another name; each has a path
/// of its own, by which the change is seen.
fn configuration(change: usize) -> String {
    let version = json!({"path": format!("/version/{change}")});
    let log = json!({"path": "/log", "methods": ["GET"], "observe": "log"});
    let other = json!({"path": "/other", "observe": format!("other_{}", change % 2)});
    json!({"routes": [version, log, other]}).to_string()
}

#[tokio::test]
async fn a_hundred_changes_under_load_fail_no_request_and_lose_no_count() {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let discovered = directory.path().join("plugin.json");
    discover(&discovered, &configuration(0));
    let mut proxy = Proxy::to(&upstream, &json!({}));
    proxy.plugin = discovery(&discovered);
    let (envoy, address) = proxy.start().await;

    let is_over = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for _ in 0..3 {
        let is_over = Arc::clone(&is_over);
        clients.spawn(async move {
            let mut requests = 0;
            while !is_over.load(Ordering::Relaxed) {
                let response = get(address, "/log").await;
                assert_eq!(response.status, 200, "request {requests}: {response:?}");
                assert_eq!(response.all("proxy-status").len(), 1, "{response:?}");
                requests += 1;
            }
            requests
        });
    }

    let mut before = counters(&envoy).await;
    for change in 1..=CHANGES {
        discover(&discovered, &configuration(change));
        let arrived = until(format!("change {change}"), async || {
            let status = get(address, &format!("/version/{change}")).await.status;
            (status == 200).then_some(())
        });
        arrived
            .await
            .unwrap_or_else(|error| panic!("{error}:\n{}", envoy.log()));
        let now = counters(&envoy).await;
        for (name, count) in &before {
            assert!(
                now.get(name) >= Some(count),
                "{name} was {count}, is {:?}",
                now.get(name)
            );
        }
        // Both observed names are known after the second configuration; from then on no metric
        // is added by yet another one.
        if change > 1 {
            assert_eq!(now.len(), before.len(), "change {change}");
        }
        before = now;
    }
    is_over.store(true, Ordering::Relaxed);

    let requests: Vec<u64> = clients.join_all().await;
    assert!(requests.iter().all(|count| *count > 0), "{requests:?}");
    counted(&envoy, "faultline_requests.log.ok", requests.iter().sum()).await;
    counted(&envoy, "faultline_config_errors", 0).await;
}
