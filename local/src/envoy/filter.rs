//! HTTP filters: Faultline's own, and those that Istio has in every proxy.

use serde_json::{Map, Value, json};

use super::{Files, text};
use crate::mesh::resource::WasmPlugin;

/// Faultline's filter with a plugin's configuration.
///
/// All plugins of this one Envoy count into the same metrics, where on a cluster each proxy has its
/// own. `told_apart` is appended to the names of observed routes, so that proxies stay apart.
pub(super) fn faultline(
    files: &Files,
    plugin: &WasmPlugin,
    name: &str,
    told_apart: Option<&str>,
) -> Value {
    let configuration = match told_apart {
        None => plugin.plugin_config.clone(),
        Some(proxy) => observed_as(&plugin.plugin_config, &route_suffix(proxy)),
    };
    json!({
        "name": format!("faultline.{name}"),
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": format!("faultline.{name}"),
                "failure_policy": plugin.fail_strategy.name(),
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": text(&files.module)}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": Value::Object(configuration).to_string(),
                },
            },
        },
    })
}

/// What is appended to the name of an observed route on a sidecar's client side: `_custom_app_1`.
#[must_use]
pub fn route_suffix(proxy: &str) -> String {
    format!("_{}", proxy.replace('-', "_"))
}

fn observed_as(configuration: &Map<String, Value>, suffix: &str) -> Map<String, Value> {
    let mut configuration = configuration.clone();
    let routes = configuration
        .get_mut("routes")
        .and_then(Value::as_array_mut);
    for route in routes.into_iter().flatten() {
        if let Some(name) = route.get_mut("observe")
            && let Some(text) = name.as_str()
        {
            *name = format!("{text}{suffix}").into();
        }
    }
    configuration
}

/// What follows Faultline's filter (and the authorization) everywhere.
pub(super) fn last() -> [Value; 2] {
    let filter = |name: &str, kind: &str| {
        let kind = format!("type.googleapis.com/envoy.extensions.filters.http.{kind}");
        json!({"name": format!("envoy.filters.http.{name}"), "typed_config": {"@type": kind}})
    };
    [
        filter("fault", "fault.v3.HTTPFault"),
        filter("router", "router.v3.Router"),
    ]
}
