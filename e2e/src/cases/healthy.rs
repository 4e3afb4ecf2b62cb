//! No fault, no pain: without the delay, `/log` is fast.

use std::time::Instant;

use anyhow::bail;
use serde_json::json;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::part::{App, Piece};
use crate::unmet::{Outcome, expect};

pub(super) const NO_FAULT: Case = Case {
    feature: "no fault, no pain",
    name: "no-fault",
    tier: Tier::Full,
    claim: "without the delaying VirtualService GET /log is 200 and POST /log 201, under 0.3 s, with one attempt; \
            put back, 504",
    run: |environment| Box::pin(no_fault(environment)),
};

async fn no_fault(environment: &Environment) -> Outcome {
    environment.mesh.take_out(Piece::Delay).await?;
    let get = log_becomes(environment, 200).await?;

    let since = Instant::now();
    let marker = marker("no-fault");
    let entry = json!({"message": marker, "level": "info"});
    let ask = Ask::post_json(environment.gateway.url("/log"), &entry).marked(&marker);
    let post = environment.gateway.send(ask).await.answer()?;
    expect(
        post.status == 201,
        "201",
        post.summary(),
        "custom-app's log",
    )?;
    for (what, elapsed) in [("GET /log", get), ("POST /log", post.elapsed_ms)] {
        sightings::within(what, elapsed, 0, 300)?;
    }
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 1).await?;
    let attempts: Vec<_> = lines
        .iter()
        .filter_map(|line| line.number("attempt"))
        .collect();
    expect(
        attempts == [1],
        "attempt 1 and no other",
        format!("{attempts:?}"),
        "custom-app's log",
    )?;
    let hop = sightings::expect_mark(&post)?;
    let told = hop.details.get("attempts").map(String::as_str);
    expect(
        told == Some("1"),
        "attempts=1 in proxy-status",
        format!("{hop:?}"),
        "the filter",
    )?;

    environment.mesh.restore().await?;
    let back = log_becomes(environment, 504).await?;
    Ok(format!(
        "GET 200 in {get} ms, POST 201 in {} ms, 1 attempt; put back: 504 after {back} ms",
        post.elapsed_ms
    ))
}

/// Waits until `/log` answers with this status, and returns how long the last answer took, in ms.
async fn log_becomes(environment: &Environment, status: u16) -> Result<u64, crate::unmet::Unmet> {
    let marker = marker("no-fault-wait");
    converge::steadily(&format!("{status} from /log"), CONVERGENCE, async || {
        let answer = environment.gateway.fetch("/log", &marker).await?;
        if answer.status != status {
            bail!("{}", answer.summary());
        }
        Ok(answer.elapsed_ms)
    })
    .await
}
