//! The examples for Envoy as they are, but for their ports and where the module is.

use crate::{
    annotations::{proxy_status, server_timing},
    client::{get, request, send},
    host::{Host, each_host, skipped},
    proxy::Proxy,
    statistics::{exported, logged},
};
use faultline_testbed::{Envoy, Step, Upstream, dynamic_module, filter, until};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{fs, net::SocketAddr};

each_host!(the_example_guards_observes_and_labels);

/// The example with its words replaced, and its ports by ones of the system's choice. The testbed lays
/// its own over `admin`.
fn filled(example: &str, upstream: &Upstream, words: &[(&str, String)]) -> String {
    let mut config = example.to_owned();
    let ports = [
        (
            "0.0.0.0, port_value: 8080",
            "127.0.0.1, port_value: 0".to_owned(),
        ),
        (
            "port_value: 8000",
            format!("port_value: {}", upstream.address().port()),
        ),
    ];
    for (word, other) in ports.iter().chain(words) {
        assert!(config.contains(word), "{word}");
        config = config.replace(word, other);
    }
    config
}

async fn start(host: Host, upstream: &Upstream) -> (Envoy, SocketAddr) {
    let (example, word, module) = match host {
        Host::Wasm => (
            include_str!("../../examples/envoy.yaml"),
            "target/filter/plugin.wasm",
            filter(),
        ),
        Host::Module => (
            include_str!("../../examples/envoy-module.yaml"),
            "target/filter/module/amd64/libfaultline.so",
            dynamic_module(),
        ),
    };
    let module = module.unwrap_or_else(|error| panic!("{error}"));
    let words = [(word, module.display().to_string())];
    let envoy = Envoy::start(&filled(example, upstream, &words))
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let address = envoy.listener("http").await.unwrap();
    (envoy, address)
}

async fn the_example_guards_observes_and_labels(host: Host) {
    // What is routed is answered, but for the observed route.
    let upstream = Upstream::start(|request| match request.uri.path() {
        "/" | "/status" | "/static/app.css" => Step::answer(200, "app"),
        _ => Step::Stall,
    });
    let upstream = upstream.await.unwrap();
    let (envoy, address) = start(host, &upstream).await;

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
        r#"faultline_requests_total{route="orders",outcome="timeout"} 1"#,
        r#"faultline_requests_total{route="orders",outcome="ok"} 0"#,
        &format!(
            r#"faultline_retries_total{{route="orders"}} {}"#,
            attempts - 1
        ),
        r#"faultline_request_duration_milliseconds_count{route="orders"} 1"#,
        "faultline_unknown_routes_total{} 1",
        "faultline_method_not_allowed_total{} 1",
    ] {
        exported(&envoy, line).await;
    }
    logged(&envoy, "/orders", Some("timeout")).await;
    logged(&envoy, "/nothing", Some("unknown_route")).await;
    logged(&envoy, "/", None).await;
}

/// A server that has the module, and one that has another file under its name.
#[tokio::test]
async fn the_remote_example_fetches_the_module_by_its_sum() {
    if !Host::Module.is_there() {
        return skipped("the_remote_example_fetches_the_module_by_its_sum");
    }
    let module = fs::read(dynamic_module().unwrap()).unwrap();
    let sum = format!("{:x}", Sha256::digest(&module));
    for (file, is_fetched) in [(module, true), (b"another file".to_vec(), false)] {
        let app = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
        let modules = Upstream::start(move |_| Step::answer(200, file.clone()))
            .await
            .unwrap();
        let words = [
            (
                "address: modules.example.com, port_value: 80",
                format!(
                    "address: 127.0.0.1, port_value: {}",
                    modules.address().port()
                ),
            ),
            (&*"0".repeat(64), sum.clone()),
        ];
        let example = include_str!("../../examples/envoy-module-remote.yaml");
        let config = filled(example, &app, &words);
        // An empty folder: what another test fetched is not there.
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().to_str().unwrap();
        let arguments = ["--concurrency", "1"];
        let envoy = Envoy::start_with(&config, &arguments, &[("TMPDIR", folder)]).await;
        let envoy = envoy.unwrap_or_else(|error| panic!("{error}"));
        let fetched = until("a request for the module", async || {
            (!modules.seen_at("/amd64/libfaultline.so").is_empty()).then_some(())
        });
        fetched.await.unwrap();
        let kept = temporary
            .path()
            .join(format!("envoy_dynamic_module_{sum}.so"));
        if is_fetched {
            let address = envoy.listener("http").await.unwrap();
            assert_eq!(get(address, "/status").await.status, 200);
            assert_eq!(get(address, "/nothing").await.status, 404);
            assert_eq!(app.seen().len(), 1);
            assert!(kept.is_file());
        } else {
            // Envoy goes on without the filter: what it guards is then open.
            assert!(!kept.exists());
            let address = envoy.listener("http").await.unwrap();
            assert_eq!(get(address, "/nothing").await.status, 200);
            let words = "module will not be loaded";
            assert!(envoy.log().contains(words), "{}", envoy.log());
        }
    }
}

/// What Istio would put into its proxies, in Envoy without Istio.
#[tokio::test]
async fn the_patch_of_the_istio_example_is_what_envoy_takes() {
    if !Host::Module.is_there() {
        return skipped("the_patch_of_the_istio_example_is_what_envoy_takes");
    }
    let example = include_str!("../../examples/envoyfilter-module.yaml");
    let module = dynamic_module().unwrap().display().to_string();
    let example = example.replace("/etc/faultline/libfaultline.so", &module);
    let example: Value = serde_saphyr::from_str(&example).unwrap();
    let patch = example
        .pointer("/spec/configPatches/0/patch/value")
        .unwrap();

    let upstream = Upstream::start(|_| Step::answer(200, "app")).await.unwrap();
    let mut proxy = Proxy::labelled(Host::Module, &upstream);
    proxy.plugin = patch.clone();
    let (envoy, address) = proxy.start().await;
    assert_eq!(get(address, "/orders").await.status, 200);
    assert_eq!(get(address, "/nothing").await.status, 404);
    exported(
        &envoy,
        r#"faultline_requests_total{route="orders",outcome="ok"} 1"#,
    )
    .await;
    exported(&envoy, "faultline_unknown_routes_total{} 1").await;
}
