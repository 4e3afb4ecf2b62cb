//! Releases: the overlay that takes their digests, and what deploy.sh makes of a release's folder. Making, installing
//! and upgrading one is in e2e/release.sh.

use crate::{
    console::{NO_CLUSTER, deploy, told},
    manifest::{bash, kustomize, root},
    standin::StandIn,
};
use std::{fs, process::Output};

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

/// What stands in for a release in the example is what deploy/release.sh writes.
#[test]
fn the_example_has_the_form_of_a_release() {
    let written = bash(&format!(
        ". deploy/component.sh
        image() {{ printf 'registry.invalid/faultline/%s@{DIGEST}' \"$1\"; }}
        write_component \"$(image custom-app)\" \"$(image log-agent)\" \"$(image filter)\" \"$(image e2e)\""
    ));
    let example = root().join("examples/overlay/release/kustomization.yaml");
    assert_eq!(written, fs::read_to_string(example).expect("the example"));
}

/// Of the kinds that are installed only these may not be taken away: their content is somebody's.
#[test]
fn an_upgrade_may_take_away_every_kind_that_holds_no_data() {
    let allowed = fs::read_to_string(root().join("deploy/prune-allowlist.txt")).expect("the list");
    let may_go = |kind: &str| {
        allowed
            .lines()
            .any(|line| line.rsplit('/').next() == Some(kind))
    };
    for manifest in kustomize(&root().join("examples/overlay")).all() {
        let holds_data = ["Namespace", "PersistentVolumeClaim"].contains(&manifest.kind());
        assert_eq!(may_go(manifest.kind()), !holds_data, "{}", manifest.kind());
    }
    assert!(!may_go("Secret"));
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
        (
            vec!["--release", ".", "--delete"],
            "--release does not go with --delete",
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
    let standin = StandIn::new("#!/bin/sh\n");
    fs::write(standin.file("images.txt"), images).expect("a file");
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
