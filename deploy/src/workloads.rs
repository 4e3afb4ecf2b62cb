//! The services' manifests: what runs, as whom, with what rights, and how it comes and goes.

use crate::manifest::{Manifest, rendered};
use serde_json::{Value, json};

/// Each application with its controller.
fn workloads() -> impl Iterator<Item = (&'static str, &'static Manifest)> {
    let all = [("StatefulSet", "custom-app"), ("Deployment", "log-agent")];
    for kind in ["StatefulSet", "Deployment", "DaemonSet"] {
        let expected = all.iter().filter(|(of, _)| *of == kind).count();
        assert_eq!(rendered().of_kind(kind).count(), expected, "{kind}");
    }
    all.into_iter()
        .map(|(kind, app)| (app, rendered().one(kind, app)))
}

fn container(workload: &Manifest) -> &Value {
    match workload
        .get("/spec/template/spec/containers")
        .as_array()
        .map(Vec::as_slice)
    {
        Some([only]) => only,
        _ => panic!("{}: not exactly one container", workload.name()),
    }
}

#[test]
fn every_container_is_confined() {
    for (app, workload) in workloads() {
        let pod = "/spec/template/spec/securityContext";
        assert_eq!(*workload.get(&format!("{pod}/runAsNonRoot")), true, "{app}");
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(*workload.get(&format!("{pod}/{id}")), 65532, "{app}: {id}");
        }
        assert_eq!(
            workload.text(&format!("{pod}/fsGroupChangePolicy")),
            "OnRootMismatch",
            "{app}"
        );
        assert_eq!(
            workload.text(&format!("{pod}/seccompProfile/type")),
            "RuntimeDefault",
            "{app}"
        );
        assert_eq!(
            container(workload)["securityContext"],
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
    for (app, workload) in workloads() {
        assert_eq!(workload.text("/spec/template/spec/serviceAccountName"), app);
        assert_eq!(
            *workload.get("/spec/template/spec/automountServiceAccountToken"),
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
    for (app, workload) in workloads() {
        let container = container(workload);
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
    for (app, workload) in workloads() {
        let resources = &container(workload)["resources"];
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
    for (app, workload) in workloads() {
        let annotation = "/spec/template/metadata/annotations/sidecar.istio.io~1nativeSidecar";
        assert_eq!(workload.text(annotation), "true", "{app}");
        assert_eq!(
            *workload.get("/spec/template/spec/terminationGracePeriodSeconds"),
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
fn custom_app_goes_one_replica_at_a_time() {
    let set = rendered().one("StatefulSet", "custom-app");
    assert_eq!(*set.get("/spec/replicas"), 2);
    assert_eq!(set.text("/spec/podManagementPolicy"), "Parallel");
    // maxUnavailable and partition have their defaults, 1 and 0
    assert_eq!(
        *set.get("/spec/updateStrategy"),
        json!({"type": "RollingUpdate"})
    );
    assert_eq!(*set.get("/spec/minReadySeconds"), 5);
    let spread = set.get("/spec/template/spec/topologySpreadConstraints/0");
    assert_eq!(
        spread["whenUnsatisfiable"], "ScheduleAnyway",
        "one machine must do"
    );
    let budget = rendered().one("PodDisruptionBudget", "custom-app");
    assert_eq!(*budget.get("/spec/maxUnavailable"), 1);
}

/// What is accepted is promised: the outbox outlives its pod, its replica and its set.
#[test]
fn each_custom_app_keeps_its_outbox_in_a_claim() {
    let set = rendered().one("StatefulSet", "custom-app");
    assert_eq!(
        *set.get("/spec/persistentVolumeClaimRetentionPolicy"),
        json!({"whenScaled": "Retain", "whenDeleted": "Retain"})
    );
    assert_eq!(
        *set.get("/spec/volumeClaimTemplates"),
        json!([{
            "metadata": {"name": "data"},
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "256Mi"}}},
        }])
    );
    assert_eq!(
        *set.get("/spec/template/spec/volumes"),
        Value::Null,
        "a volume of this name would stand in for the claim"
    );
    let governing = set.text("/spec/serviceName");
    assert_eq!(rendered().one("Service", governing).name(), governing);
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
    for (app, workload) in workloads() {
        assert_eq!(
            container(workload)["volumeMounts"],
            json!([{"name": "data", "mountPath": format!("/var/lib/{app}")}])
        );
    }
}

#[test]
fn services_and_budgets_select_the_pods() {
    for (app, workload) in workloads() {
        let labels = json!({"app": app});
        assert_eq!(*workload.get("/spec/template/metadata/labels"), labels);
        assert_eq!(*workload.get("/spec/selector/matchLabels"), labels);
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
