//! Annotations: `proxy-status` and `server-timing`, read by their specifications.

use reqwest::Method;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::cases::undisturbed::{Look, three_attempts, undisturbed, within};
use crate::environment::Environment;
use crate::gateway::marker;
use crate::parse::server_timing;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const NOT_FOUND: Case = Case {
    feature: "annotations",
    name: "annotated-404",
    tier: Tier::Quick,
    claim: "an unknown path: problem+json, proxy-status with error=destination_not_found (RFC 9209)",
    run: |environment| Box::pin(not_found(environment)),
};

pub(super) const METHOD: Case = Case {
    feature: "annotations",
    name: "annotated-405",
    tier: Tier::Quick,
    claim: "DELETE of a known path: 405, allow, problem+json, proxy-status with error=http_request_denied",
    run: |environment| Box::pin(method(environment)),
};

pub(super) const TIMEOUT: Case = Case {
    feature: "annotations",
    name: "annotated-504",
    tier: Tier::Quick,
    claim: "/log: proxy-status with error=http_response_timeout, 3 attempts; server-timing 950 to 1200 ms; the best of up \
            to five looks",
    run: |environment| Box::pin(timeout(environment)),
};

const LOOK: &str = "the filter's annotations, and whether the gateway's plugin is loaded";

async fn not_found(environment: &Environment) -> Outcome {
    let answer = environment
        .gateway
        .fetch("/nowhere", &marker("annotated-404"))
        .await?;
    sightings::marked_not_found(&answer).map_err(|error| {
        let expected = "a 404 problem with error=destination_not_found, outcome=unknown_route";
        Unmet::failed(expected, format!("{error:#}"), LOOK)
    })?;
    Ok(format!(
        "proxy-status: {}",
        answer.header("proxy-status").unwrap_or_default()
    ))
}

async fn method(environment: &Environment) -> Outcome {
    let ask = environment
        .gateway
        .get("/status")
        .method(Method::DELETE)
        .marked(&marker("annotated-405"));
    let answer = environment.gateway.send(ask).await.answer()?;
    expect(answer.status == 405, "405", answer.summary(), LOOK)?;
    let allow = answer.header("allow").unwrap_or_default();
    expect(
        allow == "GET, HEAD",
        "allow: GET, HEAD",
        allow.clone(),
        LOOK,
    )?;
    let hop = sightings::expect_mark(&answer)?;
    let outcome = hop.details.get("outcome").map(String::as_str);
    expect(
        hop.error.as_deref() == Some("http_request_denied")
            && outcome == Some("method_not_allowed"),
        "error=http_request_denied, outcome=method_not_allowed",
        format!("{hop:?}"),
        LOOK,
    )?;
    let media = answer.header("content-type").unwrap_or_default();
    expect(
        media.starts_with("application/problem+json"),
        "problem+json",
        media,
        LOOK,
    )?;
    Ok(format!(
        "405, allow: {allow}, {}",
        answer.header("proxy-status").unwrap_or_default()
    ))
}

async fn timeout(environment: &Environment) -> Outcome {
    let (seen, note) = undisturbed(async || annotated_timeout(environment).await).await?;
    Ok(seen + &note)
}

async fn annotated_timeout(environment: &Environment) -> Result<Look<String>, Unmet> {
    let answer = environment
        .gateway
        .fetch("/log", &marker("annotated-504"))
        .await?;
    expect(answer.status == 504, "504", answer.summary(), LOOK)?;
    let hop = sightings::expect_mark(&answer)?;
    let detail = |key: &str| hop.details.get(key).map(String::as_str);
    expect(
        hop.error.as_deref() == Some("http_response_timeout")
            && detail("outcome") == Some("timeout"),
        "error=http_response_timeout, outcome=timeout",
        format!("{hop:?}"),
        LOOK,
    )?;
    let value = answer.header("server-timing").unwrap_or_default();
    let metrics = server_timing::parse(&value).map_err(|error| {
        Unmet::failed(
            "a server-timing header by its grammar",
            format!("{error:#}"),
            LOOK,
        )
    })?;
    let metric = |name: &str| metrics.iter().find(|metric| metric.name == name);
    let own = metric("faultline").cloned().unwrap_or_default();
    expect(
        own.description.as_deref() == Some("timeout"),
        "faultline;desc=\"timeout\"",
        value.clone(),
        LOOK,
    )?;
    let told = metric("attempts").and_then(|metric| metric.description.as_deref());
    expect(
        told.is_some() && told == detail("attempts"),
        "the same attempts in both headers",
        format!("{hop:?} and {value}"),
        LOOK,
    )?;
    if let Look::Disturbed(unmet) = three_attempts(told.and_then(|it| it.parse().ok()), LOOK)? {
        return Ok(Look::Disturbed(unmet));
    }
    let duration = own.duration.unwrap_or_default().round();
    let seen = format!(
        "{}; server-timing: {value}",
        answer.header("proxy-status").unwrap_or_default()
    );
    // whole and not negative by the header's grammar
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates and makes NaN 0, which is out of bounds"
    )]
    let judged = within("dur in server-timing", duration as u64, 950, 1200)?;
    Ok(match judged {
        Look::Held(_) => Look::Held(seen),
        Look::Disturbed(unmet) => Look::Disturbed(unmet),
    })
}
