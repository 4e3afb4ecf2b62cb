//! What deploy.sh lays over `istio/`: digests, another namespace, another gateway.

use crate::manifest::{Manifests, kustomize, root};
use serde_json::json;
use std::{fs, process::Command};

const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// The overlay that deploy.sh writes, rendered.
fn overlay() -> Manifests {
    overlay_with("")
}

fn overlay_with(pull_secret: &str) -> Manifests {
    let parent = root().join("target/deploy");
    fs::create_dir_all(&parent).expect("a folder");
    let folder = tempfile::tempdir_in(parent).expect("a folder");
    let overlay = folder.path().join("overlay");
    let output = Command::new("bash")
        .args([
            "-euc",
            ". deploy/boundary.sh; . deploy/apply.sh; write_overlay \"$1\" \"$namespace\"",
            "bash",
        ])
        .arg(&overlay)
        .current_dir(root())
        .env("namespace", "elsewhere")
        .env("gateway_namespace", "edge")
        .env("gateway_account", "edge-account")
        .env("istio_namespace", "control")
        .env("istio_version", "1.31")
        .env("cluster_domain", "cluster.example")
        .env(
            "mesh_hosts",
            "*/otel.observability.svc.cluster.example\ntracing/zipkin.example.com",
        )
        .env("pull_secret", pull_secret)
        .envs(["custom_app", "log_agent", "e2e", "filter"].map(|name| {
            (
                format!("image_{name}"),
                format!("registry.example:5000/team/faultline/{name}@{DIGEST}"),
            )
        }))
        .output()
        .expect("bash");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    kustomize(&overlay)
}

#[test]
fn everything_moves_but_the_gateways_plugin() {
    let manifests = overlay();
    assert_eq!(manifests.one("Namespace", "elsewhere").namespace(), "");
    for manifest in manifests
        .all()
        .filter(|manifest| manifest.kind() != "Namespace")
    {
        let expected = if manifest.name() == "faultline-gateway" && manifest.kind() == "WasmPlugin"
        {
            "edge"
        } else {
            "elsewhere"
        };
        assert_eq!(
            manifest.namespace(),
            expected,
            "{} {}",
            manifest.kind(),
            manifest.name()
        );
    }
    let policy = manifests.one("AuthorizationPolicy", "custom-app");
    assert_eq!(
        policy.text("/spec/rules/0/from/0/source/serviceAccounts/0"),
        "edge/edge-account"
    );
}

/// --delete finds what is Faultline's by these labels.
#[test]
fn everything_says_whose_it_is() {
    for manifest in overlay().all() {
        let label = |name: &str| {
            manifest
                .text(&format!("/metadata/labels/app.kubernetes.io~1{name}"))
                .to_owned()
        };
        assert_eq!(label("part-of"), "faultline");
        assert_eq!(label("instance"), "elsewhere");
    }
}

#[test]
fn everything_is_pinned_by_digest() {
    let manifests = overlay();
    for (kind, app, image) in [
        ("StatefulSet", "custom-app", "custom_app"),
        ("Deployment", "log-agent", "log_agent"),
    ] {
        assert_eq!(
            manifests
                .one(kind, app)
                .text("/spec/template/spec/containers/0/image"),
            format!("registry.example:5000/team/faultline/{image}@{DIGEST}")
        );
    }
    for plugin in manifests.of_kind("WasmPlugin") {
        assert_eq!(
            plugin.text("/spec/url"),
            format!("oci://registry.example:5000/team/faultline/filter@{DIGEST}")
        );
        assert_eq!(format!("sha256:{}", plugin.text("/spec/sha256")), DIGEST);
    }
}

/// What stands in networkpolicy.yaml and sidecar.yaml for a cluster that nobody has looked at.
#[test]
fn who_may_call_whom_follows_the_cluster() {
    let manifests = overlay();
    let providers = [
        "*/otel.observability.svc.cluster.example",
        "tracing/zipkin.example.com",
    ];
    let log_agent = "./log-agent-service.elsewhere.svc.cluster.example";
    assert_eq!(
        *manifests
            .one("Sidecar", "custom-app")
            .get("/spec/egress/0/hosts"),
        json!([log_agent, providers[0], providers[1]])
    );
    assert_eq!(
        *manifests
            .one("Sidecar", "log-agent")
            .get("/spec/egress/0/hosts"),
        json!(providers)
    );
    let place = "namespaceSelector/matchLabels/kubernetes.io~1metadata.name";
    let custom_app = manifests.one("NetworkPolicy", "custom-app");
    assert_eq!(
        custom_app.text(&format!("/spec/ingress/0/from/0/{place}")),
        "edge"
    );
    let proxies = manifests.one("NetworkPolicy", "proxies");
    assert_eq!(
        proxies.text(&format!("/spec/egress/1/to/0/{place}")),
        "control"
    );
    assert_eq!(
        *proxies.get("/spec/egress/2/ports"),
        json!([{"port": 443}, {"port": 5000}])
    );
    for (rule, namespace) in [(3, "observability"), (4, "tracing")] {
        assert_eq!(
            proxies.text(&format!("/spec/egress/{rule}/to/0/{place}")),
            namespace
        );
    }
    assert_eq!(*proxies.get("/spec/egress/5"), serde_json::Value::Null);
}

/// What pulls an image names the secret; without one, nothing does.
#[test]
fn the_pull_secret_is_named_wherever_something_is_pulled() {
    let count = |manifests: &Manifests| {
        let named = manifests.all().filter(|manifest| {
            *manifest.get("/spec/template/spec/imagePullSecrets") == json!([{"name": "registry"}])
                || *manifest.get("/spec/imagePullSecret") == json!("registry")
        });
        named.count()
    };
    let manifests = overlay_with("registry");
    let pulling = manifests
        .all()
        .filter(|manifest| ["StatefulSet", "Deployment", "WasmPlugin"].contains(&manifest.kind()));
    assert_eq!(count(&manifests), pulling.count());
    let namespace = manifests.one("Namespace", "elsewhere");
    let annotation = |name: &str| {
        namespace
            .text(&format!("/metadata/annotations/faultline~1{name}"))
            .to_owned()
    };
    assert_eq!(annotation("image-pull-secret"), "registry");
    assert!(annotation("probe-image").ends_with(DIGEST));
    assert_eq!(count(&overlay()), 0);
}
