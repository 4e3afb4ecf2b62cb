//! Releases: the overlay that takes their digests, and what deploy.sh makes of a release's folder. Making, installing
//! and upgrading one is in e2e/release.sh.

use crate::{
    components,
    console::{NO_CLUSTER, deploy, told},
    manifest::{Manifest, Manifests, bash, kustomize, root},
    standin::StandIn,
};
use std::{collections::BTreeSet, fs, process::Output};

const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

#[test]
fn the_overlay_is_pinned_and_labelled() {
    let manifests = kustomize(&root().join("examples/overlay"));
    for manifest in manifests.all() {
        for label in ["part-of", "instance"] {
            let label = format!("/metadata/labels/app.kubernetes.io~1{label}");
            assert_eq!(manifest.text(&label), "faultline");
        }
    }
    for (kind, app) in [("StatefulSet", "custom-app"), ("Deployment", "log-agent")] {
        assert_eq!(
            manifests
                .one(kind, app)
                .text("/spec/template/spec/containers/0/image"),
            format!("registry.invalid/faultline/{app}@{DIGEST}")
        );
    }
    for plugin in manifests.of_kind("WasmPlugin") {
        assert_eq!(
            plugin.text("/spec/url"),
            format!("oci://registry.invalid/faultline/filter@{DIGEST}")
        );
        assert_eq!(format!("sha256:{}", plugin.text("/spec/sha256")), DIGEST);
    }
    let gateway = manifests.one("WasmPlugin", "faultline-gateway");
    assert_eq!(gateway.namespace(), "istio-system");
    assert_eq!(
        manifests
            .one("Namespace", "faultline")
            .text("/metadata/annotations/faultline~1probe-image"),
        format!("registry.invalid/faultline/e2e@{DIGEST}")
    );
}

/// As docs/gitops.md has it, in the repository's own folder.
#[test]
fn a_gateway_of_its_own_is_one_component_more() {
    let page = fs::read_to_string(root().join("docs/gitops.md")).expect("the page");
    let components = "components: [release, ../../istio/components/own-gateway]";
    assert!(page.contains(components));
    let examples = root().join("examples");
    let folder = tempfile::tempdir_in(&examples).expect("a folder");
    let written = fs::read_to_string(examples.join("overlay/kustomization.yaml"))
        .expect("the overlay")
        .replace(
            "components: [release]",
            &components.replace("[release", "[../overlay/release"),
        );
    fs::write(folder.path().join("kustomization.yaml"), written).expect("a file");
    let manifests = kustomize(folder.path());
    let plugin = manifests.one("WasmPlugin", "faultline-gateway");
    assert_eq!(plugin.namespace(), "faultline");
    assert_eq!(
        plugin.text("/spec/url"),
        format!("oci://registry.invalid/faultline/filter@{DIGEST}")
    );
    assert_eq!(
        manifests
            .one("Deployment", "faultline-gateway")
            .text("/metadata/labels/app.kubernetes.io~1instance"),
        "faultline"
    );
}

/// What stands in for a release in the example is what deploy/release.sh writes.
#[test]
fn the_example_has_the_form_of_a_release() {
    let written = bash(&format!(
        ". deploy/boundary.sh; . deploy/component.sh
        image() {{ printf 'registry.invalid/faultline/%s@{DIGEST}' \"$1\"; }}
        image_custom_app=$(image custom-app) image_log_agent=$(image log-agent) image_filter=$(image filter) image_e2e=$(image e2e)
        write_component"
    ));
    let elsewhere = bash(&format!(
        ". deploy/boundary.sh; . deploy/component.sh
        image=r.test:5000/faultline/filter@{DIGEST}
        image_custom_app=$image image_log_agent=$image image_filter=$image image_e2e=$image
        write_component"
    ));
    assert!(
        elsewhere.ends_with("value: [{port: 443}, {port: 5000}]\n"),
        "{elsewhere}"
    );
    let example = root().join("examples/overlay/release/kustomization.yaml");
    assert_eq!(written, fs::read_to_string(example).expect("the example"));
}

/// `core/v1/Service` for `v1` and `Service`, as kubectl's `--prune-allowlist` has it.
fn kind_of(manifest: &Manifest) -> String {
    let version = manifest.text("/apiVersion");
    let core = if version.contains('/') { "" } else { "core/" };
    format!("{core}{version}/{}", manifest.kind())
}

/// One list for kubectl and deploy.sh: each kind that is ever applied, in any choice of a gateway, but those that hold
/// somebody's data. The Gateway API's kinds are deploy.sh's alone, since not every cluster defines them.
#[test]
fn what_may_be_taken_away_is_what_is_applied_and_holds_no_data() {
    let allowed = fs::read_to_string(root().join("deploy/prune-allowlist.txt")).expect("the list");
    let allowed: BTreeSet<_> = allowed.lines().map(str::to_owned).collect();
    let applied: BTreeSet<_> = [
        kustomize(&root().join("examples/overlay")),
        components::with(components::OWN),
        components::with(components::API),
    ]
    .iter()
    .flat_map(Manifests::all)
    .filter(|manifest| !["Namespace", "PersistentVolumeClaim"].contains(&manifest.kind()))
    .map(kind_of)
    .collect();
    let (of_gateway_api, others): (BTreeSet<_>, BTreeSet<_>) = applied
        .into_iter()
        .partition(|kind| kind.starts_with("gateway.networking.k8s.io/"));
    assert_eq!(others, allowed);
    assert_eq!(
        of_gateway_api.into_iter().collect::<Vec<_>>(),
        [
            "gateway.networking.k8s.io/v1/Gateway",
            "gateway.networking.k8s.io/v1/HTTPRoute"
        ]
    );
}

/// As the cluster names them: the plural of a kind is not in it.
#[test]
fn deploy_sh_takes_away_the_same_kinds() {
    assert_eq!(
        bash("root=$PWD; . deploy/apply.sh; prunable_kinds"),
        "services\nserviceaccounts\ndeployments.apps\nstatefulsets.apps\nnetworkpolicies.networking.k8s.io\n\
         poddisruptionbudgets.policy\nwasmplugins.extensions.istio.io\ndestinationrules.networking.istio.io\n\
         gateways.networking.istio.io\nsidecars.networking.istio.io\nvirtualservices.networking.istio.io\n\
         envoyfilters.networking.istio.io\nauthorizationpolicies.security.istio.io\n\
         peerauthentications.security.istio.io\ngateways.gateway.networking.k8s.io\n\
         httproutes.gateway.networking.k8s.io\n"
    );
}

#[test]
fn a_release_that_cannot_be_is_named() {
    for (arguments, sentence) in [
        (
            vec!["--release", "1.2.3"],
            "--release 1.2.3 needs --registry",
        ),
        (
            vec!["--release", "newest"],
            "is neither a version, such as 1.2.3, nor a folder, such as ./faultline-1.2.3",
        ),
        (
            vec!["--release", "./nowhere"],
            "the release's folder ./nowhere is not there",
        ),
        (
            vec!["--release", ".", "--skip-build"],
            "--release and --skip-build do not go together",
        ),
        (
            vec!["--release", ".", "--build", "docker"],
            "--release and --build do not go together",
        ),
    ] {
        let output = deploy(NO_CLUSTER, &arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let told = told(&output);
        assert!(told.contains(sentence), "{arguments:?}: {told}");
    }
}

/// A release in a folder, with `images` in it and the sums of `summed`.
fn release(images: &str, summed: &str, settings: &str) -> Output {
    let standin = StandIn::with_files("#!/bin/sh\n", &[("images.txt", images)]);
    standin.run(&format!(
        "release=$standin {settings}
        printf '%s  images.txt\\n' \"$(printf %s '{summed}' | sha256sum | cut -d ' ' -f 1)\" >$standin/SHA256SUMS
        find_release; printf '%s\\n' \"$registry\" \"$image_custom_app\" \"$image_filter\""
    ))
}

fn images() -> String {
    ["custom-app", "log-agent", "e2e", "filter"]
        .map(|name| format!("{name} r.test/team/faultline/{name}@{DIGEST}\n"))
        .concat()
}

#[test]
fn a_folder_names_the_images() {
    for (settings, registry) in [
        ("", "r.test/team"),
        ("registry=mirror.test:5000", "mirror.test:5000"),
    ] {
        let output = release(&images(), &images(), settings);
        assert_eq!(
            String::from_utf8_lossy(&output.stdout),
            format!(
                "{registry}\n{registry}/faultline/custom-app@{DIGEST}\n{registry}/faultline/filter@{DIGEST}\n"
            ),
            "{}",
            told(&output)
        );
    }
}

#[test]
fn a_folder_that_was_changed_is_refused() {
    let changed = images().replace("r.test", "s.test");
    for (images, summed, sentence) in [
        (
            changed.as_str(),
            images().as_str(),
            "images.txt is not what SHA256SUMS says",
        ),
        (
            "filter r.test/filter\n",
            "filter r.test/filter\n",
            "names no digest of custom-app",
        ),
    ] {
        let output = release(images, summed, "");
        assert_eq!(output.status.code(), Some(1));
        assert!(told(&output).contains(sentence), "{}", told(&output));
    }
}
