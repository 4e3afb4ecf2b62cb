//! Where the filter runs, and that it will take its configuration: Envoy refuses what the filter refuses.

use crate::manifest::rendered;
use faultline_filter_core::{Config, Fallback, Labels};
use serde_json::{Value, json};

/// A plugin's configuration, read by the filter's own parser.
pub(crate) fn config(plugin: &str) -> Config {
    let manifest = rendered().one("WasmPlugin", plugin);
    let bytes = serde_json::to_vec(manifest.get("/spec/pluginConfig")).expect("JSON");
    Config::parse(&bytes).unwrap_or_else(|error| panic!("{plugin}: {error}"))
}

/// What a plugin is there for.
struct Part {
    name: &'static str,
    /// The label and its value that its workload carries.
    workload: (&'static str, &'static str),
    /// Which side of a sidecar; a gateway has no sides.
    mode: Option<&'static str>,
    fallback: Fallback,
    observed: &'static [&'static str],
}

const PARTS: [Part; 4] = [
    Part {
        name: "faultline-gateway",
        workload: ("istio", "ingressgateway"),
        mode: None,
        fallback: Fallback::Enforce,
        observed: &["log"],
    },
    Part {
        name: "custom-app-guard",
        workload: ("app", "custom-app"),
        mode: Some("SERVER"),
        fallback: Fallback::Enforce,
        observed: &[],
    },
    Part {
        name: "custom-app-observe",
        workload: ("app", "custom-app"),
        mode: Some("CLIENT"),
        fallback: Fallback::Observe,
        observed: &["log_agent"],
    },
    Part {
        name: "log-agent-guard",
        workload: ("app", "log-agent"),
        mode: Some("SERVER"),
        fallback: Fallback::Enforce,
        observed: &[],
    },
];

#[test]
fn each_plugin_does_its_part() {
    assert_eq!(rendered().of_kind("WasmPlugin").count(), PARTS.len());
    for part in PARTS {
        let name = part.name;
        let plugin = rendered().one("WasmPlugin", name);
        let (label, value) = part.workload;
        assert_eq!(
            *plugin.get("/spec/selector/matchLabels"),
            json!({label: value}),
            "{name}"
        );
        let sides = part
            .mode
            .map_or(Value::Null, |mode| json!([{"mode": mode}]));
        assert_eq!(*plugin.get("/spec/match"), sides, "{name}");
        let config = config(name);
        assert_eq!(config.fallback, part.fallback, "{name}");
        assert_eq!(config.observed, part.observed, "{name}");
    }
}

#[test]
fn no_plugin_can_stop_the_traffic() {
    for plugin in rendered().of_kind("WasmPlugin") {
        assert_eq!(
            plugin.text("/spec/failStrategy"),
            "FAIL_OPEN",
            "{}",
            plugin.name()
        );
        assert_eq!(plugin.text("/spec/phase"), "AUTHN", "{}", plugin.name());
    }
}

/// A gateway's plugin is searched for only where the gateway is.
#[test]
fn the_gateways_plugin_is_in_the_gateways_namespace() {
    for plugin in rendered().of_kind("WasmPlugin") {
        let expected = if plugin.name() == "faultline-gateway" {
            "istio-system"
        } else {
            "faultline"
        };
        assert_eq!(plugin.namespace(), expected, "{}", plugin.name());
    }
}

#[test]
fn every_plugin_labels_its_metrics() {
    for plugin in rendered().of_kind("WasmPlugin") {
        assert_eq!(
            config(plugin.name()).labels,
            Labels::Tagged,
            "{}",
            plugin.name()
        );
    }
}
