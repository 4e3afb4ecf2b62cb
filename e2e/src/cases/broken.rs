//! 404 and traffic without the filter: deleted, unobtainable, broken.

use anyhow::bail;
use serde_json::{Value, json};

use crate::case::{Case, Outcome, Tier, Unmet};
use crate::cases::oci::{self, FETCHES};
use crate::cases::sightings;
use crate::converge::{self, CONVERGENCE};
use crate::environment::{Environment, Proxy};
use crate::exchange::Answer;
use crate::gateway::marker;

pub(super) const DELETED: Case = Case {
    feature: "404",
    name: "plugin-deleted",
    tier: Tier::Full,
    claim: "without the gateway's WasmPlugin the VirtualService answers the same 404, unmarked; put back, the mark is back",
    run: |environment| Box::pin(deleted(environment)),
};

pub(super) const WRONG_DIGEST: Case = Case {
    feature: "OCI",
    name: "wrong-digest",
    tier: Tier::Full,
    claim: "a digest that the registry does not have is refused and counted by the gateway's agent; traffic goes on, \
            404 from the VirtualService",
    run: |environment| Box::pin(wrong_digest(environment)),
};

pub(super) const BROKEN_MODULE: Case = Case {
    feature: "404",
    name: "broken-module",
    tier: Tier::Full,
    claim: "with a module that no engine can load traffic goes on, 404 from the VirtualService",
    run: |environment| Box::pin(broken_module(environment)),
};

async fn deleted(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster();
    let marked = not_found_is(environment, sightings::marked_not_found).await?;
    cluster.delete(&cluster.gateway_plugin()).await?;
    let bare = not_found_is(environment, sightings::bare_not_found).await?;
    let same = marked.body == bare.body;
    crate::case::expect(
        same,
        marked.body,
        bare.body,
        "virtualservice.yaml's body and the filter's",
    )?;
    cluster.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    Ok("same 404 without the mark, /status 200; put back: with the mark".to_owned())
}

async fn wrong_digest(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster();
    let plugin = cluster.gateway_plugin();
    let source = oci::source(&cluster.read(&plugin).await?)?;
    let wrong = "f".repeat(64);
    let before = refused(environment).await?;
    let url = format!("oci://{}@sha256:{wrong}", source.repository);
    cluster
        .change(&plugin, &json!({"url": url, "sha256": wrong}))
        .await?;
    let after = converge::eventually("a refused fetch counted", CONVERGENCE, AGENT, async || {
        let after = refused(environment).await?;
        if after <= before {
            bail!("{FETCHES} of failures stays at {before}");
        }
        Ok(after)
    })
    .await?;
    not_found_is(environment, sightings::bare_not_found).await?;
    cluster.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    Ok(format!(
        "{FETCHES} of failures {before} -> {after}; /status 200, 404 unmarked; put back: marked"
    ))
}

async fn broken_module(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster();
    let plugin = cluster.gateway_plugin();
    let url = cluster.broken_module_url().await?;
    // Envoy keeps a module that works when its successor does not load; so the good one goes first
    cluster.delete(&plugin).await?;
    not_found_is(environment, sightings::bare_not_found).await?;
    let fetched = async || -> anyhow::Result<u64> {
        let stats = environment.mesh.stats(Proxy::Gateway).await?;
        Ok(stats.count(FETCHES, &[("result", "success")]))
    };
    let before = fetched().await?;
    cluster
        .change(&plugin, &json!({"url": url, "sha256": Value::Null}))
        .await?;
    let after = converge::eventually(
        "the broken module fetched",
        CONVERGENCE,
        AGENT,
        async || match fetched().await? {
            after if after > before => Ok(after),
            _ => bail!("{FETCHES} of successes stays at {before}"),
        },
    )
    .await?;
    not_found_is(environment, sightings::bare_not_found).await?;
    cluster.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    let times = after - before;
    Ok(format!(
        "fetched {times} x, not loaded; /status 200, 404 unmarked; put back: marked"
    ))
}

/// Where a fetch shows.
const AGENT: &str = "the gateway's log for wasm";

/// How many fetches the gateway's agents have refused.
async fn refused(environment: &Environment) -> anyhow::Result<u64> {
    let stats = environment.mesh.stats(Proxy::Gateway).await?;
    Ok(stats.count(FETCHES, &[]) - stats.count(FETCHES, &[("result", "success")]))
}

/// Waits until an unknown path's 404 is as `check` wants it while a known path is served; returns the 404.
async fn not_found_is(
    environment: &Environment,
    check: fn(&Answer) -> anyhow::Result<()>,
) -> Result<Answer, Unmet> {
    let marker = marker("broken");
    converge::steadily(
        "the expected 404 from /nowhere and 200 from /status",
        CONVERGENCE,
        async || {
            let known = environment.gateway.fetch("/status", &marker).await?;
            if known.status != 200 {
                bail!("/status: {}", known.summary());
            }
            let unknown = environment.gateway.fetch("/nowhere", &marker).await?;
            check(&unknown)?;
            Ok(unknown)
        },
    )
    .await
}
