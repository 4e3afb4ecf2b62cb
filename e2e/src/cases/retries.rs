//! Retries: counted where they arrive and where they are made.

use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::gateway::marker;
use crate::parse::stats::Stats;
use crate::part::{App, Lives, Proxy};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const ATTEMPTS: Case = Case {
    feature: "retries",
    name: "retries-seen",
    tier: Tier::Quick,
    claim: "one GET /log: custom-app saw attempts 1, 2 and 3 under one request id, the log agent none within that second",
    run: |environment| Box::pin(attempts(environment)),
};

pub(super) const COUNTED: Case = Case {
    feature: "retries",
    name: "retries-counted",
    tier: Tier::Quick,
    claim: "one GET /log: faultline_retries rises by 2, faultline_requests{outcome=timeout} by 1",
    run: |environment| Box::pin(counted(environment)),
};

async fn attempts(environment: &Environment) -> Outcome {
    let since = Instant::now();
    let marker = marker("retries-seen");
    let answer = environment.gateway.fetch("/log", &marker).await?;
    // at once: after two seconds an attempt may arrive there with right
    let log_agent = environment
        .mesh
        .log(App::LogAgent, Lives::Current, since)
        .await?;
    expect(
        answer.status == 504,
        "504",
        answer.summary(),
        "virtualservice.yaml",
    )?;

    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 3).await?;
    let mut attempts: Vec<_> = lines
        .iter()
        .filter_map(|line| line.number("attempt"))
        .collect();
    attempts.sort_unstable();
    let look = "retries in virtualservice.yaml, x-envoy-attempt-count in custom-app's log";
    expect(
        attempts == [1, 2, 3],
        "attempts 1, 2, 3",
        format!("{attempts:?}"),
        look,
    )?;
    let id = sightings::field(lines.first().context("no line")?, "request_id")?;
    let same = lines.iter().all(|line| line.text("request_id") == Some(id));
    expect(same, "one request id", format!("{lines:?}"), look)?;

    let early = log_agent.iter().filter(|line| line.mentions(id)).count();
    let look = "the delay in log-virtualservice.yaml";
    expect(
        early == 0,
        "none at the log agent within that second",
        format!("{early}"),
        look,
    )?;
    control(environment).await?;
    Ok(format!(
        "attempts 1, 2, 3 of request {id} at custom-app, 0 at the log agent"
    ))
}

/// The log agent's log does show the ids of requests that came through the gateway.
async fn control(environment: &Environment) -> Result<(), Unmet> {
    let since = Instant::now();
    let marker = marker("retries-control");
    environment.gateway.fetch("/logs?limit=1", &marker).await?;
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 1).await?;
    let id = sightings::field(lines.first().context("no line")?, "request_id")?;
    sightings::request_with_id(environment, App::LogAgent, id, since)
        .await
        .map(drop)
}

async fn counted(environment: &Environment) -> Outcome {
    let rise = exclusively(environment, 1, async || {
        let answer = environment
            .gateway
            .fetch("/log", &marker("retries-counted"))
            .await?;
        expect(
            answer.status == 504,
            "504",
            answer.summary(),
            "virtualservice.yaml",
        )
    })
    .await?;
    let timeouts = rise.of(
        "faultline_requests",
        &[("route", "log"), ("outcome", "timeout")],
    );
    let retries = rise.of("faultline_retries", &[("route", "log")]);
    expect(
        retries == 2 && timeouts == 1,
        "faultline_retries +2, faultline_requests{outcome=timeout} +1",
        format!("+{retries}, +{timeouts}"),
        "the gateway's /stats/prometheus at port 15020",
    )?;
    Ok(format!(
        "faultline_retries{{route=log}} +{retries}, faultline_requests{{route=log,outcome=timeout}} +{timeouts}"
    ))
}

/// A proxy's counters before and after.
pub(super) struct Rise {
    before: Stats,
    after: Stats,
}

impl Rise {
    /// By how much a counter rose.
    pub(super) fn of(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.after
            .count(name, labels)
            .saturating_sub(self.before.count(name, labels))
    }
}

/// Runs `work`, which makes `requests` requests of `/log`, until the gateway has counted exactly that
/// many meanwhile, so that nobody else's are among them.
pub(super) async fn exclusively(
    environment: &Environment,
    requests: u64,
    mut work: impl AsyncFnMut() -> Result<(), Unmet>,
) -> Result<Rise, Unmet> {
    let total = |stats: &Stats| stats.count("faultline_requests", &[("route", "log")]);
    let mut counted = 0;
    for _ in 0..3 {
        let before = sightings::counters(environment, Proxy::Gateway).await?;
        work().await?;
        let what = format!("{requests} more requests counted at the gateway");
        let after = converge::eventually(
            &what,
            CONVERGENCE,
            "whether the gateway's plugin is loaded",
            async || {
                let after = environment.mesh.stats(Proxy::Gateway).await?;
                if total(&after) < total(&before) + requests {
                    bail!("{} -> {}", total(&before), total(&after));
                }
                Ok(after)
            },
        )
        .await?;
        counted = total(&after) - total(&before);
        if counted == requests {
            return Ok(Rise { before, after });
        }
    }
    Err(Unmet::failed(
        format!("{requests} requests of /log counted at the gateway"),
        format!("{counted}, three times"),
        "whether others are calling /log meanwhile",
    ))
}
