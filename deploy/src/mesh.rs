//! Istio as it is found. What the templates print is checked on a real cluster (e2e/choices.sh); here, what is made of it.

use crate::{console::told, manifest::bash, standin::StandIn};

/// Sets what `get` prints for each kind.
const FILES: &str = r#"#!/bin/sh
case " $* " in *' --local '*) cat >/dev/null; cat "$standin/value" 2>/dev/null; exit ;; esac
while [ "$1" != get ]; do shift; done
shift
case $* in
  namespaces*-l*) grep -qxF "$3" "$standin/discovered" 2>/dev/null && echo namespace/faultline; exit 0 ;;
esac
cat "$standin/$1" 2>/dev/null || true
"#;

fn standin(files: &[(&str, &str)]) -> StandIn {
    StandIn::with_files(FILES, files)
}

/// The label and the control plane for these webhooks, NAME|REVISION|TAG|default.
fn injection(webhooks: &str, said: &str) -> String {
    standin(&[
        (
            "deployments",
            "istio-system|default|1.30.1|r.test/istio/pilot:1.30.1\nistio-system|canary|1.31.0|r.test/istio/pilot:1.31.0-distroless\n",
        ),
        ("mutatingwebhookconfigurations", webhooks),
    ])
    .printed(&format!(
        "{said} find_istio; printf '%s|%s|%s' \"$injection\" \"$istio_rev\" \"$istio_version\""
    ))
}

#[test]
fn the_namespace_gets_the_label_that_injects() {
    let default = "istio-sidecar-injector|default||default\n";
    let canary = "istio-sidecar-injector-canary|canary||\n";
    let tag = "istio-revision-tag-prod|canary|prod|\n";
    let default_tag = "istio-revision-tag-default|canary|default|default\n";
    for (webhooks, said, label) in [
        (
            default.to_owned(),
            "",
            "istio-injection=enabled|default|1.30.1",
        ),
        (
            format!("{canary}{default}"),
            "",
            "istio-injection=enabled|default|1.30.1",
        ),
        (
            format!("{default_tag}{canary}"),
            "",
            "istio-injection=enabled|canary|1.31.0-distroless",
        ),
        // a revision alone, and no default
        (
            canary.to_owned(),
            "",
            "istio.io/rev=canary|canary|1.31.0-distroless",
        ),
        (
            format!("{canary}{tag}"),
            "",
            "istio.io/rev=prod|canary|1.31.0-distroless",
        ),
        (
            format!("{default}{canary}"),
            "istio_revision=canary;",
            "istio.io/rev=canary|canary|1.31.0-distroless",
        ),
        (
            format!("{default}{tag}"),
            "istio_revision=prod;",
            "istio.io/rev=prod|canary|1.31.0-distroless",
        ),
        // nothing to be seen of it: as ever
        (String::new(), "", "istio-injection=enabled|default|1.30.1"),
    ] {
        assert_eq!(injection(&webhooks, said), label, "{webhooks} {said}");
    }
}

#[test]
fn where_it_is_not_clear_the_option_is_named() {
    let two = "a|canary||\nb|stable||\n";
    for (webhooks, said, sentence) in [
        (
            two,
            "",
            "Istio has several revisions, and none is the default",
        ),
        (
            two,
            "istio_revision=old;",
            "Istio has no revision and no tag old",
        ),
    ] {
        let standin = standin(&[
            ("deployments", "istio-system|canary||r.test/pilot:1.31.0\n"),
            ("mutatingwebhookconfigurations", webhooks),
        ]);
        let output = standin.run(&format!("{said} find_istio; check_injection"));
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(
            told.contains(sentence) && told.contains("--istio-revision NAME (canary, stable)"),
            "{told}"
        );
    }
}

#[test]
fn a_version_is_read_from_the_image_or_the_chart() {
    let of = |image: &str, label: &str| {
        StandIn::new("").printed(&format!("version_of '{image}' '{label}'"))
    };
    assert_eq!(
        of("docker.io/istio/pilot:1.31.0-distroless", "x"),
        "1.31.0-distroless"
    );
    assert_eq!(of("r.test:5000/pilot:1.31@sha256:00", ""), "1.31");
    assert_eq!(of("r.test:5000/pilot@sha256:00", "1.30.2"), "1.30.2");
    assert_eq!(of("r.test:5000/pilot:latest", "1.30.2"), "1.30.2");
    assert_eq!(of("r.test:5000/pilot", ""), "unknown");
}

/// The labels that Faultline's namespace gets, for these selectors, when it is discovered by these.
fn discovery(selectors: &str, discovered: &str) -> (Option<i32>, String) {
    let standin = standin(&[("value", selectors), ("discovered", discovered)]);
    let output = standin.run("mesh=any; find_discovery; printf %s \"$discovery\"");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), printed + &told(&output))
}

#[test]
fn the_namespace_gets_the_labels_by_which_it_is_discovered() {
    let named = "labels|kubernetes.io/metadata.name=istio-system,\n";
    let prod = "labels|mesh=prod,zone=a,\n";
    let test = "labels|mesh=test,\n";
    let rule = "other|team in (a,b),\n";
    for (selectors, discovered, labels) in [
        (String::new(), "", ""),
        (format!("{prod}labels|\n"), "mesh=none", ""),
        (format!("{named}{prod}{test}"), "", "mesh=prod,zone=a"),
        // as an earlier run, or its owner, has labelled it
        (format!("{named}{prod}{test}"), "mesh=test", "mesh=test"),
        (format!("{rule}{prod}"), "team in (a,b)", ""),
    ] {
        let (code, printed) = discovery(&selectors, discovered);
        assert_eq!((code, printed.as_str()), (Some(0), labels), "{selectors}");
    }
    let (code, told) = discovery(&format!("{named}{rule}"), "");
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("Istio does not discover the namespace faultline")
            && told.contains("kubectl label namespace faultline"),
        "{told}"
    );
}

#[test]
fn istios_root_namespace_is_refused() {
    for (value, code) in [("faultline", 1), ("istio-config", 0), ("", 0)] {
        let standin = standin(&[("value", value)]);
        let output = standin.run("mesh=any istio_namespace=istio-system; check_root_namespace");
        let told = told(&output);
        assert_eq!(output.status.code(), Some(code), "{value}: {told}");
        assert_eq!(told.contains("--namespace NAME"), code == 1, "{told}");
    }
}

#[test]
fn istios_cni_plugin_must_be_ready_and_take_the_namespace() {
    let check = |daemonset: &str, excluded: &str| {
        let standin = standin(&[("daemonsets", daemonset), ("configmap", excluded)]);
        let output = standin.run("check_cni; printf %s \"$cni\"");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), printed + &told(&output))
    };
    assert_eq!(check("", ""), (Some(0), String::new()));
    let ready = "kube-system istio-cni-node 3 3\n";
    assert_eq!(
        check(ready, "kube-system,faultline-2,"),
        (Some(0), ", istio-cni".to_owned())
    );
    let (code, told) = check("kube-system istio-cni-node 2 3\n", "");
    assert!(
        code == Some(1) && told.contains("ready on 2 of 3 nodes"),
        "{told}"
    );
    for excluded in [
        "kube-system,faultline,",
        r#",{"exclude_namespaces": ["a", "faultline"]}"#,
    ] {
        let (code, told) = check(ready, excluded);
        assert!(
            code == Some(1) && told.contains("leaves the namespace faultline out"),
            "{told}"
        );
    }
}

/// With the real kubectl, which reads YAML without any server.
#[test]
fn the_configuration_of_the_mesh_is_read() {
    let mesh = "\
accessLogFormat: |
  {\"a\": \"b\"}
discoverySelectors:
- matchLabels:
    mesh: prod
    zone: a
- matchExpressions:
  - {key: team, operator: In, values: [a, b]}
  - {key: old, operator: DoesNotExist}
ingressService: edge
rootNamespace: istio-config";
    let script = format!(
        "log=/dev/null; . deploy/mesh.sh; die() {{ echo \"$@\"; exit 1; }}
         for mesh in '{mesh}' ''; do
           mesh_value \"$discovery_template\"; root_namespace; echo; ingress_selector; echo
         done"
    );
    assert_eq!(
        bash(&script),
        "labels|mesh=prod,zone=a,\nother|team in (a,b),!old,\nistio-config\nedge\n\ningressgateway\n"
    );
}
