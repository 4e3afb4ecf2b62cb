//! A6: a VirtualService for one host hides all routes of a wildcard's.

use super::a07_hidden_route::matches;
use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::{HostRoutes, Mesh};
use crate::model::{Place, covers};

pub(super) const RULE: Rule = Rule {
    id: "A6",
    name: "host-hides-wildcard",
    level: Level::Warning,
    title: "Requests for a host never fall back to the routes of a wildcard that covers it",
    since: None,
    until: None,
    why: texts!("A6", "why.md"),
    wrong: texts!("A6", "wrong.yaml"),
    right: texts!("A6", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for (gateway, hosts) in mesh.routes_by_gateway() {
        if gateway == "mesh" {
            continue;
        }
        for wide in hosts.iter().filter(|it| it.host.is_wildcard()) {
            for narrow in &hosts {
                let hidden = narrow.host != wide.host && wide.host.covers(&narrow.host);
                if hidden && served_together(mesh, &gateway, narrow, wide) {
                    check_pair(narrow, wide, findings);
                }
            }
        }
    }
}

/// True where one server of the gateway takes both hosts.
fn served_together(
    mesh: &Mesh<'_>,
    gateway: &str,
    narrow: &HostRoutes<'_>,
    wide: &HostRoutes<'_>,
) -> bool {
    let Some(gateway) = mesh.gateway_of_name(gateway) else {
        return true;
    };
    gateway.servers.iter().any(|server| {
        let takes = |host: &str| {
            server
                .names()
                .any(|it| covers(it, host) || covers(host, it))
        };
        takes(narrow.host.as_str()) && takes(wide.host.as_str())
    })
}

fn check_pair(narrow: &HostRoutes<'_>, wide: &HostRoutes<'_>, findings: &mut Findings<'_>) {
    // The most specific wildcard is what a request would be expected to fall back to.
    let routes = |of: &HostRoutes<'_>| -> Vec<_> {
        let tables = of.tables.iter();
        tables.flat_map(|it| it.table.http.clone()).collect()
    };
    let own: Vec<_> = routes(narrow).iter().flat_map(matches).collect();
    if own.is_empty() || own.iter().any(|it| it.is_catch_all()) {
        return;
    }
    let lost = routes(wide).into_iter().find_map(|route| {
        let lost = matches(&route)
            .into_iter()
            .find(|it| !own.iter().any(|own| crate::mesh::covers(own, it)))?;
        (!route.answers).then_some(lost.place)
    });
    let (Some(lost), Some(first), Some(hidden)) =
        (lost, narrow.tables.first(), wide.tables.first())
    else {
        return;
    };
    if first.table.meta.is_same_object(&hidden.table.meta) {
        return;
    }
    let owner = wide
        .tables
        .iter()
        .find(|it| contains(it.table.meta.place, lost))
        .unwrap_or(hidden);
    let (host, wildcard) = (&narrow.host, &wide.host);
    finding(format!(
        "A request for {host} that matches no route here gets 404: it never falls back to the routes of {wildcard}"
    ))
    .at(&first.table.meta, first.host.place, format!("takes every request for {host}"))
    .at(&owner.table.meta, lost, format!("is never tried for {host}"))
    .fix(findings, format!("Repeat the route of {wildcard} at the end of this VirtualService"));
}

/// True where the place is in the document that starts there, as far as can be told: the same file, behind it.
fn contains(document: Place, place: Place) -> bool {
    document.file == place.file && document.span.line <= place.span.line
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn both(narrow: &str, wide: &str) -> String {
        let one = |name: &str, rest: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: a}}\nspec: \
                 {{{rest}}}\n---\n"
            )
        };
        one("narrow", narrow) + &one("wide", wide)
    }

    const NARROW: &str = "hosts: [shop.example.com], gateways: [g], http: [{match: [{uri: {prefix: /api}}], route: \
                          [{destination: {host: a}}]}]";
    const WIDE: &str =
        "hosts: ['*.example.com'], gateways: [g], http: [{route: [{destination: {host: b}}]}]";

    #[test]
    fn no_fallback() {
        fires("A6", &both(NARROW, WIDE));
        fires("A6", &both(NARROW, &WIDE.replace("'*.example.com'", "'*'")));
        fires("A6", &both(NARROW, &WIDE.replace("[g]", "[other/h, a/g]")));
    }

    #[test]
    fn nothing_hidden() {
        let catch_all = NARROW.replace("match: [{uri: {prefix: /api}}], ", "");
        silent("A6", &both(&catch_all, WIDE));
        silent("A6", &both(NARROW, &WIDE.replace("[g]", "[h]")));
        silent("A6", &both(NARROW, &WIDE.replace("[g]", "[b/g]")));
        silent(
            "A6",
            &both(NARROW, &WIDE.replace("example.com", "example.org")),
        );
        silent(
            "A6",
            &both(
                NARROW,
                &WIDE.replace("{route", "{match: [{uri: {prefix: /api/v1}}], route"),
            ),
        );
        silent(
            "A6",
            &both(
                NARROW,
                &WIDE.replace(
                    "route: [{destination: {host: b}}]",
                    "directResponse: {status: 404}",
                ),
            ),
        );
        let gateway = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: g, namespace: a}\nspec: {servers: \
                       [{port: {number: 80, protocol: HTTP}, hosts: [shop.example.com]}, {port: {number: 81, protocol: \
                       HTTP}, hosts: ['*.example.org']}]}\n";
        let elsewhere = gateway.replace("*.example.org", "x.example.com");
        silent(
            "A6",
            &(both(NARROW, &WIDE.replace("'*.example.com'", "'*.org'")) + gateway),
        );
        fires("A6", &(both(NARROW, WIDE) + &elsewhere));
    }
}
