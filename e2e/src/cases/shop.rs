//! The tricks of [`crate::shop`], at a gateway of the suite's own: nobody's table is changed for it.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::case::{Case, Tier};
use crate::cases::{example_module, sightings};
use crate::cluster::{Cluster, PROBE, Pod, Resource, plain_url};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::Ask;
use crate::inside::tricks::Played;
use crate::shop::{self, SHOP};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const TRICKS: Case = Case {
    feature: "404",
    name: "hosts-and-templates",
    tier: Tier::Full,
    claim: "a table with hosts, templates and prefixes at a gateway: of a thousand tricks with paths and hosts none \
            brings the application a path that any server could read as one that the table does not name",
    run: |environment| Box::pin(tricks(environment)),
};

const YAML: &str = include_str!("../../shop.yaml");

/// Why local mode has nothing of this to prove.
const NO_PODS: &str =
    "there is no second gateway here; the filter's own tests play these tricks in Envoy alone";

async fn tricks(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_PODS)?;
    let gateway = move_in(cluster).await?;
    guarded(cluster, &gateway).await?;
    let played = play(cluster, &gateway).await?;
    cluster.restore().await?;
    let Played {
        tried,
        arrived,
        elsewhere,
        leaked,
        wrong,
    } = played;
    let look = "the filter's table and Envoy's normalisation: `meshConfig.pathNormalization`";
    expect(leaked.is_empty(), "0 leaked", leaked.join("; "), look)?;
    expect(wrong.is_empty(), "each answered", wrong.join("; "), look)?;
    expect(
        arrived > 0,
        "some are spellings of what is named",
        "none arrived",
        look,
    )?;
    Ok(format!(
        "{tried} tricks: {elsewhere} refused or another host's, {arrived} spellings of what is named; 0 leaked"
    ))
}

/// Puts the shop, its gateway and the plugin there, until [`Cluster::restore`]; returns the gateway's pod.
async fn move_in(cluster: &Cluster) -> Result<Pod, Unmet> {
    let name = format!("{}-shop", cluster.names.namespace);
    let namespace = Resource {
        kind: "namespaces",
        namespace: String::new(),
        name: name.clone(),
    };
    let yaml = YAML
        .replace("NAMESPACE", &name)
        .replace("IMAGE", cluster.image()?)
        .replace("PULL_SECRETS", &cluster.pull_secrets())
        .replace("LABEL: VALUE", &example_module::injection(cluster).await?);
    cluster.add(&namespace, &yaml).await?;
    cluster.take_pull_secret(&name).await?;
    let plugin = Resource {
        kind: "wasmplugins.extensions.istio.io",
        namespace: name.clone(),
        name: "shop".to_owned(),
    };
    let deployed = cluster.read(&cluster.gateway_plugin()).await?;
    cluster
        .add(&plugin, &guard(&deployed, &plugin)?.to_string())
        .await?;
    for deployment in ["deployment/shop-gateway", "deployment/shop"] {
        let ready = ["rollout", "status", deployment, "-n", &name];
        cluster.kubectl.run(&ready).await?;
    }
    let gateways = cluster.list(&name, &["-l", "istio=shop-gateway"]).await?;
    Ok(gateways
        .into_iter()
        .next()
        .context("no pod of the gateway")?)
}

/// The deployed plugin's module, with the shop's table and at the shop's gateway.
fn guard(deployed: &Value, plugin: &Resource) -> Result<Value> {
    let spec = deployed.get("spec").and_then(Value::as_object);
    let mut spec = spec.context("a plugin without a spec")?.clone();
    spec.remove("targetRefs");
    spec.insert(
        "selector".to_owned(),
        json!({"matchLabels": {"istio": "shop-gateway"}}),
    );
    spec.insert("pluginConfig".to_owned(), shop::configuration());
    Ok(json!({
        "apiVersion": deployed.get("apiVersion").context("a plugin without a version")?,
        "kind": "WasmPlugin",
        "metadata": {"name": plugin.name, "namespace": plugin.namespace},
        "spec": spec,
    }))
}

/// Waits until the shop's gateway has the filter and the routes.
async fn guarded(cluster: &Cluster, gateway: &Pod) -> Result<(), Unmet> {
    let what = "the filter's 404 from /nowhere at the shop's gateway, and 200 from /status";
    converge::steadily(what, CONVERGENCE, async || {
        for path in ["/nowhere", "/status"] {
            let ask = Ask::get(plain_url(gateway, path)?).header("host", SHOP);
            let caller = cluster.caller_outside().await?;
            let answer = cluster.call_from(caller, PROBE, &ask).await?.answer()?;
            match path {
                "/nowhere" => sightings::marked_not_found(&answer)?,
                _ if answer.status == 200 => {}
                _ => bail!("{path}: {}", answer.summary()),
            }
        }
        Ok(())
    })
    .await
}

async fn play(cluster: &Cluster, gateway: &Pod) -> Result<Played> {
    let url = plain_url(gateway, "")?;
    let address = url.trim_start_matches("http://");
    let caller = cluster.caller_outside().await?;
    let mut args = vec!["exec", "-n", &caller.namespace, &caller.name, "-c", PROBE];
    args.extend(["--", "/faultline-e2e", "tricks", address]);
    let printed = cluster.kubectl.run(&args).await?;
    serde_json::from_str(&printed).with_context(|| format!("the tricks printed {printed:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guard_is_the_deployed_module_with_the_shops_table() {
        let deployed = json!({
            "apiVersion": "extensions.istio.io/v1alpha1",
            "spec": {"url": "oci://registry.example.com/filter", "targetRefs": [], "pluginConfig": {"routes": []}},
        });
        let plugin = Resource {
            kind: "wasmplugins.extensions.istio.io",
            namespace: "n".to_owned(),
            name: "shop".to_owned(),
        };
        let guard = guard(&deployed, &plugin).unwrap();
        let spec = &guard["spec"];
        assert_eq!(spec["url"], deployed["spec"]["url"]);
        assert_eq!(spec["pluginConfig"], shop::configuration());
        assert_eq!(spec["selector"]["matchLabels"]["istio"], "shop-gateway");
        assert_eq!(spec.get("targetRefs"), None);
    }
}
