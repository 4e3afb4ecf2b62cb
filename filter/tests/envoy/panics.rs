//! Panics of the dynamic module, which shares Envoy's process: each costs one request the filter,
//! and nothing else.
//!
//! A VM of WebAssembly has no such tests: a panic there ends the VM, which Envoy replaces.

use crate::{
    client::{Response, send},
    configuration::{discover_plugin, discovery},
    host::{Host, skipped},
    proxy::Proxy,
    statistics::{counted, logged, statistics},
};
use faultline_testbed::{Envoy, Step, Upstream, dynamic_module, provoking_module, until};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// The header by which the module for these tests is told in which hook to panic.
const HEADER: &str = "x-faultline-provoke";

/// The configuration at which it panics.
const PROVOKING: &str = "configuration";

fn plugin(configuration: &str) -> Value {
    let mut plugin = Host::Module.plugin(configuration);
    let module = provoking_module().unwrap_or_else(|error| panic!("{error}"));
    plugin["dynamic_module_config"]["module"]["local"]["filename"] = json!(module);
    plugin
}

fn configuration() -> String {
    let log = json!({"path": "/log", "methods": ["GET"], "observe": "log"});
    json!({"routes": [log]}).to_string()
}

async fn start(configuration: &str) -> (Upstream, Envoy, SocketAddr) {
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let mut proxy = Proxy::to(Host::Module, &upstream, &json!({}));
    proxy.plugin["typed_config"] = plugin(configuration);
    let (envoy, address) = proxy.start().await;
    (upstream, envoy, address)
}

async fn get(address: SocketAddr, path: &str, panics_in: &str) -> Response {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{HEADER}: {panics_in}\r\n\r\n"
    );
    send(address, request.as_bytes()).await.expect("a response")
}

async fn said(envoy: &Envoy, words: &str) {
    let waited = until(words, async || envoy.log().contains(words).then_some(()));
    waited
        .await
        .unwrap_or_else(|error| panic!("{error} in\n{}", envoy.log()));
}

#[tokio::test]
async fn a_panic_costs_its_request_the_filter_and_nothing_else() {
    if !Host::Module.is_there() {
        return skipped("a_panic_costs_its_request_the_filter_and_nothing_else");
    }
    let (upstream, envoy, address) = start(&configuration()).await;
    // The same request without a panic, before and after: nothing else has changed.
    let healthy = async |requests: u64| {
        assert_eq!(
            get(address, "/log", "nowhere")
                .await
                .all("proxy-status")
                .len(),
            1
        );
        assert_eq!(get(address, "/unknown", "nowhere").await.status, 404);
        counted(&envoy, "faultline_requests_total.log.ok", requests).await;
    };
    healthy(1).await;
    for (panics, hook, is_annotated) in [
        (1, "request_headers", false),
        (2, "response_headers", false),
        (3, "stream_complete", true),
    ] {
        let response = get(address, "/log", hook).await;
        assert_eq!(response.status, 200, "{hook}: {response:?}");
        let annotations = response.all("proxy-status").len();
        assert_eq!(annotations, usize::from(is_annotated), "{hook}");
        counted(&envoy, "faultline_panics_total", panics).await;
        said(&envoy, &format!("provoked in {hook}")).await;
        logged(&envoy, "/log", None).await;
        healthy(1 + panics).await;
    }
    // As without the filter: whatever the path.
    assert_eq!(
        get(address, "/unknown", "request_headers").await.status,
        200
    );
    counted(&envoy, "faultline_panics_total", 4).await;
    assert_eq!(upstream.seen_at("/unknown").len(), 1);
    let all = statistics(&envoy).await;
    let requests = all
        .iter()
        .filter(|(name, _)| name.starts_with("faultline_requests_total."));
    assert_eq!(requests.map(|(_, count)| count).sum::<u64>(), 4);
    assert!(
        envoy.log().contains("faultline: panicked at "),
        "{}",
        envoy.log()
    );
}

#[tokio::test]
async fn a_configuration_that_panics_is_refused() {
    if !Host::Module.is_there() {
        return skipped("a_configuration_that_panics_is_refused");
    }
    let (_upstream, envoy, address) = start(PROVOKING).await;
    assert_eq!(get(address, "/unknown", "nowhere").await.status, 200);
    said(
        &envoy,
        "configuration refused, requests pass untouched: the filter panicked",
    )
    .await;
    counted(&envoy, "faultline_panics_total", 1).await;
    counted(&envoy, "faultline_config_errors_total", 1).await;
}

#[tokio::test]
async fn an_update_that_panics_leaves_the_configuration_before() {
    if !Host::Module.is_there() {
        return skipped("an_update_that_panics_leaves_the_configuration_before");
    }
    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let discovered = directory.path().join("plugin.json");
    discover_plugin(&discovered, &plugin(&configuration()));
    let mut proxy = Proxy::to(Host::Module, &upstream, &json!({}));
    proxy.plugin = discovery(Host::Module, &discovered);
    let (envoy, address) = proxy.start().await;
    assert_eq!(get(address, "/unknown", "nowhere").await.status, 404);

    discover_plugin(&discovered, &plugin(PROVOKING));
    said(
        &envoy,
        "configuration refused, the one before stays: the filter panicked",
    )
    .await;
    counted(&envoy, "faultline_config_errors_total", 1).await;
    assert_eq!(get(address, "/unknown", "nowhere").await.status, 404);
    assert_eq!(
        get(address, "/log", "nowhere")
            .await
            .all("proxy-status")
            .len(),
        1
    );
}

#[test]
fn the_module_for_use_cannot_be_provoked() {
    let holds = |module: &[u8]| {
        module
            .windows(HEADER.len())
            .any(|window| window == HEADER.as_bytes())
    };
    let read = |path| std::fs::read(path).unwrap();
    assert!(holds(&read(provoking_module().unwrap())));
    assert!(!holds(&read(dynamic_module().unwrap())));
}
