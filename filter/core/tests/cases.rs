//! The case tables of `cases/`, the same natively and in WebAssembly.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a failure here is the test failing"
)]

#[cfg(not(target_arch = "wasm32"))]
use core::prelude::v1::test as case;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as case;

use faultline_filter_core::{Admission, Config, Flags, Origin, Outcome, Report};
use serde_json::Value;

fn load(text: &str) -> Value {
    serde_json::from_str(text).expect("a case table is JSON")
}

fn array(value: &Value) -> &[Value] {
    value.as_array().expect("a list of cases")
}

#[case]
fn configurations() {
    let table = load(include_str!("../cases/configurations.json"));
    for case in array(&table) {
        let config = &case["config"];
        let error = Config::parse(config.to_string().as_bytes())
            .err()
            .map(|error| error.to_string());
        assert_eq!(error.as_deref(), case["error"].as_str(), "{config}");
    }
}

#[case]
fn admissions() {
    let tables = load(include_str!("../cases/admissions.json"));
    array(&tables).iter().for_each(admissions_of);
}

fn admissions_of(table: &Value) {
    let config = Config::parse(table["config"].to_string().as_bytes()).expect("it is valid");
    for case in array(&table["cases"]) {
        let headers = case["headers"].as_object();
        let admission = config.admit(|name| {
            let value = match name {
                ":path" => &case["target"],
                ":method" => &case["method"],
                other => headers?.get(other)?,
            };
            value.as_str().map(str::as_bytes)
        });
        let word = match admission {
            Admission::OtherHost => "other_host",
            Admission::Allowed(_) => "allowed",
            Admission::MethodNotAllowed(_) => "method_not_allowed",
            Admission::Unknown => "unknown",
        };
        assert_eq!(case["expect"], word, "{case}");
    }
}

#[case]
fn outcomes() {
    let table = load(include_str!("../cases/outcomes.json"));
    for case in array(&table) {
        let report = Report {
            flags: array(&case["flags"])
                .iter()
                .map(|name| flag(name.as_str().expect("a flag's name")))
                .fold(Flags::NONE, |all, one| all | one),
            status: case["status"]
                .as_u64()
                .map(|status| u16::try_from(status).expect("a status")),
            origin: match case["origin"].as_str() {
                Some("proxy") => Origin::Proxy,
                _ => Origin::Upstream,
            },
            attempts: None,
            elapsed: None,
        };
        assert_eq!(case["outcome"], report.outcome().name(), "{case}");
        assert_eq!(case["error"].as_str(), report.error(), "{case}");
    }
}

/// Every outcome is in the table, so that none stays untested.
#[case]
fn outcomes_are_complete() {
    let table = load(include_str!("../cases/outcomes.json"));
    for outcome in Outcome::ALL {
        let name = outcome.name();
        assert!(array(&table).iter().any(|c| c["outcome"] == name), "{name}");
    }
}

fn flag(name: &str) -> Flags {
    (0..64)
        .map(|bit| Flags(1 << bit))
        .find(|flag| flag.names().eq([name]))
        .unwrap_or_else(|| panic!("no flag {name}"))
}
