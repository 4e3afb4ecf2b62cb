//! The Envoy configuration of each guard: one listener, a direct response at the end.

use crate::{
    peer::Peer,
    variant::{Guard, Kind, Setup, Shape},
};
use faultline_filter_core::{Name, problem};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeSet,
    fmt::Write,
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// The listener's name.
pub(crate) const LISTENER: &str = "bench";

/// The body of a request that passes.
pub(crate) const PASSED: &str = "ok\n";

/// The name under which observed routes are counted.
pub(crate) const OBSERVED: &str = "api";

/// The header of a request that is told in its answer which headers a peer has given it.
pub(crate) const TELL: &str = "x-bench-tell";

/// The filter's name in its answers, as it is without one in the configuration.
pub(crate) static NAME: LazyLock<Name> = LazyLock::new(Name::default);

/// The path of route number `n`.
pub(crate) fn route(n: usize) -> String {
    format!("/api/v1/resource/{n:05}")
}

/// The filter for each of its hosts.
#[derive(Debug)]
pub(crate) struct Modules {
    /// In WebAssembly.
    pub(crate) wasm: PathBuf,
    /// The dynamic module.
    pub(crate) native: PathBuf,
}

/// Envoy's configuration for `setup`.
pub(crate) fn envoy(setup: Setup, modules: &Modules) -> String {
    let Setup {
        guard,
        routes,
        shape,
    } = setup;
    let filter = match guard {
        Guard::Bare | Guard::Native | Guard::NativeTree => None,
        Guard::Lua => Some(lua_filter(routes)),
        Guard::Faultline => Some(wasm_filter(routes, false, &modules.wasm)),
        Guard::FaultlineLabels => Some(wasm_filter(routes, true, &modules.wasm)),
        Guard::FaultlineModule => {
            Some(native_filter(configuration(routes, false), &modules.native))
        }
        // As long, so that Envoy's own copies of it are.
        Guard::ModuleIdle => {
            let refused = configuration(routes, false).replacen('{', "!", 1);
            Some(native_filter(refused, &modules.native))
        }
        Guard::Peer(peer) => Some(wasm(&peer.name, &peer.module, &peer.configuration())),
    };
    let (way, table) = match guard {
        Guard::Native => ("routes", native_routes(routes)),
        Guard::NativeTree => ("matcher", native_tree(routes)),
        Guard::Peer(peer) => {
            let passed = answer(json!({"prefix": "/"}), &[]);
            (
                "routes",
                telling(peer).into_iter().chain([passed]).collect(),
            )
        }
        _ => ("routes", json!([answer(json!({"prefix": "/"}), &[])])),
    };
    let host = json!({
        "name": LISTENER,
        "domains": ["*"],
        way: table,
        // The only way for a script to see how often the upstream was tried.
        "include_attempt_count_in_response": guard == Guard::Lua,
    });
    let router = filter_of(
        "envoy.filters.http.router",
        json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}),
    );
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": LISTENER,
        // As Istio has it: the guards compare what normalisation leaves.
        "normalize_path": true,
        "http_filters": filter.into_iter().chain(delay(shape)).chain([router]).collect::<Vec<_>>(),
        "route_config": {"virtual_hosts": [host]},
    });
    let listener = json!({
        "name": LISTENER,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [
            filter_of("envoy.filters.network.http_connection_manager", manager)
        ]}],
    });
    format!("static_resources: {}\n", json!({"listeners": [listener]}))
}

/// What keeps slow requests under way: longer than it takes to send all of them.
fn delay(shape: Shape) -> Option<Value> {
    let fault = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
        "delay": {"fixed_delay": "2s", "percentage": {"numerator": 100}},
    });
    (shape == Shape::Slow).then(|| filter_of("envoy.filters.http.fault", fault))
}

fn filter_of(name: &str, typed_config: Value) -> Value {
    json!({"name": name, "typed_config": typed_config})
}

/// A route that lets a request pass.
fn answer(route_match: Value, headers: &[(&str, &str)]) -> Value {
    json!({
        "match": route_match,
        "direct_response": {"status": 200, "body": {"inline_string": PASSED}},
        "response_headers_to_add": to_add(headers),
    })
}

fn to_add(headers: &[(&str, &str)]) -> Value {
    let option = |(key, value): &(&str, &str)| {
        json!({
            "header": {"key": key, "value": value},
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        })
    };
    headers.iter().map(option).collect()
}

/// Routes as a user of Envoy writes them. Another method falls through to the 404: a 405 would
/// take a second entry for every path.
fn native_routes(routes: usize) -> Value {
    (0..routes)
        .map(native_route)
        .chain([native_unknown()])
        .collect()
}

/// The same routes in a matching tree. It compares the whole target, so that a query makes any
/// path an unknown one, and its routes have to be exact.
fn native_tree(routes: usize) -> Value {
    // A leaf holds a list of routes, here of one.
    let action = |route: Value| {
        json!({"action": {"name": "routes", "typed_config": {
            "@type": "type.googleapis.com/envoy.config.route.v3.RouteList",
            "routes": [route],
        }}})
    };
    let map: Map<String, Value> = (0..routes)
        .map(|n| (route(n), action(native_route(n))))
        .collect();
    json!({
        "matcher_tree": {
            "input": {"name": "path", "typed_config": {
                "@type": "type.googleapis.com/envoy.type.matcher.v3.HttpRequestHeaderMatchInput",
                "header_name": ":path",
            }},
            "exact_match_map": {"map": map},
        },
        "on_no_match": action(native_unknown()),
    })
}

fn native_route(n: usize) -> Value {
    // What formats can say when headers go out. The outcome in a word is not among it.
    const ANNOTATIONS: [(&str, &str); 2] = [
        (
            "proxy-status",
            r#"faultline; details="attempts=%UPSTREAM_REQUEST_ATTEMPT_COUNT% flags=%RESPONSE_FLAGS%""#,
        ),
        ("server-timing", "faultline;dur=%REQUEST_DURATION%"),
    ];
    let get = json!([{"name": ":method", "string_match": {"exact": "GET"}}]);
    match Kind::of_route(n) {
        Kind::Open => answer(json!({"path": route(n)}), &[]),
        Kind::Observed => answer(json!({"path": route(n), "headers": get}), &ANNOTATIONS),
        Kind::Allowed | Kind::Unknown => answer(json!({"path": route(n), "headers": get}), &[]),
    }
}

fn native_unknown() -> Value {
    let unknown = problem::unknown_route(&NAME);
    json!({
        "match": {"prefix": "/"},
        "direct_response": {"status": unknown.status, "body": {"inline_string": unknown.body}},
        "response_headers_to_add": to_add(&unknown.headers),
    })
}

/// The route that answers with the headers a peer adds to a request; none if it adds none.
fn telling(peer: &Peer) -> Option<Value> {
    let added = peer.requests().flat_map(|(_, request)| request.adds.keys());
    let names: BTreeSet<&str> = added.map(|name| name.as_str()).collect();
    let formats: Vec<(&str, String)> = names
        .into_iter()
        .map(|name| (name, format!("%REQ({name})%")))
        .collect();
    let headers: Vec<(&str, &str)> = formats
        .iter()
        .map(|(name, format)| (*name, format.as_str()))
        .collect();
    let tell = json!({"prefix": "/", "headers": [{"name": TELL, "present_match": true}]});
    (!headers.is_empty()).then(|| answer(tell, &headers))
}

fn lua_filter(routes: usize) -> Value {
    filter_of(
        "envoy.filters.http.lua",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
            "default_source_code": {"inline_string": lua_script(routes)},
        }),
    )
}

/// `guard.lua` with its routes and answers written before it.
fn lua_script(routes: usize) -> String {
    let methods = faultline_filter_core::Methods::new(["GET"]);
    let constants = [
        ("UNKNOWN_ROUTE", NAME.unknown_route()),
        ("METHOD_NOT_ALLOWED", NAME.method_not_allowed()),
        ("NOT_FOUND", problem::unknown_route(&NAME).body),
        (
            "NOT_ALLOWED",
            problem::method_not_allowed(&NAME, &methods).body,
        ),
    ];
    let mut script = String::new();
    for (name, text) in constants {
        push(&mut script, format_args!("local {name} = [==[{text}]==]\n"));
    }
    script.push_str("local open = {}\n");
    for (name, observed) in [
        ("allowed", "nil".to_owned()),
        ("observed", format!("{OBSERVED:?}")),
    ] {
        push(
            &mut script,
            format_args!(
                "local {name} = {{methods = {{GET = true, HEAD = true}}, allow = \"{}\", observed = {observed}}}\n",
                methods.allow()
            ),
        );
    }
    script.push_str("local routes = {\n");
    for n in 0..routes {
        let kind = Kind::of_route(n).name();
        push(&mut script, format_args!("[\"{}\"] = {kind},\n", route(n)));
    }
    script.push_str("}\n");
    script.push_str(include_str!("guard.lua"));
    script
}

/// Appends formatted text. Writing to a String cannot fail.
fn push(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(arguments);
}

fn wasm_filter(routes: usize, labels: bool, module: &Path) -> Value {
    wasm("faultline", module, &configuration(routes, labels))
}

/// The same as a dynamic module.
fn native_filter(configuration: String, module: &Path) -> Value {
    filter_of(
        "envoy.extensions.filters.http.dynamic_modules",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {
                "module": {"local": {"filename": module}},
                "do_not_close": true,
            },
            "filter_name": "faultline",
            "filter_config": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration,
            },
        }),
    )
}

/// The filter's configuration.
fn configuration(routes: usize, labels: bool) -> String {
    let table: Vec<Value> = (0..routes)
        .map(|n| match Kind::of_route(n) {
            Kind::Open => json!({"path": route(n)}),
            Kind::Observed => {
                json!({"path": route(n), "methods": ["GET"], "observe": OBSERVED})
            }
            Kind::Allowed | Kind::Unknown => json!({"path": route(n), "methods": ["GET"]}),
        })
        .collect();
    json!({"routes": table, "labels": labels}).to_string()
}

fn wasm(name: &str, module: &Path, configuration: &str) -> Value {
    filter_of(
        "envoy.filters.http.wasm",
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": name,
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                },
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
            },
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_takes_its_configuration_at_every_size() {
        for routes in crate::variant::ROUTES {
            let configuration = configuration(routes, true);
            faultline_filter_core::Config::parse(configuration.as_bytes()).unwrap();
        }
    }

    #[test]
    fn native_and_lua_have_every_route() {
        assert_eq!(native_routes(10).as_array().unwrap().len(), 11);
        let tree = native_tree(10);
        let map = &tree["matcher_tree"]["exact_match_map"]["map"];
        assert_eq!(map.as_object().unwrap().len(), 10);
        let script = lua_script(10);
        for n in 0..10 {
            assert!(script.contains(&format!("[\"{}\"]", route(n))));
        }
        assert!(!script.contains(&route(10)));
    }
}
