//! Timeout: `/log` at the gateway ends after one second.

use serde_json::json;

use crate::case::{Case, Tier};
use crate::cases::undisturbed::{Look, undisturbed, within};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const GET: Case = Case {
    feature: "timeout",
    name: "timeout-get",
    tier: Tier::Quick,
    claim: "GET /log at the gateway, three at once: 504 after 0.95 to 1.2 s; the best of up to five looks",
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
    claim: "POST /log at the gateway, three at once: 504 after 0.95 to 1.2 s; the best of up to five looks",
    run: |environment| {
        let marker = marker("timeout-post");
        let entry = json!({"message": marker, "level": "info"});
        let ask = Ask::post_json(environment.gateway.url("/log"), &entry).marked(&marker);
        Box::pin(times_out(environment, ask))
    },
};

async fn times_out(environment: &Environment, ask: Ask) -> Outcome {
    let (times, note) = undisturbed(async || three_at_once(environment, &ask).await).await?;
    Ok(format!("504 after {times} ms{note}"))
}

/// Three, so that one lucky answer proves nothing; at once, since that is within the limits.
async fn three_at_once(environment: &Environment, ask: &Ask) -> Result<Look<String>, Unmet> {
    let gateway = &environment.gateway;
    let (first, second, third) = tokio::join!(
        gateway.send(ask.clone()),
        gateway.send(ask.clone()),
        gateway.send(ask.clone())
    );
    let (mut times, mut disturbed) = (Vec::new(), None);
    for reply in [first, second, third] {
        let answer = reply.answer()?;
        let look = "the timeout in virtualservice.yaml, the delay in log-virtualservice.yaml";
        expect(answer.status == 504, "504", answer.summary(), look)?;
        match within("the 504", answer.elapsed_ms, 950, 1200)? {
            Look::Held(millis) => times.push(millis.to_string()),
            Look::Disturbed(unmet) => disturbed = Some(unmet),
        }
    }
    Ok(disturbed.map_or_else(|| Look::Held(times.join(", ")), Look::Disturbed))
}
