//! Gateway, port 80.

use anyhow::bail;

use crate::case::{Case, Tier};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::gateway::marker;
use crate::unmet::Outcome;

pub(super) const PORT_80: Case = Case {
    feature: "gateway, port 80",
    name: "gateway",
    tier: Tier::Quick,
    claim: "GET / at the gateway's address, from outside: 200, five times in a row",
    run: |environment| Box::pin(port_80(environment)),
};

async fn port_80(environment: &Environment) -> Outcome {
    let marker = marker("gateway");
    let answer = converge::steadily("200 from the gateway", CONVERGENCE, async || {
        let answer = environment.gateway.fetch("/", &marker).await?;
        if answer.status != 200 {
            bail!("{}", answer.summary());
        }
        Ok(answer)
    })
    .await?;
    Ok(format!(
        "{} -> 200 in {} ms",
        environment.gateway.url("/"),
        answer.elapsed_ms
    ))
}
