//! The configuration changes while requests come: nobody notices.

use crate::{
    client::get,
    configuration::{discover, discovery},
    host::{Host, each_host},
    proxy::Proxy,
    statistics::{counted, statistics},
};
use faultline_testbed::{Step, Upstream, until};
use serde_json::json;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::task::JoinSet;

each_host!(a_hundred_changes_under_load_fail_no_request_and_lose_no_count,);

const CHANGES: usize = 100;

/// Of every second configuration another route is observed, under another name; each has a path
/// of its own, by which the change is seen.
fn configuration(change: usize) -> String {
    let version = json!({"path": format!("/version/{change}")});
    let log = json!({"path": "/log", "methods": ["GET"], "observe": "log"});
    let other = json!({"path": "/other", "observe": format!("other_{}", change % 2)});
    json!({"routes": [version, log, other]}).to_string()
}

async fn a_hundred_changes_under_load_fail_no_request_and_lose_no_count(host: Host) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let discovered = directory.path().join("plugin.json");
    discover(host, &discovered, &configuration(0));
    let mut proxy = Proxy::to(host, &upstream, &json!({}));
    proxy.plugin = discovery(host, &discovered);
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

    let mut before = statistics(&envoy).await;
    let mut known: BTreeSet<String> = before.keys().cloned().collect();
    for change in 1..=CHANGES {
        discover(host, &discovered, &configuration(change));
        let arrived = until(format!("change {change}"), async || {
            let status = get(address, &format!("/version/{change}")).await.status;
            (status == 200).then_some(())
        });
        arrived
            .await
            .unwrap_or_else(|error| panic!("{error}:\n{}", envoy.log()));
        let now = statistics(&envoy).await;
        for (name, count) in &before {
            let kept = now.get(name);
            // A VM keeps what was ever defined; a module, what the configuration defines.
            let may_be_gone = host == Host::Module && name.contains("other_");
            assert!(
                kept >= Some(count) || (may_be_gone && kept.is_none()),
                "{name} was {count}, is {kept:?}"
            );
        }
        // Both observed names are known after the second configuration; from then on no metric
        // is added by yet another one.
        if change == 1 {
            known.extend(now.keys().cloned());
        }
        let added: Vec<_> = now.keys().filter(|name| !known.contains(*name)).collect();
        assert!(added.is_empty(), "change {change} added {added:?}");
        before = now;
    }
    is_over.store(true, Ordering::Relaxed);

    let requests: Vec<u64> = clients.join_all().await;
    assert!(requests.iter().all(|count| *count > 0), "{requests:?}");
    counted(
        &envoy,
        "faultline_requests_total.log.ok",
        requests.iter().sum(),
    )
    .await;
    counted(&envoy, "faultline_config_errors_total", 0).await;
}
