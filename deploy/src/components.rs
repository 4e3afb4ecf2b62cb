//! The components of `istio/components`, each over `istio/`, as an overlay takes them: with and without deploy.sh.

use crate::{
    manifest::{Manifest, Manifests, kustomize, rendered, root},
    routes::{self, Table},
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::fs;

/// `istio/` with a component.
pub(crate) fn with(component: &str) -> Manifests {
    let parent = root().join("target/deploy");
    fs::create_dir_all(&parent).expect("a folder");
    let folder = tempfile::tempdir_in(parent).expect("a folder");
    let overlay = folder.path().join("overlay");
    fs::create_dir(&overlay).expect("a folder");
    let istio = "../../../../istio";
    let text = format!("resources: [{istio}]\ncomponents: [{istio}/components/{component}]\n");
    fs::write(overlay.join("kustomization.yaml"), text).expect("a file");
    kustomize(&overlay)
}

pub(crate) const OWN: &str = "own-gateway";
pub(crate) const API: &str = "gateway-api";

/// The labels of the own gateway's pods.
fn labels() -> Value {
    json!({"istio": "faultline-gateway", "app.kubernetes.io/instance": "faultline"})
}

#[test]
fn nothing_stands_in_anybody_elses_namespace() {
    for component in [OWN, API] {
        for manifest in with(component).all() {
            let expected = if manifest.kind() == "Namespace" {
                ""
            } else {
                "faultline"
            };
            let of = manifest.kind();
            assert_eq!(manifest.namespace(), expected, "{of} {}", manifest.name());
            assert_eq!(
                manifest.text("/metadata/labels/app.kubernetes.io~1part-of"),
                "faultline"
            );
        }
    }
}

#[test]
fn routes_filter_and_policy_are_at_the_own_gateway() {
    let manifests = with(OWN);
    let gateway = manifests.one("Gateway", "faultline-gateway");
    assert_eq!(*gateway.get("/spec/selector"), labels());
    let plugin = manifests.one("WasmPlugin", "faultline-gateway");
    assert_eq!(*plugin.get("/spec/selector/matchLabels"), labels());
    let policy = manifests.one("AuthorizationPolicy", "custom-app");
    assert_eq!(
        *policy.get("/spec/rules/0/from/0/source/serviceAccounts"),
        json!(["faultline-gateway"])
    );
}

/// The namespace's policy allows nothing. An unknown path shall get 404 from the last route, also without the filter.
#[test]
fn the_gateway_lets_everything_in() {
    for component in [OWN, API] {
        let manifests = with(component);
        let policy = manifests.one("AuthorizationPolicy", "faultline-gateway");
        assert_eq!(
            *policy.get("/spec"),
            json!({
                "selector": {"matchLabels": {"istio": "faultline-gateway"}},
                "action": "ALLOW",
                "rules": [{}],
            })
        );
    }
}

#[test]
fn istio_fills_the_proxy_in() {
    let manifests = with(OWN);
    let proxy = manifests.one("Deployment", "faultline-gateway");
    let pod = "/spec/template/metadata";
    let injected = proxy.get(&format!("{pod}/labels"));
    assert_eq!(injected["sidecar.istio.io/inject"], "true");
    for (label, value) in labels().as_object().expect("labels") {
        assert_eq!(injected[label], *value);
    }
    assert_eq!(
        proxy.text(&format!("{pod}/annotations/inject.istio.io~1templates")),
        "gateway"
    );
    let container = proxy.get("/spec/template/spec/containers/0");
    assert_eq!(
        (&container["name"], &container["image"]),
        (&json!("istio-proxy"), &json!("auto"))
    );
    let service = manifests.one("Service", "faultline-gateway");
    assert_eq!(service.text("/spec/type"), "LoadBalancer");
    assert_eq!(
        *service.get("/spec/ports"),
        json!([{"name": "http", "port": 80, "targetPort": 8080}])
    );
    let budget = manifests.one("PodDisruptionBudget", "faultline-gateway");
    assert_eq!(*budget.get("/spec/maxUnavailable"), 1);
    for (of, pointer) in [
        (service, "/spec/selector"),
        (budget, "/spec/selector/matchLabels"),
        (proxy, "/spec/selector/matchLabels"),
    ] {
        assert_eq!(*of.get(pointer), json!({"istio": "faultline-gateway"}));
    }
    assert_eq!(*proxy.get("/spec/replicas"), 2, "else a drain leaves none");
}

#[test]
fn the_proxy_is_confined_as_the_services_are() {
    let manifests = with(OWN);
    let proxy = manifests.one("Deployment", "faultline-gateway");
    let service = rendered().one("Deployment", "log-agent");
    let container = |of: &Manifest| of.get("/spec/template/spec/containers/0").clone();
    assert_eq!(
        container(proxy)["securityContext"],
        container(service)["securityContext"]
    );
    let pod = "/spec/template/spec";
    for setting in [
        "securityContext/runAsNonRoot",
        "securityContext/seccompProfile",
        "automountServiceAccountToken",
        "enableServiceLinks",
    ] {
        let pointer = format!("{pod}/{setting}");
        assert_eq!(proxy.get(&pointer), service.get(&pointer), "{setting}");
    }
    assert_eq!(
        proxy.text(&format!("{pod}/serviceAccountName")),
        "faultline-gateway"
    );
    let account = manifests.one("ServiceAccount", "faultline-gateway");
    assert_eq!(*account.get("/automountServiceAccountToken"), false);
    for quantity in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
        let found = container(proxy)["resources"].pointer(quantity).cloned();
        assert!(found.is_some_and(|found| found.is_string()), "{quantity}");
    }
}

/// An HTTPRoute's rule. An unknown key fails the test: whatever it says was not thought of here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Rule {
    name: String,
    matches: Vec<Match>,
    timeouts: Option<Value>,
    backend_refs: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Match {
    method: String,
    path: Path,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Path {
    #[serde(rename = "type")]
    by: String,
    value: String,
}

/// VirtualService and HTTPRoute say the same, path by path and method by method.
#[test]
fn the_gateway_api_has_the_same_routes() {
    let manifests = with(API);
    let rules: Vec<Rule> = manifests.one("HTTPRoute", "faultline").read("/spec/rules");
    let mut table = Table::new();
    for rule in &rules {
        assert_eq!(
            rule.backend_refs,
            json!([{"name": "custom-app-service", "port": 8080}])
        );
        for one in &rule.matches {
            assert_eq!(one.path.by, "Exact");
            let methods = table.entry(one.path.value.clone()).or_default();
            methods.insert(one.method.clone());
        }
    }
    let service = rendered().one("VirtualService", "faultline");
    assert_eq!(table, routes::of_virtual_service(service));
    assert_eq!(
        manifests
            .of_kind("VirtualService")
            .map(Manifest::name)
            .collect::<Vec<_>>(),
        ["log-agent"],
        "the delay stays Istio's"
    );
    assert_eq!(manifests.of_kind("Gateway").count(), 1);
}

/// The retries and the last route, which the API does not have as Istio takes it.
#[test]
fn the_rest_is_istios() {
    let manifests = with(API);
    let routes = rendered().one("VirtualService", "faultline");
    let log = routes.get("/spec/http/3");
    assert_eq!(log["name"], "log");
    let rules: Vec<Rule> = manifests.one("HTTPRoute", "faultline").read("/spec/rules");
    let rule = rules.iter().find(|rule| rule.name == "log").expect("log");
    assert_eq!(rule.timeouts, Some(json!({"request": log["timeout"]})));

    let filter = manifests.one("EnvoyFilter", "faultline-gateway");
    assert_eq!(
        *filter.get("/spec/workloadSelector/labels"),
        json!({"istio": "faultline-gateway"})
    );
    let retries = filter.get("/spec/configPatches/0");
    assert_eq!(
        retries["match"]["routeConfiguration"]["vhost"]["route"]["name"],
        rule.name
    );
    let policy = &retries["patch"]["value"]["route"]["retry_policy"];
    assert_eq!(policy["retry_on"], log["retries"]["retryOn"]);
    assert_eq!(policy["num_retries"], log["retries"]["attempts"]);
    assert_eq!(
        (&policy["per_try_timeout"], &log["retries"]["perTryTimeout"]),
        (&json!("0.4s"), &json!("400ms"))
    );

    let unknown = routes.get("/spec/http/4");
    let last = filter.get("/spec/configPatches/1/patch/value/routes/0");
    assert_eq!(last["name"], unknown["name"]);
    assert_eq!(last["match"], json!({"prefix": "/"}));
    let answer = &last["direct_response"];
    assert_eq!(answer["status"], unknown["directResponse"]["status"]);
    assert_eq!(
        answer["body"]["inline_string"],
        unknown["directResponse"]["body"]["string"]
    );
    let header = &last["response_headers_to_add"][0]["header"];
    assert_eq!(
        header["value"],
        unknown["headers"]["response"]["set"]["content-type"]
    );
}
