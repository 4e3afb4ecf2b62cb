//! A7: a route behind one that takes all of its requests.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::{Covering, Mesh};
use crate::model::{At, HttpMatch, HttpRoute, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A7",
    name: "route-never-reached",
    level: Level::Error,
    title: "An earlier route takes every request of a later one",
    since: None,
    until: None,
    why: texts!("A7", "why.md"),
    wrong: texts!("A7", "wrong.yaml"),
    right: texts!("A7", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    // The Gateway API orders routes by how specific they are.
    for table in mesh.virtual_services() {
        check_table(table, findings);
    }
}

/// The matches of a route; one without any takes everything.
pub(super) fn matches(route: &HttpRoute) -> Vec<At<HttpMatch>> {
    if route.matches.is_empty() {
        return vec![At {
            place: route.place,
            value: HttpMatch::default(),
        }];
    }
    route.matches.clone()
}

fn check_table(table: &RouteTable, findings: &mut Findings<'_>) {
    let expanded: Vec<_> = table.http.iter().map(matches).collect();
    let mut earlier = Covering::default();
    let mut owners: Vec<(&HttpRoute, &At<HttpMatch>)> = Vec::new();
    for (route, own) in table.http.iter().zip(&expanded) {
        let mut hidden = Vec::new();
        for narrow in own {
            let by = earlier
                .first(narrow, |_| true)
                .and_then(|it| owners.get(it).copied());
            if let Some((other, wide)) = by
                && !same_action(other, route)
            {
                hidden.push((narrow, wide));
            }
        }
        report(table, own, &hidden, findings);
        for condition in own {
            earlier.add(condition);
            owners.push((route, condition));
        }
    }
}

type Hidden<'a> = (&'a At<HttpMatch>, &'a At<HttpMatch>);

fn report(
    table: &RouteTable,
    own: &[At<HttpMatch>],
    hidden: &[Hidden<'_>],
    findings: &mut Findings<'_>,
) {
    let Some((narrow, wide)) = hidden.first() else {
        return;
    };
    let subject = match hidden.len() == own.len() {
        true => "This route is never reached".to_owned(),
        false if hidden.len() == 1 => "This match is never reached".to_owned(),
        false => format!(
            "{} of these {} matches are never reached",
            hidden.len(),
            own.len()
        ),
    };
    let fix = match narrow.is_catch_all() {
        true => "Take one of the two out, or give the first one a narrower match",
        false => "Move the narrower route in front of the wider one",
    };
    finding(format!(
        "{subject}: the route before it takes {}, and the first match wins",
        taken(&wide.value)
    ))
    .at(
        &table.meta,
        narrow.place,
        "every such request is gone by then",
    )
    .at(&table.meta, wide.place, "takes them")
    .fix(findings, fix);
}

/// What a match takes, in words.
pub(super) fn taken(condition: &HttpMatch) -> String {
    match &condition.uri {
        _ if condition.is_catch_all() => "every request".to_owned(),
        Some(uri) => format!("all of {}", uri.value),
        None => "all of these requests".to_owned(),
    }
}

/// True where it does not matter which of the two is taken.
pub(super) fn same_action(one: &HttpRoute, other: &HttpRoute) -> bool {
    let destinations = |route: &HttpRoute| -> Vec<_> {
        let all = route.destinations.iter();
        all.map(|it| {
            let subset = it.subset.as_ref().map(|it| it.value.clone());
            let port = it.port.map(|it| it.value);
            (
                it.host.value.clone(),
                subset,
                port,
                it.weight.map(|it| it.value),
            )
        })
        .collect()
    };
    !one.answers
        && !other.answers
        && destinations(one) == destinations(other)
        && one.delegate == other.delegate
        && one.rewrite == other.rewrite
        && one.timeout == other.timeout
        && one.retries == other.retries
        && one.fault == other.fault
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent, virtual_service};

    /// Two routes, the first to v1, the second to v2.
    fn routes(first: &str, second: &str) -> String {
        let one = |matches: &str, subset: &str| {
            let matches = match matches {
                "" => String::new(),
                some => format!("match: {some}\n    "),
            };
            format!("  - {matches}route: [{{destination: {{host: reviews, subset: {subset}}}}}]\n")
        };
        virtual_service(&format!("http:\n{}{}", one(first, "v1"), one(second, "v2")))
    }

    #[test]
    fn hidden() {
        for (first, second) in [
            ("", "[{headers: {x-canary: {exact: 'true'}}}]"),
            (
                "[{uri: {prefix: /}}]",
                "[{uri: {prefix: /}, headers: {x-canary: {exact: 'true'}}}]",
            ),
            ("[{uri: {prefix: /api}}]", "[{uri: {exact: /api/v1}}]"),
            (
                "[{uri: {prefix: /api}}]",
                "[{uri: {prefix: /api}, method: {exact: POST}}]",
            ),
            ("[{uri: {prefix: /foo}}]", "[{uri: {prefix: /foobar}}]"),
            ("[{uri: {regex: '/api/.*'}}]", "[{uri: {exact: /api/v1}}]"),
            (
                "[{uri: {prefix: /API}, ignoreUriCase: true}]",
                "[{uri: {prefix: /api/v1}}]",
            ),
            (
                "[{headers: {X: {regex: '.*'}}}]",
                "[{headers: {x: {exact: a}}, queryParams: {q: {exact: b}}}]",
            ),
            (
                "[{sourceLabels: {app: a}}]",
                "[{sourceLabels: {app: a, v: b}}]",
            ),
            ("[{port: 80}]", "[{port: 80, uri: {prefix: /a}}]"),
            (
                "[{uri: {prefix: /a}}, {uri: {prefix: /b}}]",
                "[{uri: {prefix: /b/c}}]",
            ),
            (
                "[{uri: {prefix: /a}}]",
                "[{uri: {prefix: /b}}, {uri: {prefix: /a/b}}]",
            ),
            (
                "[{withoutHeaders: {x: {}}}]",
                "[{withoutHeaders: {x: {}}, uri: {prefix: /a}}]",
            ),
            ("", ""),
        ] {
            fires("A7", &routes(first, second));
        }
    }

    #[test]
    fn reached() {
        for (first, second) in [
            ("[{headers: {x-canary: {exact: 'true'}}}]", ""),
            ("[{uri: {exact: /api/v1}}]", "[{uri: {prefix: /api}}]"),
            ("[{uri: {prefix: /api/}}]", "[{uri: {prefix: /api}}]"),
            (
                "[{uri: {prefix: /api}, method: {exact: GET}}]",
                "[{uri: {prefix: /api/v1}}]",
            ),
            (
                "[{uri: {prefix: /api}, headers: {a: {exact: b}}}]",
                "[{uri: {prefix: /api}, headers: {c: {exact: d}}}]",
            ),
            ("[{uri: {prefix: /api}}]", "[{uri: {prefix: /API}}]"),
            (
                "[{uri: {prefix: /api}}]",
                "[{uri: {prefix: /api}, ignoreUriCase: true}]",
            ),
            (
                "[{uri: {prefix: /api}, queryParams: {q: {exact: a}}}]",
                "[{uri: {prefix: /api}}]",
            ),
            ("[{port: 80}]", "[{uri: {prefix: /a}}]"),
            ("[{sourceLabels: {app: a}}]", "[{uri: {prefix: /a}}]"),
            ("[{gateways: [g]}]", "[{gateways: [mesh]}]"),
            (
                "[{gateways: [g], sourceLabels: {a: b}}]",
                "[{uri: {prefix: /}}]",
            ),
            ("[{uri: {regex: '/api/[0-9]+'}}]", "[{uri: {prefix: /api}}]"),
            (
                "[{uri: {prefix: /a}, withoutHeaders: {x: {exact: b}}}]",
                "[{uri: {prefix: /a}}]",
            ),
            ("[{authority: {exact: a.b}}]", "[{uri: {prefix: /a}}]"),
            ("[{scheme: {exact: https}}]", "[{scheme: {exact: http}}]"),
        ] {
            silent("A7", &routes(first, second));
        }
    }

    #[test]
    fn a_route_that_does_the_same_is_no_loss() {
        let one = "- match: [{uri: {prefix: /}}]\n    route: [{destination: {host: reviews}}]";
        silent(
            "A7",
            &virtual_service(&format!("http:\n  {one}\n  {one}\n")),
        );
    }
}
