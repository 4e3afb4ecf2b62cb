//! Limits: connections, pending requests and load balancing, as configured and as felt.

use std::time::Duration;

use anyhow::Context as _;
use tokio::task::JoinSet;

use crate::case::{Case, Tier};
use crate::cases::retries::exclusively;
use crate::cases::sightings;
use crate::environment::Environment;
use crate::exchange::Answer;
use crate::gateway::marker;
use crate::part::{App, Proxy};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const CONFIGURED: Case = Case {
    feature: "limits",
    name: "limits-configured",
    tier: Tier::Quick,
    claim: "the proxies' own configuration, gateway to custom-app and custom-app to log agent: 3 connections, \
            5 pending, LEAST_REQUEST",
    run: |environment| Box::pin(configured(environment)),
};

pub(super) const BURST: Case = Case {
    feature: "limits",
    name: "limits-burst",
    tier: Tier::Quick,
    claim: "40 GET /log at once: at least 8 are let in (504 by the route's rules, or turned away on a retry), the rest 503 with \
            outcome=overflow, and the gateway's overflow counter rises by just the 503",
    run: |environment| Box::pin(burst(environment)),
};

const BURST_SIZE: u32 = 40;
/// All 40 are under way within 0.12 s, long before the first attempt ends. Closer together they would
/// show another thing: to Envoy a request is pending, too, while its connection is being established.
const SPACING: Duration = Duration::from_millis(3);
const LOOK: &str = "destinationrule.yaml and log-destinationrule.yaml";

async fn configured(environment: &Environment) -> Outcome {
    let mut seen = Vec::new();
    for (proxy, app) in [
        (Proxy::Gateway, App::CustomApp),
        (Proxy::Sidecar(App::CustomApp), App::LogAgent),
    ] {
        let upstream = environment.mesh.upstream(proxy, app).await?;
        expect(
            (upstream.connections, upstream.pending) == (Some(3), Some(5))
                && upstream.balancing == "LEAST_REQUEST",
            format!("3 connections, 5 pending, LEAST_REQUEST to {}", app.name()),
            format!("{upstream:?}"),
            LOOK,
        )?;
        seen.push(format!("to {}: 3, 5, {}", app.name(), upstream.balancing));
    }
    Ok(seen.join("; "))
}

async fn burst(environment: &Environment) -> Outcome {
    let marker = marker("limits-burst");
    let mut answers = Vec::new();
    let rise = exclusively(environment, BURST_SIZE.into(), async || {
        answers = at_once(environment, &marker).await?;
        Ok(())
    })
    .await?;
    let (mut overflowed, mut on_retry, mut timed_out) = (0, 0, 0);
    for answer in &answers {
        let hop = sightings::expect_mark(answer)?;
        let detail = |key: &str| hop.details.get(key).map(String::as_str);
        match (answer.status, detail("outcome")) {
            (503, Some("overflow")) => {
                overflowed += 1;
                on_retry += u64::from(detail("attempts") != Some("1"));
            }
            (504, Some("timeout")) => timed_out += 1,
            _ => {
                return Err(Unmet::failed(
                    "504 with outcome=timeout or 503 with outcome=overflow",
                    format!("{} with {hop:?}", answer.summary()),
                    LOOK,
                ));
            }
        }
    }
    // turned away on a retry it had been let in before
    let let_in = timed_out + on_retry;
    let counted = rise.of(
        "faultline_requests",
        &[("route", "log"), ("outcome", "overflow")],
    );
    let figures = format!(
        "{BURST_SIZE} at once: {let_in} let in, {timed_out} x 504, {overflowed} x 503 overflow \
         ({on_retry} on a retry), counter +{counted}"
    );
    expect(
        let_in >= 8 && overflowed > 0 && counted == overflowed,
        "at least 8 let in, some 503, the overflow counter to rise by just these",
        figures.clone(),
        LOOK,
    )?;
    Ok(figures)
}

async fn at_once(environment: &Environment, marker: &str) -> anyhow::Result<Vec<Answer>> {
    let mut calls = JoinSet::new();
    for number in 0..BURST_SIZE {
        let gateway = environment.gateway.clone();
        let marker = marker.to_owned();
        calls.spawn(async move {
            tokio::time::sleep(SPACING * number).await;
            gateway.fetch("/log", &marker).await
        });
    }
    let mut answers = Vec::new();
    while let Some(answer) = calls.join_next().await {
        answers.push(answer.context("a request was lost")??);
    }
    Ok(answers)
}
