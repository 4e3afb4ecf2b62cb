//! A22: a destination without a weight beside weighted ones.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{Api, Destination, Meta};

pub(super) const RULE: Rule = Rule {
    id: "A22",
    name: "destination-without-weight",
    level: Level::Error,
    title: "A destination without a weight beside weighted ones gets nothing: absent is 0, not the rest",
    since: None,
    until: None,
    why: texts!("A22", "why.md"),
    wrong: texts!("A22", "wrong.yaml"),
    right: texts!("A22", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    let tables = mesh.resources.routes.iter();
    for table in tables.filter(|it| it.api == Api::Istio) {
        for route in &table.http {
            check_route(&table.meta, &route.destinations, "request", findings);
        }
        for route in table.tls.iter().chain(&table.tcp) {
            check_route(&table.meta, &route.destinations, "connection", findings);
        }
    }
}

fn check_route(meta: &Meta, all: &[Destination], unit: &str, findings: &mut Findings<'_>) {
    let weighted = |it: &&Destination| it.weight.is_some_and(|weight| weight.value > 0);
    let Some((other, weight)) = all
        .iter()
        .find(weighted)
        .and_then(|it| Some((it, it.weight?)))
    else {
        return;
    };
    let total = all
        .iter()
        .filter_map(|it| it.weight)
        .fold(0_u32, |sum, it| sum.saturating_add(it.value));
    for destination in all.iter().filter(|it| it.weight.is_none()) {
        let name = named(destination);
        let fix = match 100_u32.checked_sub(total) {
            Some(rest) if rest > 0 => format!("weight: {rest}"),
            _ => format!("A weight for it; the others have {total} together"),
        };
        finding(format!(
            "{name} gets no {unit}: it has no weight, which is 0 beside the weight of {}",
            named(other)
        ))
        .at(meta, destination.place, "no weight: 0")
        .at(meta, weight.place, format!("{} of {total}", weight.value))
        .fix(findings, fix);
    }
}

/// Its subset or host, whichever tells destinations of one route apart.
fn named(destination: &Destination) -> String {
    match &destination.subset {
        Some(subset) => format!("Subset {} of {}", subset.value, destination.host.value),
        None => destination.host.value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent, virtual_service};

    fn weights(first: &str, second: &str) -> String {
        virtual_service(&format!(
            "http: [{{route: [{{destination: {{host: reviews, subset: v1}}{first}}}, {{destination: {{host: reviews, \
             subset: v2}}{second}}}]}}]"
        ))
    }

    #[test]
    fn a_weight_is_missing() {
        let found = fires("A22", &weights(", weight: 90", ""));
        assert_eq!(found.fix, "weight: 10");
        assert!(found.message.starts_with("Subset v2 of reviews"));
        fires("A22", &weights("", ", weight: 100"));
        fires(
            "A22",
            &virtual_service(
                "tcp: [{route: [{destination: {host: a}, weight: 5}, {destination: {host: b}}]}]",
            ),
        );
    }

    #[test]
    fn every_weight_is_said_or_none() {
        silent("A22", &weights(", weight: 90", ", weight: 10"));
        silent("A22", &weights(", weight: 100", ", weight: 0"));
        silent("A22", &weights("", ""));
        silent("A22", &weights(", weight: 0", ""));
        silent(
            "A22",
            &virtual_service("http: [{route: [{destination: {host: a}}]}]"),
        );
        silent(
            "A22",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec: {parentRefs: [{name: g}], \
             rules: [{backendRefs: [{name: a, port: 80, weight: 9}, {name: b, port: 80}]}]}\n",
        );
    }
}
