//! A17: retries of a route whose destination is chosen by a hash.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::Api;

pub(super) const RULE: Rule = Rule {
    id: "A17",
    name: "retries-to-the-same-host",
    level: Level::Warning,
    title: "With a consistent hash every retry goes to the host that failed",
    since: None,
    until: None,
    why: texts!("A17", "why.md"),
    wrong: texts!("A17", "wrong.yaml"),
    right: texts!("A17", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        for route in &table.http {
            let Some(retries) = route.active_retries() else {
                continue;
            };
            let elsewhere = retries.ignore_previous_hosts.as_ref();
            if elsewhere.is_some_and(|it| it.value) {
                continue;
            }
            // istiod leaves the previous hosts out only for a route with several destinations.
            let [only] = route.destinations.as_slice() else {
                continue;
            };
            let Some(hashed) = mesh.hash_of(table, only) else {
                continue;
            };
            let tries = retries.count().saturating_add(1);
            let fix = match table.api {
                Api::Istio => "retryIgnorePreviousHosts: true",
                Api::GatewayApi => {
                    "The Gateway API has no field for it: a VirtualService has retryIgnorePreviousHosts"
                }
            };
            finding(format!(
                "All {tries} tries go to the same host: a retry hashes {} again, and nothing excludes the host that failed",
                hashed.hash.by
            ))
            .at(&table.meta, retries.place, "may choose the host that failed")
            .at(&hashed.rule.meta, hashed.hash.place, "the same for every try")
            .fix(findings, fix);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, route, silent};

    const HASH: &str = "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: shop}\n\
                        spec: {host: reviews, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}\n";

    #[test]
    fn the_same_host() {
        fires("A17", &(route("retries: {attempts: 3}") + HASH));
        fires(
            "A17",
            &(route("retries: {attempts: 3, retryIgnorePreviousHosts: false}") + HASH),
        );
    }

    #[test]
    fn another_host() {
        silent(
            "A17",
            &(route("retries: {attempts: 3, retryIgnorePreviousHosts: true}") + HASH),
        );
        silent("A17", &(route("retries: {attempts: 0}") + HASH));
        silent("A17", &(route("timeout: 3s") + HASH));
        silent(
            "A17",
            &(route("retries: {attempts: 3}")
                + &HASH.replace("consistentHash: {useSourceIp: true}", "simple: RANDOM")),
        );
    }
}
