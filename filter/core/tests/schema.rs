//! The JSON Schema and the parser say the same.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a failure here is the test failing"
)]

use faultline_filter_core::{Config, metrics::MAX_OBSERVED, path, route::MAX_ROUTES};
use jsonschema::Validator;
use serde_json::{Value, json};

fn schema() -> Validator {
    let schema: Value = serde_json::from_str(include_str!("../../schema.json")).unwrap();
    jsonschema::meta::validate(&schema).expect("the schema is itself valid");
    jsonschema::draft202012::new(&schema).unwrap()
}

fn parses(config: &Value) -> bool {
    Config::parse(config.to_string().as_bytes()).is_ok()
}

#[test]
fn both_accept_and_refuse_the_same_configurations() {
    let schema = schema();
    let table: Value = serde_json::from_str(include_str!("../cases/configurations.json")).unwrap();
    for case in table.as_array().unwrap() {
        let config = &case["config"];
        // A schema cannot compare two routes with each other: such cases say so.
        let expected = case["error"].is_null() || case["schema_accepts"] == true;
        assert_eq!(schema.is_valid(config), expected, "{config}");
    }
}

#[test]
fn both_allow_the_same_characters_and_escapes() {
    let schema = schema();
    for byte in 0..=u8::MAX {
        for path in [
            format!("/a%{byte:02X}"),
            format!("/a%{byte:02x}/"),
            format!("/{}", char::from(byte)),
            format!("/a{}b", char::from(byte)),
        ] {
            let config = json!({"routes": [{"path": path}]});
            assert_eq!(schema.is_valid(&config), parses(&config), "{config}");
        }
    }
}

#[test]
fn both_have_the_same_limits() {
    let schema = schema();
    let long = |length: usize| json!({"routes": [{"path": format!("/{:a<1$}", "", length - 1)}]});
    let many = |count: usize| {
        let routes: Vec<_> = (0..count)
            .map(|n| json!({"path": format!("/{n}")}))
            .collect();
        json!({"routes": routes})
    };
    let methods = |count: u8| {
        let methods: Vec<_> = (0..count)
            .map(|n| char::from(b'A' + n).to_string())
            .collect();
        json!({"routes": [{"path": "/", "methods": methods}]})
    };
    for (config, valid) in [
        (long(path::MAX_CONFIGURED), true),
        (long(path::MAX_CONFIGURED + 1), false),
        (many(MAX_ROUTES), true),
        (many(MAX_ROUTES + 1), false),
        (methods(16), true),
        (methods(17), false),
    ] {
        assert_eq!((schema.is_valid(&config), parses(&config)), (valid, valid));
    }
}

#[test]
fn observed_names_are_bounded() {
    let observing = |count: usize| {
        let route = |n| json!({"path": format!("/{n}"), "observe": format!("name_{n}")});
        let routes: Vec<_> = (0..count).map(route).collect();
        json!({"routes": routes})
    };
    assert!(parses(&observing(MAX_OBSERVED)));
    let config = observing(MAX_OBSERVED + 1);
    let error = Config::parse(config.to_string().as_bytes()).unwrap_err();
    assert_eq!(error.key, "routes[64].observe");
}
