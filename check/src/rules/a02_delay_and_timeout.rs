//! A2: a delay and a shorter timeout on one route.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;

pub(super) const RULE: Rule = Rule {
    id: "A2",
    name: "delay-never-times-out",
    level: Level::Error,
    title: "The timeout of a route does not count the delay that the same route injects",
    since: None,
    until: None,
    why: texts!("A2", "why.md"),
    wrong: texts!("A2", "wrong.yaml"),
    right: texts!("A2", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        for route in &table.http {
            let Some(timeout) = route.active_timeout() else {
                continue;
            };
            let Some(delay) = route.fault.delay.as_ref().filter(|it| it.percent > 0.0) else {
                continue;
            };
            if delay.value.value < **timeout {
                continue;
            }
            let (length, limit) = (delay.value.value, timeout.value);
            finding(format!(
                "The delay of {length} never runs into the timeout of {limit}: the fault filter waits first, and the \
                 timeout starts after it"
            ))
            .at(&table.meta, timeout.place, "starts when the delay is over")
            .at(&table.meta, delay.place, format!("waits {length} before the router"))
            .fix(
                findings,
                "Put the delay on the next hop: on a route of the mesh for a service that the destination calls",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, route, silent};

    fn both(timeout: &str, delay: &str) -> String {
        route(&format!(
            "timeout: {timeout}\n    fault: {{delay: {delay}}}"
        ))
    }

    #[test]
    fn a_delay_of_at_least_the_timeout() {
        fires(
            "A2",
            &both("1s", "{fixedDelay: 2s, percentage: {value: 100}}"),
        );
        fires(
            "A2",
            &both("2s", "{fixedDelay: 2s, percentage: {value: 0.1}}"),
        );
        fires("A2", &both("500ms", "{fixedDelay: 0.5s, percent: 50}"));
    }

    #[test]
    fn no_delay_or_no_timeout() {
        silent(
            "A2",
            &both("3s", "{fixedDelay: 2s, percentage: {value: 100}}"),
        );
        silent(
            "A2",
            &both("0s", "{fixedDelay: 2s, percentage: {value: 100}}"),
        );
        silent("A2", &both("1s", "{fixedDelay: 2s}"));
        silent(
            "A2",
            &both("1s", "{fixedDelay: 2s, percentage: {value: 0}}"),
        );
        silent(
            "A2",
            &route("fault: {delay: {fixedDelay: 2s, percentage: {value: 100}}}"),
        );
    }
}
