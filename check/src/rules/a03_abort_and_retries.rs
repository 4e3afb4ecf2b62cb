//! A3: an abort and retries on one route.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;

pub(super) const RULE: Rule = Rule {
    id: "A3",
    name: "abort-never-retried",
    level: Level::Error,
    title: "The retries of a route do not see the abort that the same route injects",
    since: None,
    until: None,
    why: texts!("A3", "why.md"),
    wrong: texts!("A3", "wrong.yaml"),
    right: texts!("A3", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        for route in &table.http {
            let Some(retries) = route.active_retries() else {
                continue;
            };
            let Some(abort) = route.fault.abort.as_ref().filter(|it| it.percent > 0.0) else {
                continue;
            };
            let percent = abort.percent;
            finding(format!(
                "An injected abort is never retried: {percent} % of the requests fail at once, whatever retries says"
            ))
            .at(&table.meta, retries.place, "belongs to the router, which an aborted request does not reach")
            .at(&table.meta, abort.place, format!("answers {percent} % before the router"))
            .fix(
                findings,
                "Abort on the next hop: on a route of the mesh for a service that the destination calls",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, route, silent};

    const ABORT: &str = "{abort: {httpStatus: 503, percentage: {value: 50}}}";

    #[test]
    fn retries_of_an_abort() {
        fires(
            "A3",
            &route(&format!(
                "retries: {{attempts: 3, retryOn: 5xx}}\n    fault: {ABORT}"
            )),
        );
        fires(
            "A3",
            &route(&format!("retries: {{attempts: 1}}\n    fault: {ABORT}")),
        );
        fires(
            "A3",
            &route(
                "retries: {attempts: 1}\n    fault: {abort: {grpcStatus: UNAVAILABLE, percentage: {value: 1}}}",
            ),
        );
    }

    #[test]
    fn no_retries_or_no_abort() {
        silent("A3", &route(&format!("fault: {ABORT}")));
        silent(
            "A3",
            &route(&format!("retries: {{attempts: 0}}\n    fault: {ABORT}")),
        );
        silent(
            "A3",
            &route(
                "retries: {attempts: 3}\n    fault: {abort: {httpStatus: 503, percentage: {value: 0}}}",
            ),
        );
        silent(
            "A3",
            &route(
                "retries: {attempts: 3}\n    fault: {delay: {fixedDelay: 1s, percentage: {value: 50}}}",
            ),
        );
    }
}
