//! A configuration that is refused: named in the log, counted, and harmless to traffic.

use crate::{
    client::get,
    host::{Host, each_host},
    proxy::Proxy,
    statistics::counted,
};
use faultline_testbed::{Envoy, Step, Upstream, until};
use serde_json::{Value, json};
use std::{fs, path::Path};

each_host!(
    a_refused_first_configuration_lets_requests_pass,
    a_refused_update_leaves_the_configuration_before,
);

async fn upstream() -> Upstream {
    Upstream::start(|_| Step::answer(200, "app")).await.unwrap()
}

async fn said(envoy: &Envoy, words: &str) {
    let waited = until(words, async || envoy.log().contains(words).then_some(()));
    waited
        .await
        .unwrap_or_else(|error| panic!("{error} in\n{}", envoy.log()));
}

async fn a_refused_first_configuration_lets_requests_pass(host: Host) {
    // As deep as values are read, and deeper: the module's stack is small.
    let deep = format!(
        r#"{}{{"routes":1}}{}"#,
        r#"{"routes":[{"path":"#.repeat(5),
        "}]}".repeat(5)
    );
    let deeper = "[".repeat(100_000);
    for (configuration, words) in [
        ("", "configuration: is missing"),
        ("{", "configuration: is not JSON"),
        (&deep, "routes[0].path = an object"),
        (&deeper, "configuration: is not JSON: values are nested"),
        (
            r#"{"routes":[{"path":"log"}]}"#,
            r#"routes[0].path = "log": must start with"#,
        ),
        (
            r#"{"routes":[{"path":"/"}],"label":true}"#,
            "label = true: unknown key",
        ),
    ] {
        let upstream = upstream().await;
        let mut proxy = Proxy::to(host, &upstream, &json!({}));
        proxy.plugin["typed_config"] = host.plugin(configuration);
        let (envoy, address) = proxy.start().await;
        assert_eq!(
            get(address, "/anything").await.status,
            200,
            "{configuration}"
        );
        said(
            &envoy,
            &format!("faultline: configuration refused, requests pass untouched: {words}"),
        )
        .await;
        counted(
            &envoy,
            "faultline_config_errors_total",
            host.readers().into(),
        )
        .await;
    }
}

/// The plugin as Istio gives it: by extension discovery, which may change it at any time.
async fn a_refused_update_leaves_the_configuration_before(host: Host) {
    let upstream = upstream().await;
    let directory = tempfile::tempdir().unwrap();
    let discovered = directory.path().join("plugin.json");
    let good = json!({"routes": [{"path": "/log"}]}).to_string();
    let bad = json!({"routes": [{"path": "/log"}], "fallback": "perhaps"}).to_string();
    let better = json!({"routes": [{"path": "/log"}, {"path": "/new"}]}).to_string();

    discover(host, &discovered, &good);
    let mut proxy = Proxy::to(host, &upstream, &json!({}));
    proxy.plugin = discovery(host, &discovered);
    let (envoy, address) = proxy.start().await;
    let statuses = async || {
        [
            get(address, "/log").await.status,
            get(address, "/new").await.status,
        ]
    };
    assert_eq!(statuses().await, [200, 404]);

    discover(host, &discovered, &bad);
    said(
        &envoy,
        "refused, the one before stays: fallback = \"perhaps\": must be",
    )
    .await;
    // All have seen it: traffic is now in the hands of the update.
    counted(
        &envoy,
        "faultline_config_errors_total",
        host.readers().into(),
    )
    .await;
    assert_eq!(statuses().await, [200, 404]);

    discover(host, &discovered, &better);
    let waited = until("the corrected configuration", async || {
        (statuses().await == [200, 200]).then_some(())
    });
    waited.await.unwrap();
    assert_eq!(get(address, "/other").await.status, 404);
}

/// The plugin as what this file says, now and whenever it changes.
pub(crate) fn discovery(host: Host, path: &Path) -> Value {
    json!({"name": "faultline.test", "config_discovery": {
        "config_source": {"path_config_source": {"path": path}},
        "type_urls": [host.type_url()],
    }})
}

/// Changes the configuration.
pub(crate) fn discover(host: Host, path: &Path, configuration: &str) {
    discover_plugin(path, &host.plugin(configuration));
}

/// Changes the plugin. Envoy watches for moves.
pub(crate) fn discover_plugin(path: &Path, plugin: &Value) {
    let resource: Value = json!({
        "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig",
        "name": "faultline.test",
        "typed_config": plugin,
    });
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, json!({"resources": [resource]}).to_string()).unwrap();
    fs::rename(&fresh, path).unwrap();
}
