//! A23: conditions on the client that leave other clients out, or that never hold.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, HttpMatch, HttpRoute, Labels, Place, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A23",
    name: "source-conditions",
    level: Level::Error,
    title: "A condition on the client decides whose proxy has the route at all, and other proxies do without it",
    since: None,
    until: None,
    why: texts!("A23", "why.md"),
    wrong: texts!("A23", "wrong.yaml"),
    right: texts!("A23", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    // A delegate's conditions are compared with its root's: rule A24.
    for table in mesh.virtual_services().filter(|it| !it.hosts.is_empty()) {
        let mut said = false;
        for one in table.http.iter().flat_map(|it| &it.matches) {
            said |= unknown_gateway(mesh, table, one, findings)
                || labels_beside_gateways(mesh, table, one, findings)
                || labels_at_gateway(mesh, table, one, findings);
        }
        if !said {
            others_without_routes(mesh, table, findings);
        }
    }
}

/// True with a finding: the match names only gateways that the VirtualService is not bound to.
fn unknown_gateway(
    mesh: &Mesh<'_>,
    table: &RouteTable,
    one: &At<HttpMatch>,
    findings: &mut Findings<'_>,
) -> bool {
    let bound = mesh.gateway_names(table);
    let known = |it: &At<String>| bound.contains(&mesh.gateway_name(it, &table.meta));
    let Some(first) = one.gateways.first() else {
        return false;
    };
    if one.gateways.iter().any(known) {
        return false;
    }
    let name = &first.value;
    let (place, label) = match table.gateways.first() {
        Some(gateway) => (gateway.place, format!("bound to {}", bound.join(", "))),
        None => (
            table.meta.name.place,
            "bound to the mesh alone: no gateways".to_owned(),
        ),
    };
    finding(format!(
        "This match never holds: gateway {name} is not among the VirtualService's gateways"
    ))
    .at(&table.meta, first.place, "no proxy has the route")
    .at(&table.meta, place, label)
    .fix(
        findings,
        format!("{name} in spec.gateways, or one of those here"),
    );
    true
}

/// True with a finding: labels beside gateways are not looked at.
fn labels_beside_gateways(
    mesh: &Mesh<'_>,
    table: &RouteTable,
    one: &At<HttpMatch>,
    findings: &mut Findings<'_>,
) -> bool {
    let Some(gateway) = one.gateways.first() else {
        return false;
    };
    let Some((field, place, value)) = source(one) else {
        return false;
    };
    let names: Vec<_> = one
        .gateways
        .iter()
        .map(|it| mesh.gateway_name(it, &table.meta))
        .collect();
    finding(format!(
        "{field} {value} is ignored: beside match.gateways only the gateway is looked at, and every proxy of {} has the route",
        names.join(", ")
    ))
    .at(&table.meta, place, "ignored")
    .at(&table.meta, gateway.place, "decides alone")
    .fix(findings, format!("Two VirtualServices: one of the mesh with {field}, one of the gateway"));
    true
}

/// True with a finding: a gateway's own labels are compared, not those of whoever sends the request.
fn labels_at_gateway(
    mesh: &Mesh<'_>,
    table: &RouteTable,
    one: &At<HttpMatch>,
    findings: &mut Findings<'_>,
) -> bool {
    let Some(first) = table.gateways.first() else {
        return false;
    };
    let Some(labels) = one.source_labels.as_ref().filter(|it| !it.is_empty()) else {
        return false;
    };
    if table.in_mesh() || !one.gateways.is_empty() || may_have(mesh, table, labels) {
        return false;
    }
    let gateway = &first.value;
    finding(format!(
        "No request through {gateway} takes this route: sourceLabels are compared with the labels of the gateway's own pods, \
         not of the client, and those have no {}",
        labels.value
    ))
    .at(&table.meta, labels.place, "labels of the proxy that has the route")
    .at(&table.meta, first.place, "the proxies are this gateway's")
    .fix(findings, "A condition on the request, as on a header; a gateway does not know its client's labels");
    true
}

/// True where pods of one of the gateways have these labels, or where it is not known.
fn may_have(mesh: &Mesh<'_>, table: &RouteTable, labels: &Labels) -> bool {
    // A label that only installations of gateways have.
    if labels.0.contains_key("istio") {
        return true;
    }
    table.gateways.iter().any(|name| {
        let Some(gateway) = mesh.gateway(name, &table.meta) else {
            return false;
        };
        let mut pods = mesh.selected_anywhere(&gateway.selector);
        let own = &gateway.selector;
        labels.select(own) || pods.any(|it| labels.select(&it.labels))
    })
}

/// Every route has a condition on the client: others get the host as without a VirtualService.
fn others_without_routes(mesh: &Mesh<'_>, table: &RouteTable, findings: &mut Findings<'_>) {
    if !table.in_mesh() || table.http.is_empty() {
        return;
    }
    let conditional = |route: &HttpRoute| {
        !route.matches.is_empty()
            && route
                .matches
                .iter()
                .all(|it| it.gateways.is_empty() && source(it).is_some())
    };
    if !table.http.iter().all(conditional) {
        return;
    }
    let Some((route, (field, place, value))) = table
        .http
        .iter()
        .find_map(|route| Some((route, route.matches.iter().find_map(|it| source(it))?)))
    else {
        return;
    };
    let Some(host) = table.hosts.first() else {
        return;
    };
    // Where the routes lead to the host as it is, others get the same destination.
    let level = match table.http.iter().all(|it| leads_to(mesh, table, it)) {
        true => Level::Info,
        false => Level::Warning,
    };
    let names = &host.value;
    finding(format!(
        "Clients without {field} {value} do not get 404: their proxies have no route of this VirtualService, and all of {names} \
         is reached as without it"
    ))
    .level(level)
    .at(&table.meta, place, "every route has such a condition")
    .at(&table.meta, host.place, format!("others reach {names} by the default route"))
    .fix(
        findings,
        if route.destinations.is_empty() {
            "A last route without a condition on the client"
        } else {
            "A last route without a condition on the client; an AuthorizationPolicy, if others are to be refused"
        },
    );
}

/// True where a route has the host itself as its only destination, without a subset.
fn leads_to(mesh: &Mesh<'_>, table: &RouteTable, route: &HttpRoute) -> bool {
    let hosts: Vec<_> = table
        .hosts
        .iter()
        .map(|it| mesh.host(it, &table.meta))
        .collect();
    let plain = |it: &crate::model::Destination| {
        it.subset.is_none() && hosts.contains(&mesh.host(&it.host, &table.meta))
    };
    !route.answers && route.rewrite.is_none() && route.destinations.iter().all(plain)
}

/// The condition on the client: its field, its place and its value.
fn source(one: &HttpMatch) -> Option<(&'static str, Place, String)> {
    let labels = one.source_labels.as_ref().filter(|it| !it.is_empty());
    let labels = labels.map(|it| ("sourceLabels", it.place, it.value.to_string()));
    let namespace = one.source_namespace.as_ref().filter(|it| !it.is_empty());
    labels.or_else(|| namespace.map(|it| ("sourceNamespace", it.place, it.value.clone())))
}

#[cfg(test)]
mod tests {
    use crate::finding::Level;
    use crate::rules::testing::{findings, fires, silent, virtual_service};

    const TO_V2: &str = "route: [{destination: {host: reviews, subset: v2}}]";

    fn at_gateway(matches: &str) -> String {
        virtual_service(&format!(
            "gateways: [edge]\n  http: [{{match: [{matches}], {TO_V2}}}]"
        ))
    }

    const GATEWAY: &str = "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: edge, namespace: shop}\nspec: \
                           {selector: {app: edge}, servers: []}\n";

    #[test]
    fn every_route_is_for_some_clients() {
        for source in ["sourceLabels: {app: a}", "sourceNamespace: a"] {
            fires(
                "A23",
                &virtual_service(&format!("http: [{{match: [{{{source}}}], {TO_V2}}}]")),
            );
        }
        let one = "sourceLabels: {app: a}";
        silent(
            "A23",
            &virtual_service(&format!(
                "http: [{{match: [{{{one}}}], {TO_V2}}}, {{{TO_V2}}}]"
            )),
        );
        silent(
            "A23",
            &virtual_service(&format!(
                "http: [{{match: [{{{one}}}, {{uri: {{prefix: /}}}}], {TO_V2}}}]"
            )),
        );
    }

    #[test]
    fn the_host_as_it_is_for_others() {
        let text = virtual_service(
            "http: [{match: [{sourceLabels: {app: a}}], timeout: 1s, route: [{destination: {host: reviews}}]}]",
        );
        silent("A23", &text);
        let found = findings(&text);
        assert!(
            found
                .iter()
                .any(|it| it.rule == "A23" && it.level == Level::Info),
            "{found:?}"
        );
    }

    #[test]
    fn a_gateway_that_it_is_not_bound_to() {
        fires("A23", &at_gateway("{gateways: [mesh]}"));
        fires("A23", &at_gateway("{gateways: [edge2], uri: {prefix: /a}}"));
        fires(
            "A23",
            &virtual_service(&format!(
                "http: [{{match: [{{gateways: [edge]}}], {TO_V2}}}, {{{TO_V2}}}]"
            )),
        );
        for name in ["edge", "shop/edge", "edge, other", "./edge"] {
            silent("A23", &at_gateway(&format!("{{gateways: [{name}]}}")));
        }
        silent(
            "A23",
            &virtual_service(&format!(
                "http: [{{match: [{{gateways: [mesh]}}], {TO_V2}}}]"
            )),
        );
    }

    #[test]
    fn labels_beside_gateways_are_ignored() {
        fires(
            "A23",
            &virtual_service(&format!(
                "http: [{{match: [{{gateways: [mesh], sourceLabels: {{app: a}}}}], {TO_V2}}}, {{{TO_V2}}}]"
            )),
        );
    }

    #[test]
    fn labels_of_the_gateway_itself() {
        fires("A23", &at_gateway("{sourceLabels: {app: productpage}}"));
        fires(
            "A23",
            &(at_gateway("{sourceLabels: {app: productpage}}") + GATEWAY),
        );
        silent(
            "A23",
            &(at_gateway("{sourceLabels: {app: edge}}") + GATEWAY),
        );
        silent(
            "A23",
            &at_gateway("{sourceLabels: {istio: ingressgateway}}"),
        );
        let both = at_gateway("{sourceLabels: {app: a}}").replace("[edge]", "[edge, mesh]");
        silent("A23", &both.replace("}]\n", &format!("}}, {{{TO_V2}}}]\n")));
    }
}
