//! What deploy.sh lays over `istio/`: digests, another namespace, another gateway.

use crate::manifest::{Manifests, bash, kustomize, root};
use serde_json::{Value, json};
use std::fs;

const DIGEST: &str = "sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// Another gateway of others.
const EDGE: &str = "gateway_namespace=edge gateway_accounts='edge/edge-account edge/other' gateway_selector=app=edge,istio=ingress";
/// A gateway of Faultline's own, in the namespace of [`overlay`].
const OWN: &str =
    "gateway=own gateway_namespace=elsewhere gateway_accounts=elsewhere/faultline-gateway
    gateway_selector=app.kubernetes.io/instance=elsewhere,istio=faultline-gateway";

/// The overlay that deploy.sh writes with these variables, rendered.
fn overlay(variables: &str) -> Manifests {
    let parent = root().join("target/deploy");
    fs::create_dir_all(&parent).expect("a folder");
    let folder = tempfile::tempdir_in(parent).expect("a folder");
    let overlay = folder.path().join("overlay");
    bash(&format!(
        "for part in cluster mesh choice boundary apply; do . deploy/$part.sh; done
         namespace=elsewhere
         for name in custom_app log_agent e2e filter; do
           printf -v image_$name %s registry.example:5000/team/faultline/$name@{DIGEST}
         done
         gateway='' host='' gateway_api=false istio_revision='' pull_secret=''
         istio_namespace=control istio_version=1.31 cluster_domain=cluster.example mesh_hosts=''
         {variables}
         write_overlay '{}' \"$namespace\"",
        overlay.display()
    ));
    kustomize(&overlay)
}

#[test]
fn everything_moves_but_the_gateways_plugin() {
    let manifests = overlay(EDGE);
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
        *policy.get("/spec/rules/0/from/0/source/serviceAccounts"),
        json!(["edge/edge-account", "edge/other"])
    );
    let labels = json!({"app": "edge", "istio": "ingress"});
    let gateway = manifests.one("Gateway", "faultline-gateway");
    assert_eq!(*gateway.get("/spec/selector"), labels);
    let plugin = manifests.one("WasmPlugin", "faultline-gateway");
    assert_eq!(*plugin.get("/spec/selector/matchLabels"), labels);
    assert_eq!(
        *manifests
            .one("Namespace", "elsewhere")
            .get("/metadata/labels/istio-injection"),
        "enabled"
    );
}

/// Two instances on one cluster: a selector looks into every namespace.
#[test]
fn an_own_gateway_is_this_instances_alone() {
    for api in ["", "gateway_api=true"] {
        let manifests = overlay(&format!("{OWN} {api}"));
        for manifest in manifests.all() {
            let place = if manifest.kind() == "Namespace" {
                ""
            } else {
                "elsewhere"
            };
            assert_eq!(manifest.namespace(), place, "{}", manifest.name());
        }
        let labels =
            json!({"istio": "faultline-gateway", "app.kubernetes.io/instance": "elsewhere"});
        let plugin = manifests.one("WasmPlugin", "faultline-gateway");
        assert_eq!(*plugin.get("/spec/selector/matchLabels"), labels);
        if api.is_empty() {
            let gateway = manifests.one("Gateway", "faultline-gateway");
            assert_eq!(*gateway.get("/spec/selector"), labels);
        }
        let proxy = manifests.one("Deployment", "faultline-gateway");
        for (label, value) in labels.as_object().expect("labels") {
            let label = label.replace('/', "~1");
            let pointer = format!("/spec/template/metadata/labels/{label}");
            assert_eq!(proxy.get(&pointer), value);
        }
        let policy = manifests.one("AuthorizationPolicy", "custom-app");
        assert_eq!(
            *policy.get("/spec/rules/0/from/0/source/serviceAccounts"),
            json!(["elsewhere/faultline-gateway"])
        );
        let network = manifests.one("NetworkPolicy", "custom-app");
        let place = json!({"kubernetes.io/metadata.name": "elsewhere"});
        assert_eq!(
            *network.get("/spec/ingress/0/from"),
            json!([{"namespaceSelector": {"matchLabels": place}, "podSelector": {"matchLabels": labels}}])
        );
        let way_in = manifests.one("NetworkPolicy", "faultline-gateway");
        let selected = way_in.get("/spec/podSelector/matchLabels");
        for (label, value) in selected.as_object().expect("labels") {
            let pointer = format!("/spec/template/metadata/labels/{label}");
            assert_eq!(proxy.get(&pointer), value);
        }
    }
}

#[test]
fn one_host_is_served_and_looked_at() {
    let host = json!(["shop.example.com"]);
    let manifests = overlay(&format!("{EDGE} host=shop.example.com"));
    let gateway = manifests.one("Gateway", "faultline-gateway");
    assert_eq!(*gateway.get("/spec/servers/0/hosts"), host);
    let routes = manifests.one("VirtualService", "faultline");
    assert_eq!(*routes.get("/spec/hosts"), host);
    let inside = manifests.one("VirtualService", "log-agent");
    assert_eq!(*inside.get("/spec/hosts"), json!(["log-agent-service"]));
    for plugin in manifests.of_kind("WasmPlugin") {
        let expected = if plugin.name() == "faultline-gateway" {
            host.clone()
        } else {
            Value::Null
        };
        assert_eq!(
            *plugin.get("/spec/pluginConfig/hosts"),
            expected,
            "{}",
            plugin.name()
        );
    }

    let manifests = overlay(&format!("{OWN} gateway_api=true host=shop.example.com"));
    let gateway = manifests.one("Gateway", "faultline-gateway");
    assert_eq!(
        *gateway.get("/spec/listeners/0/hostname"),
        "shop.example.com"
    );
    let routes = manifests.one("HTTPRoute", "faultline");
    assert_eq!(*routes.get("/spec/hostnames"), host);
}

/// With both labels Istio would go by istio-injection.
#[test]
fn a_revision_takes_the_place_of_the_default() {
    let set = "injection=istio.io/rev=canary discovery=mesh=prod,team=a";
    let manifests = overlay(&format!("{OWN}\n{set}"));
    let namespace = manifests.one("Namespace", "elsewhere");
    assert_eq!(
        *namespace.get("/metadata/labels"),
        json!({
            "istio.io/rev": "canary", "mesh": "prod", "team": "a",
            "app.kubernetes.io/part-of": "faultline", "app.kubernetes.io/instance": "elsewhere",
        })
    );
    let proxy = manifests.one("Deployment", "faultline-gateway");
    let revision = "/spec/template/metadata/labels/istio.io~1rev";
    assert_eq!(proxy.text(revision), "canary");
}

#[test]
fn the_choice_is_noted() {
    let noted = |variables: &str| {
        let manifests = overlay(variables);
        let namespace = manifests.one("Namespace", "elsewhere");
        ["gateway", "host", "gateway-api", "istio-revision"].map(|name| {
            let pointer = format!("/metadata/annotations/faultline~1{name}");
            namespace.get(&pointer).as_str().map(str::to_owned)
        })
    };
    assert_eq!(noted(EDGE), [None, None, None, None]);
    let set = "gateway_api=true host=shop.example.com istio_revision=prod";
    assert_eq!(
        noted(&format!("{OWN} {set}")),
        ["own", "shop.example.com", "true", "prod"].map(|value| Some(value.to_owned()))
    );
}

/// --delete finds what is Faultline's by these labels.
#[test]
fn everything_says_whose_it_is() {
    let every = [EDGE.to_owned(), format!("{OWN} gateway_api=true")].map(|set| overlay(&set));
    for manifest in every.iter().flat_map(Manifests::all) {
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
    let manifests = overlay(EDGE);
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
    let hosts =
        "mesh_hosts=$'*/otel.observability.svc.cluster.example\\ntracing/zipkin.example.com'";
    let manifests = overlay(&format!("{EDGE} {hosts}"));
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
    assert_eq!(
        *custom_app.get("/spec/ingress/0/from/0/podSelector/matchLabels"),
        json!({"app": "edge", "istio": "ingress"})
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
    assert_eq!(*proxies.get("/spec/egress/5"), Value::Null);
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
    let manifests = overlay(&format!("{OWN} pull_secret=registry"));
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
    assert_eq!(count(&overlay(OWN)), 0);
}
