//! The services' manifests: what runs, as whom, with what rights, and how it comes and goes.

use crate::manifest::{Manifest, rendered};
use serde_json::{Value, json};

const APPS: [&str; 2] = ["custom-app", "log-agent"];

fn deployments() -> impl Iterator<Item = (&'static str, &'static Manifest)> {
    assert_eq!(rendered().of_kind("Deployment").count(), APPS.len());
    APPS.into_iter()
        .map(|app| (app, rendered().one("Deployment", app)))
}

fn container(deployment: &Manifest) -> &Value {
    match deployment
        .get("/spec/template/spec/containers")
        .as_array()
        .map(Vec::as_slice)
    {
        Some([only]) => only,
        _ => panic!("{}: not exactly one container", deployment.name()),
    }
}

#[test]
fn every_container_is_confined() {
    for (app, deployment) in deployments() {
        let pod = "/spec/template/spec/securityContext";
        assert_eq!(
            *deployment.get(&format!("{pod}/runAsNonRoot")),
            true,
            "{app}"
        );
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(
                *deployment.get(&format!("{pod}/{id}")),
                65532,
                "{app}: {id}"
            );
        }
        assert_eq!(
            deployment.text(&format!("{pod}/seccompProfile/type")),
            "RuntimeDefault",
            "{app}"
        );
        assert_eq!(
            container(deployment)["securityContext"],
            json!({
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            }),
            "{app}"
        );
    }
}

#[test]
fn no_pod_gets_a_token_for_the_kubernetes_api() {
    for (app, deployment) in deployments() {
        assert_eq!(
            deployment.text("/spec/template/spec/serviceAccountName"),
            app
        );
        assert_eq!(
            *deployment.get("/spec/template/spec/automountServiceAccountToken"),
            false,
            "{app}"
        );
        let account = rendered().one("ServiceAccount", app);
        assert_eq!(
            *account.get("/automountServiceAccountToken"),
            false,
            "{app}"
        );
    }
}

#[test]
fn probes_ask_for_life_and_readiness() {
    for (app, deployment) in deployments() {
        let container = container(deployment);
        for (probe, path) in [
            ("startupProbe", "/readyz"),
            ("readinessProbe", "/readyz"),
            ("livenessProbe", "/healthz"),
        ] {
            assert_eq!(
                container[probe]["httpGet"],
                json!({"path": path, "port": "http"}),
                "{app}: {probe}"
            );
        }
        assert_eq!(
            container["ports"],
            json!([{"name": "http", "containerPort": 8080}]),
            "{app}"
        );
    }
}

#[test]
fn every_container_has_requests_and_a_memory_limit() {
    for (app, deployment) in deployments() {
        let resources = &container(deployment)["resources"];
        for quantity in ["/requests/cpu", "/requests/memory", "/limits/memory"] {
            assert!(
                resources.pointer(quantity).is_some_and(Value::is_string),
                "{app}: {quantity}"
            );
        }
    }
}

#[test]
fn the_proxy_outlives_the_app_on_shutdown() {
    for (app, deployment) in deployments() {
        let annotation = "/spec/template/metadata/annotations/sidecar.istio.io~1nativeSidecar";
        assert_eq!(deployment.text(annotation), "true", "{app}");
        assert_eq!(
            *deployment.get("/spec/template/spec/terminationGracePeriodSeconds"),
            60,
            "{app}"
        );
    }
    assert_eq!(
        *rendered()
            .one("Namespace", "faultline")
            .get("/metadata/labels/istio-injection"),
        "enabled"
    );
}

#[test]
fn custom_app_is_never_without_a_replica() {
    let deployment = rendered().one("Deployment", "custom-app");
    assert_eq!(*deployment.get("/spec/replicas"), 2);
    assert_eq!(
        *deployment.get("/spec/strategy/rollingUpdate/maxUnavailable"),
        0
    );
    let spread = deployment.get("/spec/template/spec/topologySpreadConstraints/0");
    assert_eq!(
        spread["whenUnsatisfiable"], "ScheduleAnyway",
        "one machine must do"
    );
    let budget = rendered().one("PodDisruptionBudget", "custom-app");
    assert_eq!(*budget.get("/spec/maxUnavailable"), 1);
}

/// Two log agents on one SQLite file would corrupt it; a lost volume would lose what was promised.
#[test]
fn log_agent_is_alone_with_its_volume() {
    let deployment = rendered().one("Deployment", "log-agent");
    assert_eq!(*deployment.get("/spec/replicas"), 1);
    assert_eq!(
        *deployment.get("/spec/strategy"),
        json!({"type": "Recreate"})
    );
    assert_eq!(
        *deployment.get("/spec/template/spec/volumes"),
        json!([{"name": "data", "persistentVolumeClaim": {"claimName": "log-agent"}}])
    );
    let claim = rendered().one("PersistentVolumeClaim", "log-agent");
    assert_eq!(claim.text("/spec/resources/requests/storage"), "1Gi");
    // A budget that allowed nothing would block every drain of the machine for ever.
    assert_eq!(
        *rendered()
            .one("PodDisruptionBudget", "log-agent")
            .get("/spec/maxUnavailable"),
        1
    );
}

#[test]
fn data_is_where_the_services_look_for_it() {
    for (app, deployment) in deployments() {
        assert_eq!(
            container(deployment)["volumeMounts"],
            json!([{"name": "data", "mountPath": format!("/var/lib/{app}")}])
        );
    }
}

#[test]
fn services_and_budgets_select_the_pods() {
    for (app, deployment) in deployments() {
        let labels = json!({"app": app});
        assert_eq!(*deployment.get("/spec/template/metadata/labels"), labels);
        assert_eq!(*deployment.get("/spec/selector/matchLabels"), labels);
        assert_eq!(
            *rendered()
                .one("PodDisruptionBudget", app)
                .get("/spec/selector/matchLabels"),
            labels
        );
        let service = rendered().one("Service", &format!("{app}-service"));
        assert_eq!(*service.get("/spec/selector"), labels);
        assert_eq!(
            *service.get("/spec/ports"),
            json!([{"name": "http", "port": 8080, "targetPort": 8080}])
        );
    }
}
