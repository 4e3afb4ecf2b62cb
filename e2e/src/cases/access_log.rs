//! The gateway's access log says what the filter decided.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::cases::undisturbed::{Look, three_attempts, undisturbed};
use crate::converge;
use crate::environment::Environment;
use crate::gateway::marker;
use crate::part::App;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const OUTCOME: Case = Case {
    feature: "annotations",
    name: "access-log",
    tier: Tier::Quick,
    claim: "the gateway's access log has the outcome, flags and attempts of a timed out /log",
    run: |environment| Box::pin(outcome(environment)),
};

async fn outcome(environment: &Environment) -> Outcome {
    // skipped where it says nothing of the outcome
    environment.mesh.gateway_log(Instant::now()).await?;
    let (seen, note) = undisturbed(async || timed_out(environment).await).await?;
    Ok(seen + &note)
}

async fn timed_out(environment: &Environment) -> Result<Look<String>, Unmet> {
    let since = Instant::now();
    let marker = marker("access-log");
    environment.gateway.fetch("/log", &marker).await?;
    let lines = sightings::requests(environment, App::CustomApp, &marker, since, 1).await?;
    let id = sightings::field(lines.first().context("no line")?, "request_id")?;
    // Envoy writes its access log once a second
    let wait = Duration::from_secs(15);
    let line = converge::eventually(
        &format!("request {id} in the gateway's access log"),
        wait,
        "accessLogFile in the mesh's configuration",
        async || {
            let lines = environment.mesh.gateway_log(since).await;
            let mut lines = match lines {
                Ok(lines) => lines.into_iter(),
                Err(unmet) => bail!("{unmet}"),
            };
            let line = lines.find(|line| line.is_of(id));
            line.context("not there")
        },
    )
    .await?;
    let look = "accessLogFormat in installation.yaml";
    let text = |name| line.text(name).unwrap_or("-").to_owned();
    let seen = format!("outcome={} flags={}", text("outcome"), text("flags"));
    let expected = "outcome=timeout flags=UT";
    expect(seen == expected, expected, seen.clone(), look)?;
    let attempts = line.number("attempts");
    Ok(match three_attempts(attempts, look)? {
        Look::Held(()) => Look::Held(format!("{seen} attempts=3")),
        Look::Disturbed(unmet) => Look::Disturbed(unmet),
    })
}
