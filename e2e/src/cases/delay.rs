//! Delay: what the mesh injects on the way to the log agent.

use std::time::Duration;

use anyhow::bail;

use crate::case::{Case, Tier};
use crate::cases::sightings::{self, SECOND_HOP};
use crate::cases::undisturbed::{Look, undisturbed, within};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::part::{App, Caller, Proxy};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const DELAY: Case = Case {
    feature: "delay",
    name: "delay-felt",
    tier: Tier::Quick,
    claim: "to a mesh pod of its own, the log agent's /log takes 1.9 to 2.3 s without any timeout, /logs under 0.5 s (and \
            403 either way); the quickest of up to five looks",
    run: |environment| Box::pin(delay(environment)),
};

pub(super) const COUNTED: Case = Case {
    feature: "delay",
    name: "delay-counted",
    tier: Tier::Quick,
    claim: "with a /log at the gateway, faultline_delays_injected_total at custom-app's own proxy rises by at least one for \
            each of its tries, and by exactly as much as the requests counted there: each call is delayed",
    run: |environment| Box::pin(counted(environment)),
};

/// Within this a proxy has counted what has ended.
const COUNTING: Duration = Duration::from_secs(15);

async fn delay(environment: &Environment) -> Outcome {
    let mesh = &environment.mesh;
    let logs = Ask::get(mesh.url(App::LogAgent, "/logs?limit=1")).marked(&marker("delay"));
    // a stranger is refused by the log agent's proxy, and delayed by its own, as every caller is
    converge::steadily("403 from /logs inside the mesh", CONVERGENCE, async || {
        let answer = mesh.call(Caller::Stranger, &logs).await?.answer()?;
        if answer.status != 403 {
            bail!("{}", answer.summary());
        }
        Ok(())
    })
    .await?;
    let log = Ask::get(mesh.url(App::LogAgent, "/log")).marked(&marker("delay"));
    let took = async |ask: &Ask| -> Result<u64, Unmet> {
        let answer = mesh.call(Caller::Stranger, ask).await?.answer()?;
        let look = "log-virtualservice.yaml and authorizationpolicy.yaml";
        expect(
            answer.status == 403,
            format!("403 from {}", ask.url),
            answer.summary(),
            look,
        )?;
        Ok(answer.elapsed_ms)
    };
    let (healthy, more) = undisturbed(async || within("/logs", took(&logs).await?, 0, 500)).await?;
    let (delayed, note) =
        undisturbed(async || within("/log", took(&log).await?, 1900, 2300)).await?;
    Ok(format!("/log {delayed} ms{note}, /logs {healthy} ms{more}"))
}

/// The counts at custom-app's proxies of calls to the log agent's `/log`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counts {
    delays: u64,
    requests: u64,
}

impl Counts {
    async fn read(environment: &Environment) -> Result<Self, Unmet> {
        let stats = sightings::counters(environment, Proxy::Sidecar(App::CustomApp)).await?;
        let hop = [("route", SECOND_HOP)];
        Ok(Self {
            delays: stats.count("faultline_delays_injected_total", &hop),
            requests: stats.count("faultline_requests_total", &hop),
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            delays: self.delays.saturating_sub(before.delays),
            requests: self.requests.saturating_sub(before.requests),
        }
    }
}

async fn counted(environment: &Environment) -> Outcome {
    let (seen, note) = undisturbed(async || rise(environment).await).await?;
    Ok(seen + &note)
}

/// One GET of /log at the gateway, and what custom-app's proxies count of it.
async fn rise(environment: &Environment) -> Result<Look<String>, Unmet> {
    let before = Counts::read(environment).await?;
    let answer = environment
        .gateway
        .fetch("/log", &marker("delay-counted"))
        .await?;
    let tries = sightings::expect_mark(&answer)?
        .details
        .get("attempts")
        .and_then(|attempts| attempts.parse::<u64>().ok())
        .unwrap_or(0);
    let mut after = before;
    let counted = converge::eventually(
        &format!(
            "faultline_delays_injected_total and faultline_requests_total +{tries} or more, alike"
        ),
        COUNTING,
        "custom-app-observe in wasmplugin.yaml, the percentage in log-virtualservice.yaml",
        async || {
            after = match Counts::read(environment).await {
                Ok(counts) => counts,
                Err(unmet) => bail!("{unmet}"),
            };
            let Counts { delays, requests } = after.since(before);
            if delays < tries.max(1) || delays != requests {
                bail!("delays +{delays}, requests +{requests}");
            }
            Ok(())
        },
    )
    .await;
    let Counts { delays, requests } = after.since(before);
    match counted {
        Ok(()) => Ok(Look::Held(format!(
            "faultline_delays_injected_total {} -> {} at custom-app's proxies, faultline_requests_total +{requests}, of {tries} tries",
            before.delays, after.delays
        ))),
        // a try that was cut before custom-app could call
        Err(unmet) if delays > 0 && delays == requests => Ok(Look::Disturbed(unmet)),
        Err(unmet) => Err(unmet),
    }
}
