//! A6: a VirtualService for one host hides all routes of a wildcard's.

use super::a07_hidden_route::matches;
use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::{HostRoutes, Mesh};
use crate::model::{At, HttpMatch, HttpRoute, RouteTable, covers};

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
        if gateway == "mesh" || !hosts.iter().any(|it| it.host.is_wildcard()) {
            continue;
        }
        let hosts: Vec<_> = hosts.iter().map(Expanded::of).collect();
        for wide in hosts.iter().filter(|it| it.routes.host.is_wildcard()) {
            for narrow in hosts.iter().filter(|it| it.has_gaps()) {
                let (one, other) = (&narrow.routes.host, &wide.routes.host);
                let hidden = one != other && other.covers(one);
                if hidden && served_together(mesh, &gateway, narrow.routes, wide.routes) {
                    check_pair(narrow, wide, findings);
                }
            }
        }
    }
}

/// The matches for a host.
struct Expanded<'a> {
    routes: &'a HostRoutes<'a>,
    matches: Vec<Owned<'a>>,
}

struct Owned<'a> {
    table: &'a RouteTable,
    route: &'a HttpRoute,
    condition: At<HttpMatch>,
}

impl<'a> Expanded<'a> {
    fn of(routes: &'a HostRoutes<'a>) -> Self {
        let tables = routes.tables.iter();
        let all = tables.flat_map(|it| it.table.http.iter().map(move |route| (it.table, route)));
        let owned = |(table, route): (&'a RouteTable, &'a HttpRoute)| {
            let conditions = matches(route).into_iter();
            conditions.map(move |condition| Owned {
                table,
                route,
                condition,
            })
        };
        Self {
            routes,
            matches: all.flat_map(owned).collect(),
        }
    }

    /// True where some request is taken by none.
    fn has_gaps(&self) -> bool {
        !self.matches.is_empty() && !self.matches.iter().any(|it| it.condition.is_catch_all())
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

fn check_pair(narrow: &Expanded<'_>, wide: &Expanded<'_>, findings: &mut Findings<'_>) {
    let taken = |lost: &Owned<'_>| {
        let mut own = narrow.matches.iter();
        own.any(|it| crate::mesh::covers(&it.condition, &lost.condition))
    };
    let mut lost = wide.matches.iter().filter(|it| !it.route.answers);
    let (Some(lost), Some(first)) = (lost.find(|it| !taken(it)), narrow.routes.tables.first())
    else {
        return;
    };
    if first.table.meta.is_same_object(&lost.table.meta) {
        return;
    }
    let (host, wildcard) = (&narrow.routes.host, &wide.routes.host);
    finding(format!(
        "A request for {host} that matches no route here gets 404: it never falls back to the routes of {wildcard}"
    ))
    .at(&first.table.meta, first.host.place, format!("takes every request for {host}"))
    .at(&lost.table.meta, lost.condition.place, format!("is never tried for {host}"))
    .fix(findings, format!("Repeat the route of {wildcard} at the end of this VirtualService"));
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
