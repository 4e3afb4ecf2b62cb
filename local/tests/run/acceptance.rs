//! The acceptance suite of a cluster, against local mode.

use std::process::Command;

use serde_json::Value;

use crate::harness::{Place, program, text};

/// Only these need what local mode has not.
const NOT_APPLICABLE: [&str; 21] = [
    "injection",
    "oci-digest",
    "analyze",
    "egress-closed",
    "network-closed",
    "wrong-digest",
    "broken-module",
    "unloadable-module",
    "push-filter",
    "example-wasmplugin",
    "example-trafficextension",
    "example-envoy-gateway",
    "example-envoyfilter-module",
    "hosts-and-templates",
    "rolling-unbroken",
    "kept-outbox",
    "deploy-takeover",
    "deploy-again",
    "deploy-refusals",
    "neighbour",
    "deploy-delete",
];

/// First the proof that every start makes, then all the rest.
#[test]
fn the_whole_suite_holds() {
    let place = Place::alone(40);
    let started = place.output(&["--detach"]);
    let said = text(&started.stdout);
    assert!(started.status.success(), "{said}{}", text(&started.stderr));
    assert!(
        said.contains("4/4  Prove")
            && said.contains(" quick cases proved by real requests: 3 n/a; ")
            && said.contains("n/a      injection: "),
        "{said}"
    );

    let suite = program().with_file_name("faultline-e2e");
    let file = place.run_file();
    let proof = Command::new(suite)
        .args(["prove", "--json", "--local"])
        .arg(&file.path)
        .output()
        .expect("it runs");
    assert!(
        proof.status.success(),
        "{}{}",
        text(&proof.stdout),
        text(&proof.stderr)
    );
    let report: Value = serde_json::from_slice(&proof.stdout).expect("JSON");
    let cases = report["cases"].as_array().expect("cases");
    for case in cases {
        let name = case["case"].as_str().expect("a name");
        let expected = if NOT_APPLICABLE.contains(&name) {
            "n/a"
        } else {
            "pass"
        };
        assert_eq!(case["verdict"], expected, "{case:#}");
    }
    assert!(cases.len() > NOT_APPLICABLE.len() + 20);

    assert!(place.ask("--delete").status.success());
    place.assert_nothing_left(&file);
}
