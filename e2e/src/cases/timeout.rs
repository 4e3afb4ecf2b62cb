//! Timeout: `/log` at the gateway ends after one second.

use serde_json::json;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::unmet::{Outcome, expect};

pub(super) const GET: Case = Case {
    feature: "timeout",
    name: "timeout-get",
    tier: Tier::Quick,
    claim: "GET /log at the gateway, three at once: 504 after 0.95 to 1.2 s",
    run: |environment| {
        Box::pin(times_out(
            environment,
            environment
                .gateway
                .get("/log")
                .marked(&marker("timeout-get")),
        ))
    },
};

pub(super) const POST: Case = Case {
    feature: "timeout",
    name: "timeout-post",
    tier: Tier::Quick,
    claim: "POST /log at the gateway, three at once: 504 after 0.95 to 1.2 s",
    run: |environment| {
        let marker = marker("timeout-post");
        let entry = json!({"message": marker, "level": "info"});
        let ask = Ask::post_json(environment.gateway.url("/log"), &entry).marked(&marker);
        Box::pin(times_out(environment, ask))
    },
};

async fn times_out(environment: &Environment, ask: Ask) -> Outcome {
    let gateway = &environment.gateway;
    // three, so that one lucky answer proves nothing; at once, since that is within the limits
    let (first, second, third) = tokio::join!(
        gateway.send(ask.clone()),
        gateway.send(ask.clone()),
        gateway.send(ask)
    );
    let mut times = Vec::new();
    for reply in [first, second, third] {
        let answer = reply.answer()?;
        let look = "the timeout in virtualservice.yaml, the delay in log-virtualservice.yaml";
        expect(answer.status == 504, "504", answer.summary(), look)?;
        sightings::within("the 504", answer.elapsed_ms, 950, 1200)?;
        times.push(answer.elapsed_ms.to_string());
    }
    Ok(format!("504 after {} ms", times.join(", ")))
}
