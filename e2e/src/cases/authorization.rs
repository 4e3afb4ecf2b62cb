//! Authorization: gateway → custom-app → log agent, nothing else.

use anyhow::bail;

use crate::case::{Case, Tier};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::part::{App, Caller};
use crate::unmet::{Outcome, expect};

pub(super) const STRANGER: Case = Case {
    feature: "authorization",
    name: "authorization",
    tier: Tier::Quick,
    claim: "a mesh pod with another service account gets 403 from both services, while /logs at the gateway is 200: \
            the gateway's account reaches custom-app, custom-app's the log agent",
    run: |environment| Box::pin(stranger(environment)),
};

pub(super) const INSIDER: Case = Case {
    feature: "authorization",
    name: "own-identity",
    tier: Tier::Full,
    claim: "a pod with custom-app's own service account gets 200 from the log agent and 403 from custom-app",
    run: |environment| Box::pin(insider(environment)),
};

async fn stranger(environment: &Environment) -> Outcome {
    let gets = |caller, app, path, status| gets(environment, caller, app, path, status);
    // at once: each waits for its own proxy
    let (first, second) = tokio::try_join!(
        gets(Caller::Stranger, App::CustomApp, "/", 403),
        gets(Caller::Stranger, App::LogAgent, "/logs", 403),
    )?;
    let answer = environment
        .gateway
        .fetch("/logs?limit=1", &marker("authorization"))
        .await?;
    expect(
        answer.status == 200,
        "200 from /logs at the gateway",
        answer.summary(),
        "authorizationpolicy.yaml",
    )?;
    Ok(format!(
        "{first}, {second}, gateway -> custom-app -> log-agent 200"
    ))
}

async fn insider(environment: &Environment) -> Outcome {
    let gets = |app, path, status| gets(environment, Caller::Insider, app, path, status);
    let (first, second) = tokio::try_join!(
        gets(App::CustomApp, "/", 403),
        gets(App::LogAgent, "/logs?limit=1", 200),
    )?;
    Ok(format!("{first}, {second}"))
}

/// Waits until this caller gets this status.
pub(super) async fn gets(
    environment: &Environment,
    caller: Caller,
    app: App,
    path: &str,
    status: u16,
) -> Outcome {
    let mesh = &environment.mesh;
    let who = match caller {
        Caller::Insider => "custom-app",
        Caller::Stranger => "stranger",
        Caller::Outsider => "outsider",
    };
    let ask = Ask::get(mesh.url(app, path)).marked(&marker("authorization"));
    let what = format!("{status} for {who} from {}", app.name());
    converge::steadily(&what, CONVERGENCE, async || {
        let answer = mesh.call(caller, &ask).await?.answer()?;
        if answer.status != status {
            bail!("{}", answer.summary());
        }
        Ok(())
    })
    .await?;
    Ok(format!("{who} -> {} {status}", app.name()))
}
