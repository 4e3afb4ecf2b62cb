//! Who may call whom: the NetworkPolicies and Sidecars as they are rendered, and what deploy.sh finds out for them.

use crate::manifest::{Manifest, bash, rendered};
use serde_json::{Value, json};

/// The peers of a rule, one for each port that it opens.
fn rules(policy: &Manifest, direction: &str) -> Vec<(Value, Value)> {
    let rules = policy.get(&format!("/spec/{direction}")).as_array();
    rules
        .into_iter()
        .flatten()
        .flat_map(|rule| {
            let peers = rule.get("from").or(rule.get("to")).unwrap_or(&Value::Null);
            let ports = rule["ports"].as_array().expect("a rule without ports");
            ports
                .iter()
                .map(|port| (peers.clone(), port["port"].clone()))
        })
        .collect()
}

fn pods(app: &str) -> Value {
    json!([{"podSelector": {"matchLabels": {"app": app}}}])
}

fn pods_of(namespace: &str, label: &Value) -> Value {
    json!([{
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "podSelector": {"matchLabels": label},
    }])
}

/// The way in and the way out agree with the authorization policies: gateway, custom-app, log agent.
#[test]
fn the_network_lets_in_whom_the_mesh_lets_in() {
    let gateway = rendered().one("Gateway", "faultline-gateway");
    let custom_app = rendered().one("NetworkPolicy", "custom-app");
    let account: String = rendered()
        .one("AuthorizationPolicy", "custom-app")
        .read("/spec/rules/0/from/0/source/serviceAccounts/0");
    let (namespace, _) = account.split_once('/').expect("namespace/name");
    assert_eq!(
        rules(custom_app, "ingress"),
        [(
            pods_of(namespace, gateway.get("/spec/selector")),
            json!(8080)
        )]
    );
    assert_eq!(
        rules(custom_app, "egress"),
        [(pods("log-agent"), json!(8080))]
    );
    let log_agent = rendered().one("NetworkPolicy", "log-agent");
    assert_eq!(
        rules(log_agent, "ingress"),
        [(pods("custom-app"), json!(8080))]
    );
    assert_eq!(rules(log_agent, "egress"), []);
}

/// A policy that does not name a direction leaves it open.
#[test]
fn every_pod_is_closed_both_ways() {
    for app in ["custom-app", "log-agent"] {
        let policy = rendered().one("NetworkPolicy", app);
        assert_eq!(
            *policy.get("/spec/podSelector"),
            json!({"matchLabels": {"app": app}})
        );
        assert_eq!(
            *policy.get("/spec/policyTypes"),
            json!(["Ingress", "Egress"])
        );
    }
    assert_eq!(
        *rendered().one("NetworkPolicy", "default-deny").get("/spec"),
        json!({"podSelector": {}, "policyTypes": ["Ingress"]})
    );
}

#[test]
fn the_network_lets_proxies_have_what_they_need_and_no_more() {
    let proxies = rendered().one("NetworkPolicy", "proxies");
    let anywhere = Value::Null;
    assert_eq!(
        rules(proxies, "ingress"),
        [
            (anywhere.clone(), json!(15020)),
            (anywhere.clone(), json!(15090))
        ]
    );
    assert_eq!(
        rules(proxies, "egress"),
        [
            (anywhere.clone(), json!(53)),
            (anywhere.clone(), json!(53)),
            (
                pods_of("istio-system", &json!({"app": "istiod"})),
                json!(15012)
            ),
            (anywhere, json!(443)),
        ]
    );
    assert_eq!(rendered().of_kind("NetworkPolicy").count(), 4);
}

#[test]
fn each_application_knows_only_whom_it_calls() {
    for (app, host) in [
        (
            "custom-app",
            "./log-agent-service.faultline.svc.cluster.local",
        ),
        ("log-agent", "~/*"),
    ] {
        assert_eq!(
            *rendered().one("Sidecar", app).get("/spec"),
            json!({
                "workloadSelector": {"labels": {"app": app}},
                "outboundTrafficPolicy": {"mode": "REGISTRY_ONLY"},
                "egress": [{"hosts": [host]}],
            })
        );
    }
    assert_eq!(rendered().of_kind("Sidecar").count(), 2);
}

const MESH: &str = r#"
defaultConfig:
  discoveryAddress: istiod.istio-system.svc:15012
extensionProviders:
- envoyOtelAls:
    port: 4317
    service: otel.observability.svc.cluster.local
  name: otel
- name: zipkin
  zipkin:
    service: "tracing/zipkin.tracing.svc.cluster.local"   # a comment
    port: 9411
- name: outside
  datadog: {}
- name: again
  opentelemetry:
    service: otel.observability.svc.cluster.local
- name: collector
  opentelemetry:
    service: collector.example.com
"#;

#[test]
fn the_services_of_a_mesh_configuration_are_found_once_each() {
    let script = format!(". deploy/boundary.sh; provider_hosts <<'MESH'\n{MESH}\nMESH");
    let hosts = "*/collector.example.com\n*/otel.observability.svc.cluster.local\ntracing/zipkin.tracing.svc.cluster.local\n";
    assert_eq!(bash(&script), hosts);
    // A service outside of the cluster has no namespace that a policy could name.
    let script = format!(". deploy/boundary.sh; provider_namespaces <<'HOSTS'\n{hosts}HOSTS");
    assert_eq!(bash(&script), "observability\ntracing\n");
}

#[test]
fn a_registry_is_reached_at_its_port() {
    for (image, insecure, ports) in [
        ("registry.example/team/filter@sha256:0", "false", ""),
        ("registry.example:443/filter@sha256:0", "false", ""),
        (
            "registry.example:5000/filter@sha256:0",
            "true",
            ", {port: 5000}",
        ),
        ("[2001:db8::1]/filter@sha256:0", "false", ""),
        (
            "[2001:db8::1]:5000/filter@sha256:0",
            "false",
            ", {port: 5000}",
        ),
        ("registry.example/filter@sha256:0", "true", ", {port: 80}"),
    ] {
        let script = format!(
            ". deploy/boundary.sh; image_filter='{image}' insecure={insecure}; registry_ports"
        );
        assert_eq!(bash(&script), ports, "{image}");
    }
}

#[test]
fn a_control_plane_that_is_not_to_be_seen_may_be_anywhere() {
    let rule =
        ". deploy/boundary.sh; istio_version=unknown istio_namespace=istio-system; istiod_rule";
    assert!(bash(rule).contains("{op: remove, path: /spec/egress/1/to}"));
}

#[test]
fn the_domain_is_istiods_own() {
    for (arguments, domain) in [
        (
            r#"["discovery","--domain","cluster.example","--keepaliveMaxServerConnectionAge","30m"]"#,
            "cluster.example",
        ),
        (
            r#"["discovery","--domain=cluster.example"]"#,
            "cluster.example",
        ),
        (r#"["discovery"]"#, "cluster.local"),
        // a control plane that runs elsewhere
        ("", "cluster.local"),
    ] {
        let script = format!(
            ". deploy/boundary.sh
             ask() {{ case $* in *args*) printf '%s' '{arguments}' ;; esac; }}
             istio_namespace=istio-system; find_boundary; printf '%s' \"$cluster_domain$mesh_hosts\""
        );
        assert_eq!(bash(&script), domain, "{arguments}");
    }
}
