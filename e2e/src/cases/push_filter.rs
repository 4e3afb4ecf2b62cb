//! deploy.sh push-filter: what it prints can be applied, and what it pushed is pulled and runs.

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::case::{Case, Tier};
use crate::cases::oci::{self, NO_REGISTRY, fetches, one_more_fetch};
use crate::cases::sightings::{self, not_found_is};
use crate::cases::{deploy, script};
use crate::converge::{self, CONVERGENCE};
use crate::environment::{DeployScript, Environment};
use crate::gateway::marker;
use crate::part::Proxy;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const BOTH_FORMS: Case = Case {
    feature: "OCI",
    name: "push-filter",
    tier: Tier::Full,
    claim: "deploy.sh push-filter, as an image and as an artifact: the server takes the WasmPlugin it prints, the gateway \
            pulls that digest and answers an unknown path of the printed routes in its name",
    run: |environment| Box::pin(both_forms(environment)),
};

/// Where deploy.sh puts the filter below the registry it is told.
const REPOSITORY: &str = "/faultline/filter";

async fn both_forms(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let script = deploy::script(environment)?;
    let deployed = oci::source(&cluster.read(&cluster.gateway_plugin()).await?)?.repository;
    let registry = deployed
        .strip_suffix(REPOSITORY)
        .with_context(|| format!("{deployed} does not end in {REPOSITORY}"))?;
    // new every time: the agent keeps what it has fetched
    let registry = format!("{registry}/{}", Uuid::new_v4());

    let mut seen = Vec::new();
    for form in ["image", "artifact"] {
        let digest = runs(environment, script, &registry, form).await?;
        let start: String = digest.chars().take(12).collect();
        seen.push(format!("{form} sha256:{start}…"));
        // so that the next form's routes are not served already
        cluster.restore().await?;
        not_found_is(environment, sightings::marked_not_found).await?;
    }
    Ok(format!(
        "{}: each fetched, 404 for /status in faultline's name; put back: /status 200",
        seen.join(", ")
    ))
}

/// Pushes the filter in a form and has the gateway run what is printed; returns the digest.
async fn runs(
    environment: &Environment,
    script: &DeployScript,
    registry: &str,
    form: &str,
) -> Result<String, Unmet> {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let args = ["push-filter", "--registry", registry, "--as", form];
    let ran = script::run(&script.path, &args, &[]).await?;
    expect(
        ran.code == Some(0),
        format!("{form}: exit code 0"),
        ran.tail(),
        "what deploy.sh says",
    )?;
    let try_it = ["apply", "--dry-run=server", "-f", "-", "-o", "json"];
    let plugin = cluster.kubectl.feed(&try_it, &ran.stdout).await?;
    let mut plugin: Value = serde_json::from_str(&plugin).context("kubectl printed no JSON")?;
    let source = oci::source(&plugin)?;
    expect(
        source.repository == format!("{registry}{REPOSITORY}"),
        format!("{form}: the WasmPlugin's url in {registry}"),
        source.repository,
        "deploy/push-filter.sh",
    )?;

    let fallback = plugin.pointer_mut("/spec/pluginConfig/fallback");
    *fallback.context("a plugin without a fallback")? = json!("enforce");
    let spec = plugin.get_mut("spec").and_then(Value::as_object_mut);
    let mut spec = spec.context("a plugin without a spec")?.clone();
    // the deployed plugin has it; here the url says it all
    spec.insert("sha256".to_owned(), Value::Null);
    let spec = Value::Object(spec);
    let fetched = [("result", "success")];
    let before = fetches(environment, &fetched).await?;
    cluster.change(&cluster.gateway_plugin(), &spec).await?;
    one_more_fetch(environment, &fetched, before).await?;
    answers(environment, &source.digest).await?;
    Ok(source.digest)
}

/// Waits until the gateway serves the printed routes alone, and looks which module does it.
async fn answers(environment: &Environment, digest: &str) -> Result<(), Unmet> {
    let marker = marker("push-filter");
    let what = "200 from / and the filter's 404 from /status, which the printed routes lack";
    converge::steadily(what, CONVERGENCE, async || {
        let known = environment.gateway.fetch("/", &marker).await?;
        if known.status != 200 {
            bail!("/: {}", known.summary());
        }
        sightings::marked_not_found(&environment.gateway.fetch("/status", &marker).await?)
    })
    .await?;
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let modules = cluster.config(Proxy::Gateway).await?.modules();
    let file = format!("{digest}.wasm");
    expect(
        modules.iter().any(|module| module.ends_with(&file)),
        format!("{file} in the configuration of the gateway"),
        format!("{modules:?}"),
        "the gateway's log for wasm",
    )
}
