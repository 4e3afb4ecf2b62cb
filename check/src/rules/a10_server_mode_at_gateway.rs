//! A10: a module for servers at a gateway.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, Labels, Meta, Place, PolicyKind, Selected};

pub(super) const RULE: Rule = Rule {
    id: "A10",
    name: "server-mode-at-gateway",
    level: Level::Error,
    title: "A WasmPlugin with match mode SERVER never runs at a gateway",
    since: None,
    until: None,
    why: texts!("A10", "why.md"),
    wrong: texts!("A10", "wrong.yaml"),
    right: texts!("A10", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for policy in &mesh.resources.policies {
        let PolicyKind::Wasm(plugin) = &policy.kind else {
            continue;
        };
        let modes: Option<Vec<&At<String>>> =
            plugin.matches.iter().map(|it| it.mode.as_ref()).collect();
        let modes = modes.unwrap_or_default();
        let server = !modes.is_empty() && modes.iter().all(|it| it.value == "SERVER");
        if let (true, Some(mode), Some(selector)) = (server, modes.first(), &policy.target.selector)
            && let Some((meta, place)) = gateway(mesh, policy, selector)
        {
            finding("This WasmPlugin never runs: match mode SERVER is for a workload's inbound listeners, and a gateway's are CLIENT")
                .at(&policy.meta, mode.place, "no listener of a gateway")
                .at(meta, place, "selects a gateway")
                .fix(findings, "mode: CLIENT, or CLIENT_AND_SERVER, or no mode");
        }
    }
}

/// What tells that everything selected is a gateway.
fn gateway<'a>(
    mesh: &Mesh<'a>,
    policy: &'a Selected,
    selector: &'a At<Labels>,
) -> Option<(&'a Meta, Place)> {
    let here = (&policy.meta, selector.place);
    if mesh.is_gateway(selector) {
        return Some(here);
    }
    let everywhere = policy.meta.namespace == mesh.root_namespace();
    let mut selected = mesh
        .selected_anywhere(selector)
        .filter(|it| everywhere || it.meta.namespace == policy.meta.namespace)
        .peekable();
    let first = selected.peek().map(|it| &it.meta)?;
    selected
        .all(|it| mesh.is_gateway(&it.labels))
        .then_some((first, first.name.place))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn plugin(matches: &str, labels: &str, more: &str) -> String {
        format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: p, namespace: edge}}\nspec: {{url: \
             'oci://x', selector: {{matchLabels: {labels}}}, match: [{matches}]}}\n---\n{more}"
        )
    }

    const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: shop}\nspec: \
                           {selector: {app: edge}, servers: []}\n---\n";
    const DEPLOYMENT: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: edge, namespace: edge}\nspec: {template: \
                              {metadata: {labels: {app: edge, v: a}}}}\n";

    #[test]
    fn never_runs() {
        fires(
            "A10",
            &plugin("{mode: SERVER}", "{istio: ingressgateway}", ""),
        );
        fires(
            "A10",
            &plugin(
                "{mode: SERVER, ports: [{number: 80}]}, {mode: SERVER}",
                "{app: edge}",
                GATEWAY,
            ),
        );
        fires(
            "A10",
            &plugin(
                "{mode: SERVER}",
                "{v: a}",
                &format!("{GATEWAY}{DEPLOYMENT}"),
            ),
        );
    }

    #[test]
    fn runs() {
        silent(
            "A10",
            &plugin("{mode: CLIENT}", "{istio: ingressgateway}", ""),
        );
        silent(
            "A10",
            &plugin(
                "{mode: SERVER}, {mode: CLIENT}",
                "{istio: ingressgateway}",
                "",
            ),
        );
        silent(
            "A10",
            &plugin("{ports: [{number: 80}]}", "{istio: ingressgateway}", ""),
        );
        silent("A10", &plugin("", "{istio: ingressgateway}", ""));
        silent("A10", &plugin("{mode: SERVER}", "{app: web}", GATEWAY));
        silent("A10", &plugin("{mode: SERVER}", "{app: edge}", DEPLOYMENT));
    }
}
