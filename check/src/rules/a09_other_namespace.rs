//! A9: a policy for workloads of another namespace.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, Labels, Meta, Selected};

pub(super) const RULE: Rule = Rule {
    id: "A9",
    name: "policy-in-other-namespace",
    level: Level::Error,
    title: "A policy selects workloads of its own namespace alone",
    since: None,
    until: None,
    why: texts!("A9", "why.md"),
    wrong: texts!("A9", "wrong.yaml"),
    right: texts!("A9", "right.yaml"),
    check,
};

const KINDS: [&str; 6] = [
    "AuthorizationPolicy",
    "EnvoyFilter",
    "PeerAuthentication",
    "RequestAuthentication",
    "Telemetry",
    "WasmPlugin",
];

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for policy in &mesh.resources.policies {
        if let Some(selector) = &policy.target.selector
            && KINDS.contains(&policy.meta.kind.0)
            && policy.meta.namespace != mesh.root_namespace()
        {
            check_policy(mesh, policy, selector, findings);
        }
    }
}

fn check_policy(
    mesh: &Mesh<'_>,
    policy: &Selected,
    selector: &At<Labels>,
    findings: &mut Findings<'_>,
) {
    let namespaces = mesh.namespaces_with(selector);
    let own = policy.meta.namespace.as_str();
    if namespaces.contains(&own) {
        return;
    }
    let Some(elsewhere) = namespaces.first().copied() else {
        if mesh.is_gateway(selector) {
            findings.undecided(format!("no workload with {} known", selector.value));
        }
        return;
    };
    // Labels such as app=web are found everywhere. That these mean workloads elsewhere is certain for a gateway's, and
    // where the policy's own namespace is known.
    let known = !mesh.workloads_in(own).is_empty();
    let gateway = mesh.is_gateway(selector)
        || mesh
            .selected_anywhere(selector)
            .all(|it| mesh.is_gateway(&it.labels));
    if !(known || gateway) {
        return;
    }
    let Some((meta, place)) = owner(mesh, selector) else {
        return;
    };
    if !(policy.meta.namespace_said && meta.namespace_said) {
        findings.undecided(format!(
            "{} and {} do not both name their namespace",
            policy.meta.title(),
            meta.title()
        ));
        return;
    }
    let (kind, labels) = (policy.meta.kind, &selector.value);
    let fix = match mesh.root_namespace() {
        root if root == elsewhere => format!("namespace: {elsewhere}"),
        root => {
            format!("namespace: {elsewhere}; or {root}, whose policies hold in every namespace")
        }
    };
    finding(format!(
        "This {kind} is ignored: it selects {labels} in namespace {own}, and those pods are in {elsewhere}"
    ))
    .at(&policy.meta, policy.meta.namespace_place, format!("only pods of {own} are selected"))
    .at(meta, place, format!("{labels} is in {elsewhere}"))
    .fix(findings, fix);
}

/// A workload with these labels, else a Service that selects it; and where it says its namespace.
fn owner<'a>(mesh: &Mesh<'a>, selector: &Labels) -> Option<(&'a Meta, crate::model::Place)> {
    let workload = mesh.selected_anywhere(selector).next().map(|it| &it.meta);
    let mut services = mesh.resources.services.iter();
    let service = || {
        services
            .find(|it| selector.select(&it.selector))
            .map(|it| &it.meta)
    };
    let meta = workload.or_else(service)?;
    Some((meta, meta.namespace_place))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn with(kind: &str, namespace: &str, labels: &str, more: &str) -> String {
        let (group, selector) = match kind {
            "EnvoyFilter" => (
                "networking.istio.io/v1alpha3",
                format!("workloadSelector: {{labels: {labels}}}"),
            ),
            "WasmPlugin" => (
                "extensions.istio.io/v1alpha1",
                format!("selector: {{matchLabels: {labels}}}"),
            ),
            "Telemetry" => (
                "telemetry.istio.io/v1",
                format!("selector: {{matchLabels: {labels}}}"),
            ),
            _ => (
                "security.istio.io/v1",
                format!("selector: {{matchLabels: {labels}}}"),
            ),
        };
        format!(
            "apiVersion: {group}\nkind: {kind}\nmetadata: {{name: p, namespace: {namespace}}}\nspec: {{{selector}}}\n---\n{more}"
        )
    }

    fn deployment(namespace: &str, labels: &str) -> String {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d, namespace: {namespace}}}\nspec: {{replicas: 1, template: \
             {{metadata: {{labels: {labels}}}}}}}\n---\n"
        )
    }

    const GATEWAY: &str = "{istio: ingressgateway}";

    #[test]
    fn ignored() {
        for kind in super::KINDS {
            fires(
                "A9",
                &with(kind, "shop", GATEWAY, &deployment("istio-ingress", GATEWAY)),
            );
        }
        let service = "apiVersion: v1\nkind: Service\nmetadata: {name: g, namespace: edge}\nspec: {selector: {istio: \
                       ingressgateway, app: g}, ports: []}\n";
        fires("A9", &with("WasmPlugin", "shop", GATEWAY, service));
        let both = deployment("b", "{app: web}") + &deployment("a", "{app: other}");
        fires("A9", &with("AuthorizationPolicy", "a", "{app: web}", &both));
    }

    #[test]
    fn found() {
        silent(
            "A9",
            &with("WasmPlugin", "edge", GATEWAY, &deployment("edge", GATEWAY)),
        );
        silent(
            "A9",
            &with(
                "WasmPlugin",
                "istio-system",
                GATEWAY,
                &deployment("edge", GATEWAY),
            ),
        );
        let both = deployment("a", "{app: web}") + &deployment("b", "{app: web}");
        silent("A9", &with("AuthorizationPolicy", "a", "{app: web}", &both));
        // Nothing is known of namespace a.
        silent(
            "A9",
            &with(
                "AuthorizationPolicy",
                "a",
                "{app: web}",
                &deployment("b", "{app: web}"),
            ),
        );
        silent("A9", &with("WasmPlugin", "shop", GATEWAY, ""));
        let mesh = "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec: {meshConfig: {rootNamespace: shop}}\n";
        silent(
            "A9",
            &with(
                "WasmPlugin",
                "shop",
                GATEWAY,
                &(deployment("edge", GATEWAY) + mesh),
            ),
        );
        silent(
            "A9",
            &with("Sidecar", "shop", GATEWAY, &deployment("edge", GATEWAY))
                .replace("security", "networking"),
        );
    }
}
