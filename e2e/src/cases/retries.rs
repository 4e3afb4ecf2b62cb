//! Retries: counted where they arrive and where they are made.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::sightings::{self, FIRST_HOP};
use crate::cases::undisturbed::{Look, three_attempts, undisturbed};
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
    claim: "one GET /log: custom-app saw attempts 1, 2 and 3 under one request id, the log agent none within that second; \
            the best of up to five looks",
    run: |environment| Box::pin(attempts(environment)),
};

pub(super) const COUNTED: Case = Case {
    feature: "retries",
    name: "retries-counted",
    tier: Tier::Quick,
    claim: "one GET /log: faultline_retries_total rises by 2, faultline_requests_total{outcome=timeout} by 1; the best of up \
            to five looks",
    run: |environment| Box::pin(counted(environment)),
};

/// Before this no request that waits for the delay can be at the log agent.
const DELAY: Duration = Duration::from_millis(1900);

async fn attempts(environment: &Environment) -> Outcome {
    let (id, note) = undisturbed(async || one_request(environment).await).await?;
    control(environment).await?;
    Ok(format!(
        "attempts 1, 2, 3 of request {id} at custom-app, 0 at the log agent{note}"
    ))
}

/// One GET of `/log`, as both applications' logs have it; the request's id.
async fn one_request(environment: &Environment) -> Result<Look<String>, Unmet> {
    let since = Instant::now();
    let marker = marker("retries-seen");
    let answer = environment.gateway.fetch("/log", &marker).await?;
    // at once: after the delay an attempt may arrive there with right
    let log_agent = environment
        .mesh
        .log(App::LogAgent, Lives::Current, since)
        .await?;
    let read_after = since.elapsed();
    expect(
        answer.status == 504,
        "504",
        answer.summary(),
        "virtualservice.yaml",
    )?;

    let look = "retries in virtualservice.yaml, x-envoy-attempt-count in custom-app's log";
    let told = sightings::expect_mark(&answer)?;
    let told = told.details.get("attempts").and_then(|it| it.parse().ok());
    if let Look::Disturbed(unmet) = three_attempts(told, look)? {
        return Ok(Look::Disturbed(unmet));
    }
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 3).await?;
    let mut attempts: Vec<_> = lines
        .iter()
        .filter_map(|line| line.number("attempt"))
        .collect();
    attempts.sort_unstable();
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
    let unmet = Unmet::failed(
        "none at the log agent within that second",
        format!(
            "{early}, {} ms after the request began",
            read_after.as_millis()
        ),
        "the delay in log-virtualservice.yaml",
    );
    match (early, read_after < DELAY) {
        (0, _) => Ok(Look::Held(id.to_owned())),
        (_, true) => Err(unmet),
        (_, false) => Ok(Look::Disturbed(unmet)),
    }
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
    let (seen, note) = undisturbed(async || counts_of_one(environment).await).await?;
    Ok(seen + &note)
}

async fn counts_of_one(environment: &Environment) -> Result<Look<String>, Unmet> {
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
        "faultline_requests_total",
        &[("route", FIRST_HOP), ("outcome", "timeout")],
    );
    let retries = rise.of("faultline_retries_total", &[("route", FIRST_HOP)]);
    let look = "the gateway's /stats/prometheus at port 15020";
    let seen = format!(
        "faultline_retries_total{{route={FIRST_HOP}}} +{retries}, \
         faultline_requests_total{{route={FIRST_HOP},outcome=timeout}} +{timeouts}"
    );
    expect(
        timeouts == 1 && retries > 0,
        "faultline_retries_total +2, faultline_requests_total{outcome=timeout} +1",
        seen.clone(),
        look,
    )?;
    Ok(match three_attempts(Some(1 + retries), look)? {
        Look::Held(()) => Look::Held(seen),
        Look::Disturbed(unmet) => Look::Disturbed(unmet),
    })
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
    let total = |stats: &Stats| stats.count("faultline_requests_total", &[("route", FIRST_HOP)]);
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
