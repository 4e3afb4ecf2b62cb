//! Delay: what the mesh injects on the way to the log agent.

use anyhow::bail;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::part::{App, Caller, Proxy};
use crate::unmet::{Outcome, expect};

pub(super) const DELAY: Case = Case {
    feature: "delay",
    name: "delay-felt",
    tier: Tier::Quick,
    claim: "to a mesh pod of its own, the log agent's /log takes 2.0 to 2.3 s without any timeout, /logs under 0.5 s (and \
            403 either way)",
    run: |environment| Box::pin(delay(environment)),
};

pub(super) const COUNTED: Case = Case {
    feature: "delay",
    name: "delay-counted",
    tier: Tier::Quick,
    claim: "faultline_delays_injected at custom-app's own proxy rises with a /log at the gateway",
    run: |environment| Box::pin(counted(environment)),
};

async fn delay(environment: &Environment) -> Outcome {
    let mesh = &environment.mesh;
    let logs = Ask::get(mesh.url(App::LogAgent, "/logs?limit=1")).marked(&marker("delay"));
    // a stranger is refused by the log agent's proxy, and delayed by its own, as every caller is
    let healthy = converge::steadily("403 from /logs inside the mesh", CONVERGENCE, async || {
        let answer = mesh.call(Caller::Stranger, &logs).await?.answer()?;
        if answer.status != 403 {
            bail!("{}", answer.summary());
        }
        Ok(answer.elapsed_ms)
    })
    .await?;
    sightings::within("/logs", healthy, 0, 500)?;
    let log = Ask::get(mesh.url(App::LogAgent, "/log")).marked(&marker("delay"));
    let answer = mesh.call(Caller::Stranger, &log).await?.answer()?;
    let look = "log-virtualservice.yaml and authorizationpolicy.yaml";
    expect(
        answer.status == 403,
        "403 from /log",
        answer.summary(),
        look,
    )?;
    sightings::within("/log", answer.elapsed_ms, 2000, 2300)?;
    Ok(format!("/log {} ms, /logs {healthy} ms", answer.elapsed_ms))
}

async fn counted(environment: &Environment) -> Outcome {
    let proxy = Proxy::Sidecar(App::CustomApp);
    let count = async || -> Result<u64, crate::unmet::Unmet> {
        let stats = sightings::counters(environment, proxy).await?;
        Ok(stats.count("faultline_delays_injected", &[]))
    };
    let before = count().await?;
    environment
        .gateway
        .fetch("/log", &marker("delay-counted"))
        .await?;
    let after = converge::eventually(
        &format!("faultline_delays_injected above {before}"),
        CONVERGENCE,
        "custom-app-observe in wasmplugin.yaml",
        async || match count().await {
            Ok(after) if after > before => Ok(after),
            Ok(_) => bail!("it stays"),
            Err(unmet) => bail!("{unmet}"),
        },
    )
    .await?;
    Ok(format!(
        "faultline_delays_injected {before} -> {after} at custom-app's proxies"
    ))
}
