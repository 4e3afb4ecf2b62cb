//! OCI: the plugin is the registry's, by digest.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::case::{Case, Tier};
use crate::converge;
use crate::environment::Environment;
use crate::part::{App, Proxy};
use crate::unmet::{Outcome, Unmet, expect};

/// Why local mode has nothing of this to prove.
pub(super) const NO_REGISTRY: &str =
    "the module is a file here, not an image that Istio's agent fetches";

pub(super) const DIGEST: Case = Case {
    feature: "OCI",
    name: "oci-digest",
    tier: Tier::Quick,
    claim: "every WasmPlugin is an OCI URL with a digest, and the proxies run on the module of that digest",
    run: |environment| Box::pin(digest(environment)),
};

/// Where a plugin comes from.
pub(super) struct Source {
    /// Without the digest.
    pub(super) repository: String,
    /// In hexadecimal, without `sha256:`.
    pub(super) digest: String,
}

/// Reads a WasmPlugin's source.
///
/// # Errors
/// When it is not an OCI URL with a digest.
pub(super) fn source(plugin: &Value) -> Result<Source> {
    let text = |key: &str| plugin.pointer(key).and_then(Value::as_str);
    let url = text("/spec/url").context("a plugin without a url")?;
    let image = url
        .strip_prefix("oci://")
        .with_context(|| format!("{url} is not oci://"))?;
    let (repository, digest) = image
        .split_once("@sha256:")
        .with_context(|| format!("{url} is not pinned by a digest"))?;
    if digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!("{url}: that is no digest");
    }
    Ok(Source {
        repository: repository.to_owned(),
        digest: digest.to_owned(),
    })
}

async fn digest(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    let gateway = source(&cluster.read(&cluster.gateway_plugin()).await?)?;
    let own = &cluster.names.namespace;
    let list = cluster
        .kubectl
        .json(&["get", "wasmplugins.extensions.istio.io", "-n", own])
        .await?;
    let plugins = list
        .get("items")
        .and_then(Value::as_array)
        .context("no list of plugins")?;
    expect(
        !plugins.is_empty(),
        "plugins for the services",
        "none",
        "wasmplugin.yaml",
    )?;
    for plugin in plugins {
        let digest = source(plugin)?.digest;
        expect(
            digest == gateway.digest,
            "one digest everywhere",
            digest,
            "wasmplugin.yaml",
        )?;
    }
    let file = format!("{}.wasm", gateway.digest);
    for proxy in [
        Proxy::Gateway,
        Proxy::Sidecar(App::CustomApp),
        Proxy::Sidecar(App::LogAgent),
    ] {
        let modules = cluster.config(proxy).await?.modules();
        expect(
            modules.iter().any(|module| module.ends_with(&file)),
            format!("{file} in the configuration of {proxy:?}"),
            format!("{modules:?}"),
            "the log of istio-proxy for wasm",
        )?;
    }
    let fetched = fetches(environment, &[("result", "success")]).await?;
    expect(
        fetched > 0,
        "a successful fetch at the gateway",
        fetched.to_string(),
        FETCHES,
    )?;
    let Source { repository, digest } = gateway;
    let start: String = digest.chars().take(12).collect();
    Ok(format!(
        "oci://{repository}@sha256:{start}… in {} plugins and 3 kinds of proxy, fetched {fetched} x",
        plugins.len() + usize::from(cluster.names.gateway_namespace != *own)
    ))
}

/// What Istio's agent counts per fetch of a module, by `result`.
pub(super) const FETCHES: &str = "istio_agent_wasm_remote_fetch_count";

/// Where a fetch shows.
pub(super) const AGENT: &str = "the gateway's log for wasm";

/// How many fetches the gateways' agents have counted.
pub(super) async fn fetches(environment: &Environment, labels: &[(&str, &str)]) -> Result<u64> {
    Ok(environment
        .mesh
        .stats(Proxy::Gateway)
        .await?
        .count(FETCHES, labels))
}

/// Waits until there is one more, and returns how many there are.
pub(super) async fn one_more_fetch(
    environment: &Environment,
    labels: &[(&str, &str)],
    before: u64,
) -> Result<u64, Unmet> {
    let what = format!("{FETCHES} {labels:?} above {before}");
    converge::eventually(&what, converge::CONVERGENCE, AGENT, async || match fetches(
        environment,
        labels,
    )
    .await?
    {
        after if after > before => Ok(after),
        _ => bail!("it stays"),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_a_digest_pins() {
        let hex = "0".repeat(64);
        let plugin = |url: String| json!({"spec": {"url": url}});
        let found = source(&plugin(format!("oci://r.test:5000/a/b@sha256:{hex}"))).unwrap();
        assert_eq!(
            (found.repository.as_str(), found.digest),
            ("r.test:5000/a/b", hex.clone())
        );
        for url in [
            format!("oci://r/a:{hex}"),
            format!("http://r/a@sha256:{hex}"),
            "oci://r/a@sha256:0".to_owned(),
        ] {
            assert!(source(&plugin(url)).is_err());
        }
    }
}
