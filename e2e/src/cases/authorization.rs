//! Authorization: gateway → custom-app → log agent, nothing else.

use anyhow::bail;

use crate::case::{Case, Outcome, Tier};
use crate::converge::{self, CONVERGENCE};
use crate::environment::{App, Caller, Environment};
use crate::exchange::Ask;
use crate::gateway::marker;

pub(super) const STRANGER: Case = Case {
    feature: "authorization",
    name: "authorization",
    tier: Tier::Quick,
    claim: "a mesh pod with another service account gets 403 from both services; custom-app's own gets 200 from \
            the log agent and 403 from custom-app",
    run: |environment| Box::pin(stranger(environment)),
};

async fn stranger(environment: &Environment) -> Outcome {
    let mesh = &environment.mesh;
    let mut seen = Vec::new();
    for (caller, who, app, path, status) in [
        (Caller::Stranger, "stranger", App::CustomApp, "/", 403),
        (Caller::Stranger, "stranger", App::LogAgent, "/logs", 403),
        (Caller::Insider, "custom-app", App::CustomApp, "/", 403),
        (
            Caller::Insider,
            "custom-app",
            App::LogAgent,
            "/logs?limit=1",
            200,
        ),
    ] {
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
        seen.push(format!("{who} -> {} {status}", app.name()));
    }
    Ok(seen.join(", "))
}
