//! A16: weights in front of a consistent hash.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;

pub(super) const RULE: Rule = Rule {
    id: "A16",
    name: "weights-break-stickiness",
    level: Level::Warning,
    title: "A consistent hash is not sticky where weights choose between destinations first",
    since: None,
    until: None,
    why: texts!("A16", "why.md"),
    wrong: texts!("A16", "wrong.yaml"),
    right: texts!("A16", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        for route in &table.http {
            let active = route.active_destinations();
            let [first, _, ..] = active.as_slice() else {
                continue;
            };
            let Some(hashed) = active.iter().find_map(|it| mesh.hash_of(table, it)) else {
                continue;
            };
            let weights: Vec<String> = active
                .iter()
                .map(|it| it.weight.map_or(0, |it| it.value).to_string())
                .collect();
            let (by, weights) = (hashed.hash.by, weights.join(" : "));
            let place = first.weight.map_or(first.place, |it| it.place);
            finding(format!(
                "Requests of one client are not kept together: {weights} is drawn anew for each request, and only then is {by} \
                 hashed"
            ))
            .at(&table.meta, place, "drawn for each request")
            .at(&hashed.rule.meta, hashed.hash.place, "chooses among the endpoints of what was drawn")
            .fix(
                findings,
                "One destination of weight 100 where stickiness is needed; choose others by a match, as on a cookie or header",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, silent, virtual_service};

    fn with(destinations: &str, rule: &str) -> String {
        virtual_service(&format!("http: [{{route: [{destinations}]}}]"))
            + "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: r, namespace: shop}\nspec: \
               {host: reviews.shop.svc.cluster.local, "
            + rule
            + "}\n"
    }

    const TWO: &str = "{destination: {host: reviews, subset: v1}, weight: 90}, {destination: {host: reviews, subset: v2}, weight: 10}";
    const HASH: &str = "trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}";

    #[test]
    fn drawn_first() {
        fires("A16", &with(TWO, HASH));
        fires(
            "A16",
            &with(TWO, &format!("subsets: [{{name: v2, {HASH}}}]")),
        );
    }

    #[test]
    fn hashed_alone() {
        silent("A16", &with(&TWO.replace("weight: 10", "weight: 0"), HASH));
        silent("A16", &with("{destination: {host: reviews}}", HASH));
        silent(
            "A16",
            &with(TWO, "trafficPolicy: {loadBalancer: {simple: RANDOM}}"),
        );
        silent(
            "A16",
            &with(TWO, HASH).replace("reviews.shop.svc", "ratings.shop.svc"),
        );
        let random = "{loadBalancer: {simple: RANDOM}}";
        silent(
            "A16",
            &with(
                TWO,
                &format!(
                    "{HASH}, subsets: [{{name: v1, trafficPolicy: {random}}}, {{name: v2, trafficPolicy: {random}}}]"
                ),
            ),
        );
    }
}
