//! No fault, no pain: without the delay, `/log` is fast.

use std::time::Instant;

use anyhow::bail;
use serde_json::json;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::cases::undisturbed::{Look, undisturbed, within};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::part::{App, Piece};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const NO_FAULT: Case = Case {
    feature: "no fault, no pain",
    name: "no-fault",
    tier: Tier::Full,
    claim: "without the delaying VirtualService GET /log is 200 and POST /log 201, under 0.3 s, with one attempt, the best of \
            up to five looks; put back, 504",
    run: |environment| Box::pin(no_fault(environment)),
};

async fn no_fault(environment: &Environment) -> Outcome {
    environment.mesh.take_out(Piece::Delay).await?;
    log_becomes(environment, 200).await?;
    let (seen, note) = undisturbed(async || painless(environment).await).await?;
    environment.mesh.restore().await?;
    let back = log_becomes(environment, 504).await?;
    Ok(format!("{seen}{note}; put back: 504 after {back} ms"))
}

/// A GET and a POST of `/log`: quick, and at the first attempt.
async fn painless(environment: &Environment) -> Result<Look<String>, Unmet> {
    let since = Instant::now();
    let marker = marker("no-fault");
    let gateway = &environment.gateway;
    let get = gateway.fetch("/log", &format!("{marker}/get")).await?;
    let entry = json!({"message": marker, "level": "info"});
    let ask = Ask::post_json(gateway.url("/log"), &entry).marked(&marker);
    let post = gateway.send(ask).await.answer()?;
    let mut disturbed = None;
    for (what, answer, status) in [("GET /log", &get, 200), ("POST /log", &post, 201)] {
        expect(
            answer.status == status,
            format!("{status} from {what}"),
            answer.summary(),
            "custom-app's log",
        )?;
        if let Look::Disturbed(unmet) = within(what, answer.elapsed_ms, 0, 300)? {
            disturbed = Some(unmet);
        }
    }
    if let Some(unmet) = disturbed {
        return Ok(Look::Disturbed(unmet));
    }
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 2).await?;
    let attempts: Vec<_> = lines
        .iter()
        .filter_map(|line| line.number("attempt"))
        .collect();
    expect(
        attempts == [1, 1],
        "attempt 1 of each and no other",
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
    Ok(Look::Held(format!(
        "GET 200 in {} ms, POST 201 in {} ms, 1 attempt each",
        get.elapsed_ms, post.elapsed_ms
    )))
}

/// Waits until `/log` answers with this status, and returns how long the last answer took, in ms.
pub(super) async fn log_becomes(environment: &Environment, status: u16) -> Result<u64, Unmet> {
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
