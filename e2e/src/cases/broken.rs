//! 404 and traffic without the filter: deleted, unobtainable, broken.

use anyhow::bail;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::case::{Case, Tier};
use crate::cases::oci::{self, AGENT, FETCHES, NO_REGISTRY, fetches, one_more_fetch};
use crate::cases::sightings::{self, not_found_is};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::part::{Piece, Proxy};
use crate::unmet::{Outcome, expect};

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

pub(super) const GARBAGE: Case = Case {
    feature: "404",
    name: "broken-module",
    tier: Tier::Full,
    claim: "with a module that is not WebAssembly the gateway's agent refuses and counts it; traffic goes on, 404 from \
            the VirtualService",
    run: |environment| Box::pin(garbage(environment)),
};

pub(super) const UNLOADABLE: Case = Case {
    feature: "404",
    name: "unloadable-module",
    tier: Tier::Full,
    claim: "after an update to a module that no engine can load, the gateway keeps the one before: traffic and 404 go on",
    run: |environment| Box::pin(unloadable(environment)),
};

async fn deleted(environment: &Environment) -> Outcome {
    let marked = not_found_is(environment, sightings::marked_not_found).await?;
    environment.mesh.take_out(Piece::GatewayPlugin).await?;
    let bare = not_found_is(environment, sightings::bare_not_found).await?;
    let same = marked.body == bare.body;
    expect(
        same,
        marked.body,
        bare.body,
        "virtualservice.yaml's body and the filter's",
    )?;
    environment.mesh.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    Ok("same 404 without the mark, /status 200; put back: with the mark".to_owned())
}

async fn wrong_digest(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let source = oci::source(&cluster.read(&cluster.gateway_plugin()).await?)?;
    let wrong = "f".repeat(64);
    let url = format!("oci://{}@sha256:{wrong}", source.repository);
    refused(
        environment,
        &json!({"url": url, "sha256": wrong}),
        "manifest_failure",
    )
    .await
}

async fn garbage(environment: &Environment) -> Outcome {
    let folder = environment
        .mesh
        .cluster(NO_REGISTRY)?
        .broken_modules()
        .await?;
    // new every time: the agent keeps what it has fetched
    let url = format!("{folder}/garbage/{}", Uuid::new_v4());
    refused(
        environment,
        &json!({"url": url, "sha256": null}),
        "fetch_failure",
    )
    .await
}

/// Changes the gateway's plugin so that its module is refused with this result, and back.
async fn refused(environment: &Environment, spec: &Value, result: &str) -> Outcome {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let labels = [("result", result)];
    let before = fetches(environment, &labels).await?;
    cluster.change(&cluster.gateway_plugin(), spec).await?;
    let after = one_more_fetch(environment, &labels, before).await?;
    not_found_is(environment, sightings::bare_not_found).await?;
    cluster.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    Ok(format!(
        "{FETCHES}{{result={result}}} {before} -> {after}; /status 200, 404 unmarked; put back: marked"
    ))
}

async fn unloadable(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let plugin = cluster.gateway_plugin();
    let good = format!(
        "{}.wasm",
        oci::source(&cluster.read(&plugin).await?)?.digest
    );
    let url = format!("{}/{}", cluster.broken_modules().await?, Uuid::new_v4());
    let labels = [("result", "success")];
    let before = fetches(environment, &labels).await?;
    cluster
        .change(&plugin, &json!({"url": url, "sha256": null}))
        .await?;
    one_more_fetch(environment, &labels, before).await?;
    // Envoy's dump names what it was given last, loaded or not
    converge::eventually(
        "the broken module at the gateway",
        CONVERGENCE,
        AGENT,
        async || {
            let modules = cluster.config(Proxy::Gateway).await?.modules();
            if modules.is_empty() || modules.iter().any(|module| module.ends_with(&good)) {
                bail!("{modules:?}");
            }
            Ok(())
        },
    )
    .await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    cluster.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    Ok(
        "fetched, not loaded: the gateway keeps the module before; /status 200, 404 marked"
            .to_owned(),
    )
}
