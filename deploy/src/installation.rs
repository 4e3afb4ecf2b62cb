//! What istioctl installs fits what the plugins need.

use crate::manifest::{Manifests, root};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

fn installation() -> Manifests {
    Manifests::parse(&fs::read_to_string(root().join("istio/installation.yaml")).expect("the file"))
}

/// Without these two, the filter's labels stay inside the metric's name.
#[test]
fn istio_splits_the_filters_labels_out() {
    let manifests = installation();
    let operator = manifests.all().next().expect("one resource");
    assert_eq!(operator.kind(), "IstioOperator");
    assert_eq!(operator.text("/spec/profile"), "default");
    assert_eq!(
        *operator.get("/spec/meshConfig/defaultConfig/extraStatTags"),
        json!(["route", "outcome"])
    );
}

#[test]
fn the_access_log_is_json_with_the_outcome() {
    let manifests = installation();
    let mesh = manifests
        .all()
        .next()
        .expect("one resource")
        .get("/spec/meshConfig")
        .clone();
    assert_eq!(mesh["accessLogFile"], "/dev/stdout");
    assert_eq!(mesh["accessLogEncoding"], "JSON");
    let Value::String(format) = &mesh["accessLogFormat"] else {
        panic!("no format")
    };
    let format: BTreeMap<String, String> =
        serde_json::from_str(format).expect("a JSON object of texts");
    for (key, command) in [
        ("outcome", "%FILTER_STATE(wasm.faultline.outcome:PLAIN)%"),
        ("flags", "%RESPONSE_FLAGS%"),
        ("attempts", "%UPSTREAM_REQUEST_ATTEMPT_COUNT%"),
        ("route", "%ROUTE_NAME%"),
    ] {
        assert_eq!(format.get(key).map(String::as_str), Some(command));
    }
}
