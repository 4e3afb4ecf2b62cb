//! A1: a slow try is cut and never retried.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{Api, HttpRoute, Retries, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A1",
    name: "per-try-timeout-never-retried",
    level: Level::Warning,
    title: "A try that perTryTimeout cuts is not retried with these conditions",
    since: None,
    until: None,
    why: texts!("A1", "why.md"),
    wrong: texts!("A1", "wrong.yaml"),
    right: texts!("A1", "right.yaml"),
    check,
};

/// The conditions by which Envoy retries a try that it has cut itself.
const RETRY_SLOW: [&str; 3] = ["5xx", "gateway-error", "reset"];

/// Istio's own conditions.
const DEFAULT: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// True where a try that was cut is retried.
pub(super) fn retries_slow_tries(retries: &Retries) -> bool {
    let conditions = retries.retry_on.as_ref();
    conditions.is_some_and(|it| {
        it.split(',')
            .any(|condition| RETRY_SLOW.contains(&condition.trim()))
    })
}

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        for route in &table.http {
            check_route(table, route, findings);
        }
    }
}

fn check_route(table: &RouteTable, route: &HttpRoute, findings: &mut Findings<'_>) {
    let Some(retries) = route.active_retries() else {
        return;
    };
    let Some(per_try) = retries.per_try_timeout.as_ref().filter(|it| !it.is_zero()) else {
        return;
    };
    // Envoy ignores a try's timeout that is not shorter than the route's: rule A5 says so.
    let ignored = route.active_timeout().is_some_and(|it| **per_try >= **it);
    if ignored || retries_slow_tries(retries) {
        return;
    }
    let slow = per_try.value;
    let (place, conditions) = match &retries.retry_on {
        Some(it) => (it.place, format!("retryOn is {}", it.value)),
        None => (
            retries.place,
            "Istio's default for retryOn holds".to_owned(),
        ),
    };
    let fix = match (table.api, &retries.retry_on) {
        (Api::GatewayApi, _) => {
            "The Gateway API has no field for the condition: a VirtualService has, or leave backendRequest out"
                .to_owned()
        }
        (Api::Istio, Some(it)) => format!("retryOn: {},gateway-error", it.value),
        (Api::Istio, None) => format!("Add retryOn: {DEFAULT},gateway-error"),
    };
    let retried = match retries.count() {
        1 => "there is 1 retry".to_owned(),
        count => format!("there are {count} retries"),
    };
    finding(format!(
        "A try slower than {slow} is cut and never retried, though {retried}: {conditions}, without 5xx, gateway-error \
         or reset"
    ))
    .at(&table.meta, place, "no condition for a try that was cut")
    .at(&table.meta, per_try.place, format!("cuts a try after {slow}"))
    .fix(findings, fix);
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{fires, route, silent};

    #[test]
    fn conditions_that_do_not_retry_a_slow_try() {
        for retry_on in [
            "",
            "retryOn: ''",
            "retryOn: 503,504",
            "retryOn: connect-failure,refused-stream",
            "retryOn: retriable-status-codes",
            "retryOn: retriable-4xx,reset-before-request",
            "retryOn: deadline-exceeded",
        ] {
            let retries = format!(
                "{{attempts: 3, perTryTimeout: 2s{}{retry_on}}}",
                if retry_on.is_empty() { "" } else { ", " }
            );
            fires("A1", &route(&format!("retries: {}", quoted(&retries))));
        }
    }

    /// Commas in a flow mapping end a value, so it is quoted.
    fn quoted(flow: &str) -> String {
        match flow.split_once("retryOn: ") {
            Some((before, value)) if !value.starts_with('\'') => {
                let value = value.trim_end_matches('}');
                format!("{before}retryOn: \"{value}\"}}")
            }
            _ => flow.to_owned(),
        }
    }

    #[test]
    fn conditions_that_do() {
        for retry_on in [
            "5xx",
            "gateway-error",
            "reset",
            "connect-failure, gateway-error",
            "503,reset",
        ] {
            let retries = format!("{{attempts: 3, perTryTimeout: 2s, retryOn: \"{retry_on}\"}}");
            silent("A1", &route(&format!("retries: {retries}")));
        }
    }

    #[test]
    fn no_try_is_cut_or_retried() {
        for retries in [
            "{attempts: 3}",
            "{attempts: 0, perTryTimeout: 2s}",
            "{perTryTimeout: 2s}",
            "{attempts: 3, perTryTimeout: 0s}",
        ] {
            silent("A1", &route(&format!("retries: {retries}")));
        }
        silent(
            "A1",
            &route("timeout: 1s\n    retries: {attempts: 3, perTryTimeout: 2s}"),
        );
    }
}
