//! A19: resources that the proxies in question do not see.

mod clients;
mod destinations;

use std::collections::HashMap;

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, RouteTable};
use clients::Pods;

pub(super) const RULE: Rule = Rule {
    id: "A19",
    name: "not-exported",
    level: Level::Error,
    title: "A resource that is not exported to the proxies' namespace does not exist for them",
    since: None,
    until: None,
    why: texts!("A19", "why.md"),
    wrong: texts!("A19", "wrong.yaml"),
    right: texts!("A19", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let mut pods = Pods::default();
    let name = |it: &'_ RouteTable| (it.meta.namespace.clone(), it.meta.name.value.clone());
    let leaves = mesh.virtual_services().filter(|it| it.hosts.is_empty());
    let leaves: HashMap<_, _> = leaves.map(|it| (name(it), it)).collect();
    for table in mesh.virtual_services().filter(|it| !it.hosts.is_empty()) {
        for name in table.real_gateways() {
            check_gateway(mesh, table, name, &mut pods, findings);
        }
        check_delegates(mesh, table, &leaves, findings);
    }
    destinations::check(mesh, &mut pods, findings);
}

/// A VirtualService that its gateway does not see.
fn check_gateway<'a>(
    mesh: &Mesh<'a>,
    table: &RouteTable,
    name: &At<String>,
    pods: &mut Pods<'a>,
    findings: &mut Findings<'_>,
) {
    // `~` hides it from everybody, which is meant.
    let Some(export_to) = table
        .export_to
        .as_ref()
        .filter(|it| !it.iter().any(|it| it.value == "~"))
    else {
        return;
    };
    let Some(clients) = pods.of_gateway(mesh, table, name) else {
        if !export_to.iter().any(|it| it.value == "*") {
            findings.undecided(format!(
                "the namespace of gateway {}'s pods is not known",
                name.value
            ));
        }
        return;
    };
    if clients
        .namespaces
        .iter()
        .any(|it| mesh.sees_table(it, table))
    {
        return;
    }
    let (gateway, namespace) = (&name.value, clients.named());
    let seen = shown(export_to);
    finding(format!(
        "Gateway {gateway} has no route of this VirtualService: its pods are in {namespace}, and exportTo is {seen}"
    ))
    .level(clients.level)
    .at(&table.meta, export_to.place, format!("hidden from {namespace}"))
    .at(clients.meta, clients.place, format!("in {namespace}"))
    .fix(findings, format!("exportTo: [\".\", {namespace}], or none"));
}

/// Delegates by namespace and name.
type Leaves<'a> = HashMap<(String, String), &'a RouteTable>;

/// A delegate that its root's namespace does not see.
fn check_delegates(
    mesh: &Mesh<'_>,
    root: &RouteTable,
    leaves: &Leaves<'_>,
    findings: &mut Findings<'_>,
) {
    for delegate in root.http.iter().filter_map(|it| it.delegate.as_ref()) {
        let own = &root.meta.namespace;
        let namespace = delegate.namespace.as_ref().unwrap_or(own);
        let leaf = leaves.get(&(namespace.clone(), delegate.name.clone()));
        let Some((leaf, export_to)) = leaf.and_then(|it| Some((it, it.export_to.as_ref()?))) else {
            continue;
        };
        if mesh.sees_table(own, leaf) {
            continue;
        }
        let name = &leaf.meta.name.value;
        finding(format!(
            "The route is dropped: it delegates to {name} in {namespace}, whose exportTo {} hides it from {own}",
            shown(export_to)
        ))
        .at(&leaf.meta, export_to.place, format!("hidden from {own}"))
        .at(&root.meta, delegate.place, "delegates to it")
        .fix(findings, format!("exportTo: [\".\", {own}], or none"));
    }
}

/// A list as it is written in one line.
fn shown(export_to: &[At<String>]) -> String {
    let names: Vec<&str> = export_to.iter().map(|it| it.as_str()).collect();
    format!("[{}]", names.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    const GATEWAY: &str = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: edge}\nspec: {selector: \
                           {istio: gw}, servers: []}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: gw, namespace: edge}\n\
                           spec: {selector: {istio: gw}, ports: [{port: 80}]}\n---\n";

    fn with(export_to: &str, gateway: &str) -> String {
        format!(
            "{GATEWAY}apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: v, namespace: shop}}\nspec: \
             {{hosts: [x.com], gateways: [{gateway}], exportTo: [{export_to}], http: [{{route: [{{destination: {{host: \
             a}}}}]}}]}}\n"
        )
    }

    #[test]
    fn hidden_from_the_gateway() {
        fires("A19", &with("'.'", "edge/g"));
        fires("A19", &with("shop, other", "edge/g"));
        fires("A19", &with("'.'", "edge/g, mesh"));
        // The pods are in another namespace than the Gateway.
        let own = GATEWAY.replacen("namespace: edge", "namespace: shop", 1);
        fires("A19", &with("'.'", "g").replace(GATEWAY, &own));
        // Without pods the Gateway's namespace is taken for theirs.
        let bare = GATEWAY.split("---\n").next().unwrap_or_default().to_owned() + "---\n";
        fires("A19", &with("'.'", "edge/g").replace(GATEWAY, &bare));
    }

    #[test]
    fn seen_by_the_gateway() {
        for export_to in ["'*'", "'.', edge", "edge", "", "'~'"] {
            silent("A19", &with(export_to, "edge/g"));
        }
        silent("A19", &with("'.'", "mesh"));
        silent(
            "A19",
            &with("'.'", "edge/g").replace("namespace: shop", "namespace: edge"),
        );
        silent(
            "A19",
            &with("'.'", "edge/unknown").replace("edge/unknown", "unknown"),
        );
    }

    #[test]
    fn a_hidden_delegate() {
        let vs = |name: &str, namespace: &str, spec: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
                 spec: {{{spec}}}\n---\n"
            )
        };
        let root = vs(
            "root",
            "a",
            "hosts: [x.com], gateways: [g], http: [{delegate: {name: leaf, namespace: b}}]",
        );
        let leaf = |export_to: &str| {
            vs(
                "leaf",
                "b",
                &format!(
                    "exportTo: [{export_to}], http: [{{route: [{{destination: {{host: w}}}}]}}]"
                ),
            )
        };
        fires("A19", &(root.clone() + &leaf("'.'")));
        silent("A19", &(root.clone() + &leaf("a")));
        silent("A19", &(root + &leaf("'*'")));
    }
}
