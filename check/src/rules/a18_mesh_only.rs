//! A18: settings of the mesh for a host that a gateway routes to.

use std::collections::HashMap;

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{Host, HttpRoute, Place, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A18",
    name: "mesh-settings-skip-gateway",
    level: Level::Warning,
    title: "What a VirtualService says for the mesh does not hold for requests through a gateway",
    since: None,
    until: None,
    why: texts!("A18", "why.md"),
    wrong: texts!("A18", "wrong.yaml"),
    right: texts!("A18", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let mut through_gateway: HashMap<Host, Vec<(&RouteTable, &HttpRoute)>> = HashMap::new();
    for table in mesh.virtual_services() {
        if table.real_gateways().next().is_none() {
            continue;
        }
        for route in table.http.iter().filter(|it| !it.answers) {
            for destination in route.active_destinations() {
                let host = mesh.host(&destination.host, &table.meta);
                through_gateway
                    .entry(host)
                    .or_default()
                    .push((table, route));
            }
        }
    }
    for table in mesh.virtual_services() {
        if !table.in_mesh() || table.real_gateways().next().is_some() {
            continue;
        }
        for name in &table.hosts {
            let routes = through_gateway.get(&mesh.host(name, &table.meta));
            let lost = routes.into_iter().flatten().find_map(|(gateway, route)| {
                let lost = lost(table, route);
                let same = gateway.meta.is_same_object(&table.meta);
                (!lost.is_empty() && !same).then_some((gateway, route, lost))
            });
            if let Some((gateway, route, lost)) = lost {
                report(table, gateway, route, &lost, findings);
            }
        }
    }
}

type Lost = (&'static str, Place);

/// What the mesh's routes say and the gateway's route does not.
fn lost(table: &RouteTable, gateway: &HttpRoute) -> Vec<Lost> {
    let own = settings(gateway);
    let chosen = gateway.destinations.iter().any(|it| it.subset.is_some());
    let mut lost: Vec<Lost> = Vec::new();
    for (name, place) in table.http.iter().flat_map(settings) {
        let said = own.iter().any(|(other, _)| *other == name) || (name == "weights" && chosen);
        if !said && !lost.iter().any(|(other, _)| *other == name) {
            lost.push((name, place));
        }
    }
    lost
}

fn settings(route: &HttpRoute) -> Vec<Lost> {
    let fault = route.fault.delay.as_ref().map(|it| it.place);
    let fault = fault.or(route.fault.abort.as_ref().map(|it| it.place));
    let active = route.active_destinations();
    let weights = (active.len() > 1).then(|| active.first().map(|it| it.place));
    let found = [
        ("timeout", route.timeout.as_ref().map(|it| it.place)),
        ("retries", route.retries.as_ref().map(|it| it.place)),
        ("fault", fault),
        ("weights", weights.flatten()),
    ];
    let said = found.into_iter().filter(|_| !route.answers);
    said.filter_map(|(name, place)| Some((name, place?)))
        .collect()
}

fn report(
    table: &RouteTable,
    gateway: &RouteTable,
    route: &HttpRoute,
    lost: &[Lost],
    findings: &mut Findings<'_>,
) {
    let Some((_, place)) = lost.first() else {
        return;
    };
    let names: Vec<&str> = lost.iter().map(|(name, _)| *name).collect();
    let names = names.join(", ");
    let host = route.destinations.first().map_or("", |it| it.host.as_str());
    finding(format!(
        "Requests for {host} through the gateway get none of this {names}: a gateway uses only VirtualServices that name it"
    ))
    .at(&table.meta, *place, "only from inside the mesh")
    .at(&gateway.meta, route.place, "the gateway's own route, without it")
    .fix(
        findings,
        format!("Repeat {names} in the gateway's route, or bind one VirtualService to both: gateways: [mesh, …]"),
    );
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn both(inside: &str, gateway: &str) -> String {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: inside, namespace: a}}\nspec: {{hosts: \
             [web], http: [{inside}]}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: edge, \
             namespace: a}}\nspec: {{hosts: [shop.example.com], gateways: [g], http: [{gateway}]}}\n"
        )
    }

    const ROUTE: &str = "route: [{destination: {host: web}}]";

    #[test]
    fn lost_at_the_gateway() {
        let gateway = format!("{{{ROUTE}}}");
        for more in [
            "timeout: 1s",
            "retries: {attempts: 3}",
            "fault: {abort: {httpStatus: 503, percentage: {value: 1}}}",
        ] {
            fires("A18", &both(&format!("{{{more}, {ROUTE}}}"), &gateway));
        }
        let weights = "{route: [{destination: {host: web, subset: a}, weight: 9}, {destination: {host: web, subset: b}, weight: 1}]}";
        fires("A18", &both(weights, &gateway));
        fires(
            "A18",
            &both(
                &format!("{{timeout: 1s, {ROUTE}}}"),
                &gateway.replace("host: web", "host: web.a.svc.cluster.local"),
            ),
        );
    }

    #[test]
    fn said_there_too() {
        let inside = format!("{{timeout: 1s, {ROUTE}}}");
        silent("A18", &both(&inside, &format!("{{timeout: 2s, {ROUTE}}}")));
        silent(
            "A18",
            &both(
                &inside,
                &format!("{{{ROUTE}}}").replace("host: web", "host: api"),
            ),
        );
        silent(
            "A18",
            &both(&format!("{{{ROUTE}}}"), &format!("{{{ROUTE}}}")),
        );
        silent(
            "A18",
            &both(&inside, &format!("{{{ROUTE}}}"))
                .replace("hosts: [web]", "hosts: [web], gateways: [mesh, g]"),
        );
        silent(
            "A18",
            &both(&inside, &format!("{{{ROUTE}}}")).replace("gateways: [g], ", ""),
        );
        silent("A18", &both(&inside, "{redirect: {uri: /x}}"));
    }
}
