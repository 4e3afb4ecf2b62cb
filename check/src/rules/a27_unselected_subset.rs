//! A27: the policy of a subset that no route selects.

use std::collections::{HashMap, HashSet};

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{Destination, DestinationRule, Host, RouteTable, Subset};

pub(super) const RULE: Rule = Rule {
    id: "A27",
    name: "subset-never-selected",
    level: Level::Warning,
    title: "The trafficPolicy of a subset has no effect until a route selects the subset",
    since: None,
    until: None,
    why: texts!("A27", "why.md"),
    wrong: texts!("A27", "wrong.yaml"),
    right: texts!("A27", "right.yaml"),
    check,
};

/// A table and one of its destinations.
type To<'a> = (&'a RouteTable, &'a Destination);

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let routes = Routes::of(mesh);
    for rule in &mesh.resources.destination_rules {
        let host = mesh.host(&rule.host, &rule.meta);
        for subset in rule.subsets.iter().filter(|it| it.policy.is_some()) {
            if !routes.select(&host, &subset.name) {
                report(rule, subset, &host, &routes, findings);
            }
        }
    }
}

/// What the routes of the input lead to.
#[derive(Default)]
struct Routes<'a> {
    selected: HashSet<(Host, &'a str)>,
    first: HashMap<Host, To<'a>>,
}

impl<'a> Routes<'a> {
    fn of(mesh: &Mesh<'a>) -> Self {
        let mut routes = Self::default();
        for table in &mesh.resources.routes {
            let http = table.http.iter();
            let http = http.flat_map(|it| it.destinations.iter().chain(&it.mirrors));
            let layer4 = table.tls.iter().chain(&table.tcp);
            for destination in http.chain(layer4.flat_map(|it| &it.destinations)) {
                let host = mesh.host(&destination.host, &table.meta);
                if let Some(subset) = &destination.subset {
                    routes.selected.insert((host.clone(), subset.as_str()));
                }
                routes.first.entry(host).or_insert((table, destination));
            }
        }
        routes
    }

    /// True where a route selects the subset, or could: a rule for a wildcard is one for every host under it.
    fn select(&self, host: &Host, subset: &str) -> bool {
        if host.is_wildcard() {
            let mut selected = self.selected.iter();
            return selected.any(|(other, name)| *name == subset && host.covers(other));
        }
        self.selected.contains(&(host.clone(), subset))
    }

    fn to(&self, host: &Host) -> Option<To<'a>> {
        if host.is_wildcard() {
            let covered = self.first.iter().filter(|(other, _)| host.covers(other));
            return covered
                .min_by_key(|(other, _)| other.as_str())
                .map(|it| *it.1);
        }
        self.first.get(host).copied()
    }
}

fn report(
    rule: &DestinationRule,
    subset: &Subset,
    host: &Host,
    routes: &Routes<'_>,
    findings: &mut Findings<'_>,
) {
    let name = &subset.name.value;
    let Some(policy) = &subset.policy else { return };
    let Some((table, destination)) = routes.to(host) else {
        findings.undecided(format!(
            "the input has no route to {host}, which could select subset {name}"
        ));
        return;
    };
    let written = &destination.host.value;
    finding(format!(
        "The trafficPolicy of subset {name} has no effect: no route to {written} selects the subset"
    ))
    .at(
        &rule.meta,
        policy.place,
        format!("holds for subset {name} alone"),
    )
    .at(
        &table.meta,
        destination.place,
        match &destination.subset {
            Some(other) => format!("selects subset {}", other.value),
            None => "selects no subset".to_owned(),
        },
    )
    .fix(
        findings,
        format!(
            "subset: {name} in the route's destination, or the policy at the DestinationRule's top"
        ),
    );
}

#[cfg(test)]
mod tests {
    use crate::check::{Options, check_texts};
    use crate::rules::testing::{fires, silent, virtual_service};

    const RULE: &str = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: shop}\n\
                        spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}, trafficPolicy: {connectionPool: \
                        {http: {http1MaxPendingRequests: 1}}}}]}\n";

    fn with(route: &str) -> String {
        virtual_service(route) + RULE
    }

    #[test]
    fn no_route_selects_it() {
        fires(
            "A27",
            &with("http: [{route: [{destination: {host: reviews}}]}]"),
        );
        fires(
            "A27",
            &with("http: [{route: [{destination: {host: reviews, subset: v2}}]}]"),
        );
        fires(
            "A27",
            &with("http: [{route: [{destination: {host: reviews.shop.svc.cluster.local}}]}]"),
        );
        let wild = RULE.replace("host: reviews", "host: '*.shop.svc.cluster.local'");
        fires(
            "A27",
            &(virtual_service("http: [{route: [{destination: {host: reviews}}]}]") + &wild),
        );
    }

    #[test]
    fn a_route_selects_it() {
        for route in [
            "http: [{route: [{destination: {host: reviews, subset: v1}}]}]",
            "http: [{route: [{destination: {host: reviews}}]}, {route: [{destination: {host: reviews, subset: v1}}]}]",
            "tcp: [{route: [{destination: {host: reviews, subset: v1}}]}]",
            "http: [{route: [{destination: {host: reviews}}], mirror: {host: reviews, subset: v1}}]",
            "http: [{route: [{destination: {host: reviews}}], mirrors: [{destination: {host: reviews, subset: v1}}]}]",
        ] {
            silent("A27", &with(route));
        }
        let wild = RULE.replace("host: reviews", "host: '*.shop.svc.cluster.local'");
        silent(
            "A27",
            &(virtual_service("http: [{route: [{destination: {host: reviews, subset: v1}}]}]")
                + &wild),
        );
        let plain = RULE.replace(", trafficPolicy", ", x-other");
        silent(
            "A27",
            &(virtual_service("http: [{route: [{destination: {host: reviews}}]}]") + &plain),
        );
    }

    #[test]
    fn without_routes_nothing_is_said() {
        let other = with("http: [{route: [{destination: {host: ratings}}]}]");
        silent("A27", &other);
        let report = check_texts([("a.yaml", RULE)], &Options::default());
        assert!(
            report.undecided.iter().any(|it| it.starts_with("A27")),
            "{:?}",
            report.undecided
        );
    }
}
