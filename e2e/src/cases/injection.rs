//! Injection: every pod has its sidecar.

use crate::case::{Case, Tier};
use crate::environment::Environment;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const SIDECARS: Case = Case {
    feature: "injection",
    name: "injection",
    tier: Tier::Quick,
    claim: "every pod of the namespace has its sidecar, ready",
    run: |environment| Box::pin(sidecars(environment)),
};

async fn sidecars(environment: &Environment) -> Outcome {
    let cluster = environment
        .mesh
        .cluster("no sidecar is injected: one Envoy is every proxy")?;
    let mut pods = cluster.list(&cluster.names.namespace, &[]).await?;
    pods.retain(|pod| !pod.leaving && pod.phase != "Succeeded");
    expect(
        !pods.is_empty(),
        "pods in the namespace",
        "none",
        "`kubectl get pods`",
    )?;
    let mut seen = Vec::new();
    for pod in &pods {
        let Some(sidecar) = pod.container("istio-proxy") else {
            return Err(Unmet::failed(
                "istio-proxy in every pod",
                format!("none in {}", pod.name),
                "the namespace's label istio-injection",
            ));
        };
        expect(
            sidecar.ready,
            "every sidecar ready",
            format!("{}'s is not", pod.name),
            format!("`kubectl logs {} -c istio-proxy`", pod.name),
        )?;
        seen.push(pod.name.as_str());
    }
    Ok(format!(
        "{} of {} pods: {}",
        seen.len(),
        pods.len(),
        seen.join(", ")
    ))
}
