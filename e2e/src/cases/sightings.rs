//! Requests as the applications' logs show them, and other questions that several cases ask.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::converge;
use crate::environment::Environment;
use crate::exchange::Answer;
use crate::gateway::marker;
use crate::parse::log::Line;
use crate::parse::proxy_status::{self, Hop};
use crate::parse::stats::Stats;
use crate::part::{App, Lives, Proxy};
use crate::unmet::Unmet;

/// Within this an application's line is in its log.
const WRITTEN: Duration = Duration::from_secs(15);

/// Where they are.
const LOGS: &str = "`kubectl logs` of the application: one JSON line per request";

/// The filter's name for `/log` at the gateway: `observe` of faultline-gateway.
pub(super) const FIRST_HOP: &str = "log";
/// And `/log` of the log agent, at custom-app's own proxies: `observe` of custom-app-observe.
pub(super) const SECOND_HOP: &str = "log_agent";

/// The lines of requests with this marker, once there are at least `count` of them.
///
/// # Errors
/// When there are fewer.
pub(super) async fn requests(
    environment: &Environment,
    app: App,
    marker: &str,
    since: Instant,
    count: usize,
) -> Result<Vec<Line>, Unmet> {
    let name = app.name();
    converge::eventually(
        &format!("{count} requests in {name}'s log"),
        WRITTEN,
        LOGS,
        async || {
            let mut lines = environment.mesh.log(app, Lives::Current, since).await?;
            lines.retain(|line| line.is_from(marker));
            if lines.len() < count {
                bail!("{} lines with user agent {marker}", lines.len());
            }
            Ok(lines)
        },
    )
    .await
}

/// The first line of a request with this id, once there is one.
///
/// # Errors
/// When there is none.
pub(super) async fn request_with_id(
    environment: &Environment,
    app: App,
    id: &str,
    since: Instant,
) -> Result<Line, Unmet> {
    converge::eventually(
        &format!("request {id} in {}'s log", app.name()),
        WRITTEN,
        LOGS,
        async || {
            let lines = environment.mesh.log(app, Lives::Current, since).await?;
            let line = lines
                .into_iter()
                .find(|line| line.is_request() && line.is_of(id));
            line.context("not there")
        },
    )
    .await
}

/// A field of a log line that must be there.
pub(super) fn field<'a>(line: &'a Line, name: &str) -> Result<&'a str, Unmet> {
    let missing = || {
        Unmet::failed(
            format!("a field {name} in each line"),
            "none",
            "the service's log",
        )
    };
    line.text(name).ok_or_else(missing)
}

/// What the filter says of an answer in `proxy-status`.
pub(super) fn mark(answer: &Answer) -> anyhow::Result<Hop> {
    let value = answer.header("proxy-status").context("no proxy-status")?;
    proxy_status::by("faultline", &value)
}

/// The same for a case that expects it.
///
/// # Errors
/// [`Unmet::Failed`] when the filter says nothing, or not in the form of RFC 9209.
pub(super) fn expect_mark(answer: &Answer) -> Result<Hop, Unmet> {
    mark(answer).map_err(|error| {
        Unmet::failed(
            "the filter's mark in proxy-status (RFC 9209)",
            format!("{error:#}; {}", answer.summary()),
            "whether the gateway's plugin is loaded: `kubectl logs` of the gateway for wasm",
        )
    })
}

/// Fails unless an answer is the filter's 404.
pub(super) fn marked_not_found(answer: &Answer) -> anyhow::Result<()> {
    not_found(answer)?;
    let hop = mark(answer)?;
    let outcome = hop.details.get("outcome").map(String::as_str);
    if hop.error.as_deref() != Some("destination_not_found") || outcome != Some("unknown_route") {
        bail!("proxy-status says {hop:?}");
    }
    Ok(())
}

/// Fails unless an answer is the 404 of the VirtualService, without a mark.
pub(super) fn bare_not_found(answer: &Answer) -> anyhow::Result<()> {
    not_found(answer)?;
    if let Ok(hop) = mark(answer) {
        bail!("the filter answered: {hop:?}");
    }
    Ok(())
}

/// Fails where a proxy has this answer from an upstream, by the header that Envoy's router adds then. The guard in front
/// of custom-app marks its 404 as the gateway's does, so the mark does not say which of the two answered.
///
/// # Errors
/// When the answer came from further inside.
pub(super) fn made_by_the_gateway(answer: &Answer) -> anyhow::Result<()> {
    if let Some(millis) = answer.header(FROM_UPSTREAM) {
        bail!(
            "the gateway let it pass: {FROM_UPSTREAM}: {millis}; {}",
            answer.summary()
        );
    }
    Ok(())
}

/// The header that Envoy's router adds to an answer of an upstream, and to no other.
pub(super) const FROM_UPSTREAM: &str = "x-envoy-upstream-service-time";

fn not_found(answer: &Answer) -> anyhow::Result<()> {
    made_by_the_gateway(answer)?;
    let problem: serde_json::Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let media = answer.header("content-type").unwrap_or_default();
    if answer.status != 404
        || !media.starts_with("application/problem+json")
        || problem.get("status").and_then(serde_json::Value::as_u64) != Some(404)
    {
        bail!("{media}: {}", answer.summary());
    }
    Ok(())
}

/// What the filter at a proxy has counted, where its labels are readable.
///
/// # Errors
/// [`Unmet::Skipped`] on an Istio whose proxies do not split the labels out of the name.
pub(super) async fn counters(environment: &Environment, proxy: Proxy) -> Result<Stats, Unmet> {
    let stats = environment.mesh.stats(proxy).await?;
    if stats.has_raw_labels("faultline_requests_total") {
        return Err(Unmet::Skipped(
            "this Istio was not installed with extraStatTags [route, outcome], so the filter's labels are \
             still in the metrics' names (istio/installation.yaml)"
                .to_owned(),
        ));
    }
    Ok(stats)
}

/// Waits until an unknown path's 404 is as `check` wants it while a known path is served; returns the 404.
pub(super) async fn not_found_is(
    environment: &Environment,
    check: fn(&Answer) -> anyhow::Result<()>,
) -> Result<Answer, Unmet> {
    let marker = marker("not-found");
    converge::steadily(
        "the expected 404 from /nowhere and 200 from /status",
        converge::CONVERGENCE,
        async || {
            let known = environment.gateway.fetch("/status", &marker).await?;
            if known.status != 200 {
                bail!("/status: {}", known.summary());
            }
            let unknown = environment.gateway.fetch("/nowhere", &marker).await?;
            check(&unknown)?;
            Ok(unknown)
        },
    )
    .await
}
