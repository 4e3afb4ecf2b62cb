//! Authorization: gateway → custom-app → log agent, nothing else.

use anyhow::bail;

use crate::case::{Case, Tier};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::part::{App, Caller};
use crate::unmet::Outcome;

pub(super) const STRANGER: Case = Case {
    feature: "authorization",
    name: "authorization",
    tier: Tier::Quick,
    claim: "a mesh pod with another service account gets 403 from both services; custom-app's own gets 200 from \
            the log agent and 403 from custom-app",
    run: |environment| Box::pin(stranger(environment)),
};

async fn stranger(environment: &Environment) -> Outcome {
    let gets = |caller, app, path, status| gets(environment, caller, app, path, status);
    // at once: each waits for its own proxy
    let (first, second, third, fourth) = tokio::try_join!(
        gets(Caller::Stranger, App::CustomApp, "/", 403),
        gets(Caller::Stranger, App::LogAgent, "/logs", 403),
        gets(Caller::Insider, App::CustomApp, "/", 403),
        gets(Caller::Insider, App::LogAgent, "/logs?limit=1", 200),
    )?;
    Ok([first, second, third, fourth].join(", "))
}

async fn gets(
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
