//! Limits: connections, pending requests and load balancing, as configured and as felt.

use tokio::task::JoinSet;

use anyhow::Context as _;

use crate::case::{Case, Outcome, Tier, Unmet, expect};
use crate::cases::retries::exclusively;
use crate::cases::sightings;
use crate::environment::{App, Environment, Proxy};
use crate::exchange::Answer;
use crate::gateway::marker;

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
    claim: "40 GET /log at once: at least 8 served by the route's rules (504), the rest 503 with outcome=overflow, \
            and the gateway's overflow counter rises by just that many",
    run: |environment| Box::pin(burst(environment)),
};

const BURST_SIZE: u64 = 40;
const LOOK: &str = "destinationrule.yaml and log-destinationrule.yaml";

async fn configured(environment: &Environment) -> Outcome {
    let mut seen = Vec::new();
    for (proxy, app) in [
        (Proxy::Gateway, App::CustomApp),
        (Proxy::Sidecar(App::CustomApp), App::LogAgent),
    ] {
        let upstream = environment
            .mesh
            .config(proxy)
            .await?
            .upstream(app.service(), 8080)?;
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
    let mut answers = Vec::new();
    let rise = exclusively(environment, BURST_SIZE, async || {
        answers = at_once(environment).await?;
        Ok(())
    })
    .await?;
    let mut overflowed = 0;
    let mut served = 0;
    for answer in &answers {
        let hop = sightings::expect_mark(answer)?;
        let outcome = hop.details.get("outcome").map(String::as_str);
        match (answer.status, outcome) {
            (503, Some("overflow")) => overflowed += 1,
            (504, Some("timeout")) => served += 1,
            _ => {
                return Err(Unmet::failed(
                    "504 with outcome=timeout or 503 with outcome=overflow",
                    format!("{} with {hop:?}", answer.summary()),
                    LOOK,
                ));
            }
        }
    }
    let figures = format!("{BURST_SIZE} at once: {served} x 504, {overflowed} x 503 overflow");
    expect(
        served >= 8 && overflowed > 0,
        "at least 8 served, some overflow",
        figures.clone(),
        LOOK,
    )?;
    let counted = rise.of(
        "faultline_requests",
        &[("route", "log"), ("outcome", "overflow")],
    );
    expect(
        counted == overflowed,
        format!("the overflow counter +{overflowed}"),
        format!("+{counted}"),
        "the gateway's /stats/prometheus at port 15020",
    )?;
    Ok(format!("{figures}, counter +{counted}"))
}

async fn at_once(environment: &Environment) -> anyhow::Result<Vec<Answer>> {
    let marker = marker("limits-burst");
    let mut calls = JoinSet::new();
    for _ in 0..BURST_SIZE {
        let gateway = environment.gateway.clone();
        let marker = marker.clone();
        calls.spawn(async move { gateway.fetch("/log", &marker).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = calls.join_next().await {
        answers.push(answer.context("a request was lost")??);
    }
    Ok(answers)
}
