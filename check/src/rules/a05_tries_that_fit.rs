//! A5: retries that do not fit the timeout.

use super::{Rule, texts};
use crate::finding::{Findings, Level, finding};
use crate::mesh::Mesh;
use crate::model::{At, Duration, Retries, RouteTable};

pub(super) const RULE: Rule = Rule {
    id: "A5",
    name: "tries-do-not-fit",
    level: Level::Warning,
    title: "The timeout of the route ends before its tries do",
    since: None,
    until: None,
    why: texts!("A5", "why.md"),
    wrong: texts!("A5", "wrong.yaml"),
    right: texts!("A5", "right.yaml"),
    check,
};

fn check(mesh: &Mesh<'_>, findings: &mut Findings<'_>) {
    for table in &mesh.resources.routes {
        for route in &table.http {
            if let (Some(timeout), Some(retries)) = (route.active_timeout(), route.active_retries())
            {
                check_route(table, timeout, retries, findings);
            }
        }
    }
}

fn check_route(
    table: &RouteTable,
    timeout: &At<Duration>,
    retries: &At<Retries>,
    findings: &mut Findings<'_>,
) {
    let tries = retries.count().saturating_add(1);
    let limit = timeout.value;
    let Some(per_try) = retries.per_try_timeout.as_ref().filter(|it| !it.is_zero()) else {
        finding(format!(
            "A slow try is never followed by another: without perTryTimeout the first may take all of the {limit}"
        ))
        .level(Level::Info)
        .at(&table.meta, retries.place, "has no perTryTimeout")
        .at(&table.meta, timeout.place, "for all tries together")
        .fix(findings, format!("perTryTimeout: {} or less, if retries shall help against slowness", share(limit, tries)));
        return;
    };
    let length = per_try.value;
    if length >= limit {
        return finding(format!(
            "perTryTimeout {length} is not shorter than timeout {limit}: Envoy ignores it, and a slow request gets 1 try"
        ))
        .at(&table.meta, per_try.place, "ignored")
        .at(&table.meta, timeout.place, "for all tries together")
        .fix(findings, fix(limit, tries));
    }
    if length.times(tries) <= limit {
        return;
    }
    let fit = limit.holds(length);
    let does = match fit {
        1 => "one does, and no second one in full".to_owned(),
        2 => "two do".to_owned(),
        fit => format!("{fit} do"),
    };
    finding(format!(
        "{tries} tries of {length} do not fit {limit}: {does}"
    ))
    .at(
        &table.meta,
        per_try.place,
        format!("{tries} × {length} = {}", length.times(tries)),
    )
    .at(&table.meta, timeout.place, "for all tries together")
    .fix(findings, fix(limit, tries));
}

fn fix(limit: Duration, tries: u32) -> String {
    format!(
        "perTryTimeout: {} or less, a longer timeout, or fewer attempts",
        share(limit, tries)
    )
}

/// The longest try of which this many fit, in whole milliseconds, as a resource writes it.
fn share(limit: Duration, tries: u32) -> String {
    let millis = (limit.seconds() * 1e3 / f64::from(tries.max(1))).floor();
    match millis {
        ..1.0 => "1ms".to_owned(),
        _ if millis % 1e3 == 0.0 => format!("{}s", millis / 1e3),
        _ => format!("{millis}ms"),
    }
}

#[cfg(test)]
mod tests {
    use crate::rules::testing::{findings, fires, route, silent};

    fn with(timeout: &str, retries: &str) -> String {
        route(&format!(
            "timeout: {timeout}\n    retries: {{{retries}, retryOn: 5xx}}"
        ))
    }

    #[test]
    fn tries_that_do_not_fit() {
        for (timeout, retries, says) in [
            (
                "5s",
                "attempts: 2, perTryTimeout: 2s",
                "3 tries of 2 s do not fit 5 s: two do",
            ),
            ("3s", "attempts: 3, perTryTimeout: 2s", "one does"),
            (
                "500ms",
                "attempts: 5, perTryTimeout: 300ms",
                "6 tries of 300 ms do not fit 500 ms: one does",
            ),
            ("2s", "attempts: 2, perTryTimeout: 2s", "Envoy ignores it"),
            ("500ms", "attempts: 2, perTryTimeout: 2s", "1 try"),
            (
                "10s",
                "attempts: 5, perTryTimeout: 2s",
                "6 tries of 2 s do not fit 10 s: 5 do",
            ),
        ] {
            let found = fires("A5", &with(timeout, retries));
            assert!(found.message.contains(says), "{}", found.message);
        }
    }

    #[test]
    fn tries_that_fit() {
        for (timeout, retries) in [
            ("6s", "attempts: 2, perTryTimeout: 2s"),
            ("1s", "attempts: 0, perTryTimeout: 2s"),
            ("0s", "attempts: 3, perTryTimeout: 2s"),
            ("4s", "attempts: 1, perTryTimeout: 2s"),
        ] {
            silent("A5", &with(timeout, retries));
        }
        silent(
            "A5",
            &route("retries: {attempts: 3, perTryTimeout: 2s, retryOn: 5xx}"),
        );
        silent(
            "A5",
            &route("timeout: 1s\n    retries: {perTryTimeout: 2s}"),
        );
    }

    #[test]
    fn no_timeout_of_a_try_is_a_hint() {
        let text = with("5s", "attempts: 3");
        silent("A5", &text);
        assert!(findings(&text).iter().any(|it| it.rule == "A5"));
    }

    #[test]
    fn an_http_route_s_two_timeouts() {
        let text = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  rules:\n  - \
                    timeouts: {request: 3s, backendRequest: 2s}\n    RETRY\n    backendRefs: [{name: r, port: 80}]\n";
        fires("A5", &text.replace("RETRY", "retry: {attempts: 2}"));
        silent("A5", &text.replace("RETRY", "retry: {attempts: 0}"));
        silent("A5", &text.replace("RETRY", ""));
    }
}
