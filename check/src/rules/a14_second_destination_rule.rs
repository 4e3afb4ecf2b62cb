//! A14: a second DestinationRule for a host.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{DestinationRule, Host};

pub(super) const RULE: Rule = Rule {
    id: "A14",
    name: "second-destination-rule",
    level: Level::Error,
    title: "Of two DestinationRules for a host in one namespace, the younger one's trafficPolicy is dropped",
    since: None,
    until: None,
    why: texts!("A14", "why.md"),
    wrong: texts!("A14", "wrong.yaml"),
    right: texts!("A14", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for (host, rules) in mesh.destination_rules_by_host() {
        for (index, second) in rules.iter().enumerate() {
            let earlier = rules.get(..index).unwrap_or_default();
            if let Some(first) = earlier.iter().rfind(|it| merged(it, second)) {
                check_pair(host, first, second, findings);
            }
        }
    }
}

/// True where istiod makes one of the two.
fn merged(one: &DestinationRule, other: &DestinationRule) -> bool {
    one.meta.namespace == other.meta.namespace
        && !one.meta.is_same_object(&other.meta)
        && one.workload_selector == other.workload_selector
        && exported(one) == exported(other)
}

/// Rules that different namespaces see are kept apart.
fn exported(rule: &DestinationRule) -> Vec<&str> {
    let said = rule.export_to.as_ref().map(|it| it.value.as_slice());
    let mut names: Vec<&str> = said
        .unwrap_or_default()
        .iter()
        .map(|it| it.as_str())
        .collect();
    names.sort_unstable();
    names
}

fn check_pair(
    host: &Host,
    first: &DestinationRule,
    second: &DestinationRule,
    findings: &mut Findings<'_>,
) {
    let (one, other) = (&first.meta.name.value, &second.meta.name.value);
    let order = second.meta.comes_before(&first.meta);
    let (kept, lost) = match order {
        Some(true) => (second, first),
        _ => (first, second),
    };
    if let (Some(own), Some(dropped)) = (&kept.policy, &lost.policy) {
        let message = match order {
            Some(_) => format!(
                "The trafficPolicy of {} is dropped, all of it: {} is the older DestinationRule for {host}",
                *lost.meta.name, *kept.meta.name
            ),
            None => format!(
                "Of the DestinationRules {one} and {other} for {host} only the older one's trafficPolicy holds: the other is dropped, all of it"
            ),
        };
        finding(message)
            .at(
                &lost.meta,
                dropped.place,
                "dropped, unless this is the older one",
            )
            .at(&kept.meta, own.place, "holds alone if it is the older one")
            .fix(findings, "Put both into one DestinationRule");
        return;
    }
    // Subsets are merged, but each name only once.
    let doubled = kept.subsets.iter().find_map(|own| {
        let same = lost.subsets.iter().find(|it| it.name == own.name)?;
        let differ = own.labels != same.labels || own.policy.is_some() || same.policy.is_some();
        differ.then_some((own, same))
    });
    if let Some((own, dropped)) = doubled {
        let name = &own.name.value;
        finding(format!(
            "Of the two subsets {name} of {host} only the older DestinationRule's holds"
        ))
        .at(
            &lost.meta,
            dropped.name.place,
            "dropped, unless this is the older one",
        )
        .at(&kept.meta, own.name.place, "holds if it is the older one")
        .fix(findings, "Put both into one DestinationRule");
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent};

    fn two(first: &str, second: &str) -> String {
        let one = |name: &str, spec: &str| {
            format!(
                "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: a}}\nspec: \
                 {{{spec}}}\n---\n"
            )
        };
        one("one", first) + &one("two", second)
    }

    const POOL: &str = "host: r, trafficPolicy: {connectionPool: {}}";
    const EJECT: &str = "host: r, trafficPolicy: {outlierDetection: {maxEjectionPercent: 100}}";

    #[test]
    fn dropped() {
        fires("A14", &two(POOL, EJECT));
        fires(
            "A14",
            &two(
                POOL,
                &EJECT.replace("host: r", "host: r.a.svc.cluster.local"),
            ),
        );
        fires(
            "A14",
            &two(
                "host: r, subsets: [{name: v1, labels: {v: a}}]",
                "host: r, subsets: [{name: v1, labels: {v: b}}]",
            ),
        );
    }

    #[test]
    fn merged_or_apart() {
        silent(
            "A14",
            &two(POOL, "host: r, subsets: [{name: v1, labels: {v: a}}]"),
        );
        silent("A14", &two(POOL, &EJECT.replace("host: r", "host: s")));
        silent(
            "A14",
            &two(POOL, EJECT).replacen("namespace: a", "namespace: b", 1),
        );
        silent(
            "A14",
            &two(
                POOL,
                &format!("{EJECT}, workloadSelector: {{matchLabels: {{app: x}}}}"),
            ),
        );
        silent("A14", &two(POOL, &format!("{EJECT}, exportTo: ['.']")));
        silent(
            "A14",
            &two(
                "host: r, subsets: [{name: v1, labels: {v: a}}]",
                "host: r, subsets: [{name: v1, labels: {v: a}}]",
            ),
        );
    }
}
