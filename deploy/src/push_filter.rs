//! `deploy.sh push-filter`: its refusals and what it prints. That Istio pulls and runs what it pushes is in the
//! acceptance suite.

use crate::{
    console::{NO_CLUSTER, deploy, refused_as_usage, told},
    manifest::{Manifests, root},
};
use faultline_filter_core::{Config, Fallback};
use serde_json::json;
use std::process::Command;

const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// What the script prints for a filter that was pushed.
fn printed() -> Manifests {
    let output = Command::new("bash")
        .args(["-euc", ". \"$root/deploy/push-filter.sh\"; wasmplugin"])
        .env("root", root())
        .env(
            "image_filter",
            format!("registry.example:5000/team/faultline/filter@{DIGEST}"),
        )
        .output()
        .expect("bash");
    assert!(output.status.success(), "{}", told(&output));
    Manifests::parse(&String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn wrong_usage_is_named() {
    for (arguments, sentence) in [
        (
            vec!["push-filter", "--as", "tarball"],
            "--as is \"tarball\"; it must be image or artifact",
        ),
        (vec!["push-filter", "--as"], "--as needs a value"),
        (
            vec!["push-filter", "--tag", "a b"],
            "the tag \"a b\" must be letters",
        ),
        (
            vec!["push-filter", "--tag", "-rc"],
            "the tag \"-rc\" must be letters",
        ),
        (
            vec!["push-filter", "--registry", "team"],
            "is not of the form HOST[:PORT][/PATH]",
        ),
        (
            vec!["push-filter", "--skip-build"],
            "push-filter has no option --skip-build",
        ),
        (
            vec!["--timeout", "5", "push-filter"],
            "push-filter has no option --timeout",
        ),
        (
            vec!["push-filter", "--status"],
            "push-filter and --status do not go together",
        ),
        (
            vec!["--dry-run", "--as", "image"],
            "--as is an option of push-filter",
        ),
        (vec!["--tag=v1"], "--tag is an option of push-filter"),
    ] {
        refused_as_usage(&arguments, &[], sentence);
    }
    let output = deploy(NO_CLUSTER, &["push-filter"], &[("FAULTLINE_AS", "tarball")]);
    assert!(
        told(&output).contains("See ./deploy.sh push-filter --help"),
        "{}",
        told(&output)
    );
}

/// Refused for the registry, so no cluster was asked for. Standard output stays empty for whatever reads it.
#[test]
fn a_registry_is_needed_and_a_cluster_is_not() {
    for (arguments, sentence) in [
        (vec!["push-filter"], "deploy.sh: no registry is named"),
        (
            vec!["push-filter", "--registry", "127.0.0.1:9"],
            "deploy.sh: the registry 127.0.0.1:9 does not answer",
        ),
    ] {
        let output = deploy("", &arguments, &[]);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(sentence), "{told}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_names_every_option() {
    let output = deploy(NO_CLUSTER, &["push-filter", "--help"], &[]);
    assert!(output.status.success());
    let help = String::from_utf8_lossy(&output.stdout).into_owned();
    for option in [
        "--registry",
        "--insecure-registry",
        "--registry-ca",
        "--as",
        "--tag",
        "--build",
        "--help",
    ] {
        assert!(help.contains(&format!("  {option}")), "{option}");
    }
    assert!(!help.contains("--delete"), "{help}");
}

/// Applied unread, at a gateway of somebody's, it must refuse nothing.
#[test]
fn the_printed_plugin_is_sound_and_harmless() {
    let printed = printed();
    let plugin = printed.one("WasmPlugin", "faultline");
    assert_eq!(
        plugin.text("/spec/url"),
        format!("oci://registry.example:5000/team/faultline/filter@{DIGEST}")
    );
    assert_eq!(plugin.text("/spec/failStrategy"), "FAIL_OPEN");
    assert_eq!(
        *plugin.get("/spec/selector/matchLabels"),
        json!({"istio": "ingressgateway"})
    );
    let config = serde_json::to_vec(plugin.get("/spec/pluginConfig")).expect("JSON");
    let config = Config::parse(&config).expect("a configuration that the filter takes");
    assert_eq!(config.fallback, Fallback::Observe);
}
