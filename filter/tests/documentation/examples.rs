//! The configurations in `filter/examples`.

use faultline_filter_core::{Config, metrics::Labels};
use serde_json::Value;
use std::{fs, path::Path};

/// The folder of the example files.
fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples"))
}

/// Where a file may keep the filter's configuration, by the kind of its documents; Envoy's own has none.
/// The configuration is the first that is there: for each host of the filter, one.
const PLACES: [(Option<&str>, &[&str]); 5] = [
    (Some("WasmPlugin"), &["/spec/pluginConfig"]),
    (Some("TrafficExtension"), &["/spec/wasm/pluginConfig"]),
    (
        Some("EnvoyExtensionPolicy"),
        &["/spec/wasm/0/config", "/spec/dynamicModule/0/config"],
    ),
    (
        Some("EnvoyFilter"),
        &["/spec/configPatches/0/patch/value/typed_config/filter_config/value"],
    ),
    (
        None,
        &[
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0\
             /typed_config/config/configuration/value",
            "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/http_filters/0\
             /typed_config/filter_config/value",
        ],
    ),
];

/// The filter's configuration in a file, wherever such a file keeps it.
fn configuration(yaml: &str) -> Value {
    let documents: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("YAML");
    let mut found = documents.iter().filter_map(|document| {
        let kind = document["kind"].as_str();
        let (_, places) = PLACES.iter().find(|(known, _)| *known == kind)?;
        places.iter().find_map(|place| document.pointer(place))
    });
    let first = found.next().expect("a configuration of the filter");
    assert!(found.next().is_none(), "more than one configuration");
    match first {
        Value::String(json) => serde_json::from_str(json).expect("JSON"),
        config => config.clone(),
    }
}

/// Every file in the folder, so that a new one is checked too.
#[test]
fn every_example_has_the_same_valid_configuration() {
    let schema: Value = serde_json::from_str(include_str!("../../schema.json")).unwrap();
    let schema = jsonschema::draft202012::new(&schema).unwrap();
    let mut configurations = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let file = path.display();
        let config = configuration(&fs::read_to_string(&path).unwrap());
        let errors: Vec<_> = schema.iter_errors(&config).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
        let parsed = Config::parse(config.to_string().as_bytes());
        let parsed = parsed.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(parsed.labels, Labels::Tagged, "{file}");
        configurations.push((path.clone(), config));
    }
    assert_eq!(configurations.len(), 8);
    let (first, expected) = &configurations[0];
    for (path, config) in &configurations {
        assert_eq!(
            config,
            expected,
            "{} and {}",
            path.display(),
            first.display()
        );
    }
}
