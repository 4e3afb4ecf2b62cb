//! A8: overlapping routes of several VirtualServices for one host of a gateway.

use std::collections::HashSet;

use super::a07_hidden_route::{matches, same_action, taken};
use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::{Covering, HostRoutes, Mesh};
use crate::model::{At, HttpMatch, HttpRoute, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A8",
    name: "order-by-age",
    level: Level::Warning,
    title: "Which of two overlapping routes is taken depends on the age of their VirtualServices",
    since: None,
    until: None,
    why: texts!("A8", "why.md"),
    wrong: texts!("A8", "wrong.yaml"),
    right: texts!("A8", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let mut told = HashSet::new();
    for (gateway, hosts) in mesh.routes_by_gateway() {
        // In the mesh only one VirtualService holds for a host.
        if gateway == "mesh" {
            continue;
        }
        for host in hosts.iter().filter(|it| it.tables.len() > 1) {
            check_host(host, &mut told, findings);
        }
    }
}

struct Owned<'a> {
    table: &'a RouteTable,
    route: &'a HttpRoute,
    condition: At<HttpMatch>,
}

type Pair = (crate::model::Place, crate::model::Place);

fn check_host(host: &HostRoutes<'_>, told: &mut HashSet<Pair>, findings: &mut Findings<'_>) {
    let routes = host.tables.iter().flat_map(|it| {
        let routes = it.table.http.iter();
        routes.map(move |route| (it.table, route))
    });
    let all: Vec<Owned<'_>> = routes
        .flat_map(|(table, route)| {
            let conditions = matches(route).into_iter();
            conditions.map(move |condition| Owned {
                table,
                route,
                condition,
            })
        })
        .collect();
    let mut index = Covering::default();
    for owned in &all {
        index.add(&owned.condition);
    }
    for narrow in &all {
        let wide = index.first(&narrow.condition, |number| {
            all.get(number).is_some_and(|wide| conflicts(wide, narrow))
        });
        let Some(wide) = wide.and_then(|it| all.get(it)) else {
            continue;
        };
        let mut pair = [wide.table.meta.place, narrow.table.meta.place];
        pair.sort_unstable();
        let [one, other] = pair;
        if !told.insert((one, other)) {
            continue;
        }
        report(host, wide, narrow, findings);
    }
}

fn conflicts(wide: &Owned<'_>, narrow: &Owned<'_>) -> bool {
    // istiod moves what takes everything to the end.
    let last = wide.condition.is_catch_all() && !narrow.condition.is_catch_all();
    let older = wide.table.meta.comes_before(&narrow.table.meta);
    !wide.table.meta.is_same_object(&narrow.table.meta)
        && !last
        && older != Some(false)
        && !same_action(wide.route, narrow.route)
}

fn report(
    host: &HostRoutes<'_>,
    wide: &Owned<'_>,
    narrow: &Owned<'_>,
    findings: &mut Findings<'_>,
) {
    let host = &host.host;
    let taken = taken(&wide.condition);
    let (one, other) = (&wide.table.meta.name.value, &narrow.table.meta.name.value);
    let message = match wide.table.meta.comes_before(&narrow.table.meta) {
        Some(_) => format!(
            "This route is never reached: {one} is the older VirtualService for {host}, and takes {taken}"
        ),
        None => format!(
            "Which VirtualService for {host} is asked first depends on their age: if {one} is the older one, it takes \
             {taken}, and this route of {other} is never reached"
        ),
    };
    finding(message)
        .at(
            &narrow.table.meta,
            narrow.condition.place,
            "only reached if this one is older",
        )
        .at(&wide.table.meta, wide.condition.place, "covers it")
        .fix(
            findings,
            "Put both routes into one VirtualService, the narrower one first; or delegate from one",
        );
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn both(first: &str, second: &str) -> String {
        let one = |name: &str, created: &str, matches: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}{created}}}\nspec: {{hosts: \
                 [shop.example.com], gateways: [g], http: [{{{matches}route: [{{destination: {{host: {name}}}}}]}}]}}\n---\n"
            )
        };
        let split = |text: &str| -> (String, String) {
            match text.split_once('@') {
                Some((matches, at)) => (
                    matches.to_owned(),
                    format!(", creationTimestamp: '2026-01-0{at}T00:00:00Z'"),
                ),
                None => (text.to_owned(), String::new()),
            }
        };
        let ((one_match, one_at), (other_match, other_at)) = (split(first), split(second));
        one("a", &one_at, &one_match) + &one("b", &other_at, &other_match)
    }

    const WIDE: &str = "match: [{uri: {prefix: /api}}], ";
    const NARROW: &str = "match: [{uri: {prefix: /api/v2}}], ";

    #[test]
    fn overlapping() {
        fires("A8", &both(WIDE, NARROW));
        fires("A8", &both(NARROW, WIDE));
        fires("A8", &both(WIDE, WIDE));
        fires("A8", &both("", ""));
        fires("A8", &both(&format!("{WIDE}@1"), &format!("{NARROW}@2")));
        fires(
            "A8",
            &both(
                "match: [{uri: {prefix: /}, method: {exact: GET}}], ",
                "match: [{uri: {prefix: /a}, method: {exact: GET}}], ",
            ),
        );
    }

    #[test]
    fn in_any_order() {
        silent("A8", &both("", NARROW));
        silent("A8", &both(WIDE, "match: [{uri: {prefix: /web}}], "));
        silent("A8", &both(&format!("{WIDE}@2"), &format!("{NARROW}@1")));
        silent("A8", &both(WIDE, NARROW).replace("{name: b}", "{name: a}"));
        silent("A8", &both(WIDE, NARROW).replacen("[g]", "[h]", 1));
        silent("A8", &both(WIDE, NARROW).replacen("shop.", "web.", 1));
        silent("A8", &both(WIDE, NARROW).replace("[g]", "[mesh]"));
    }
}
