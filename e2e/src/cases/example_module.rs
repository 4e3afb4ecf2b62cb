//! The example of the dynamic module, at a gateway of the suite's own: nobody's gateway is restarted for it.

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde_json::Value;

use crate::case::{Case, Tier};
use crate::cases::sightings;
use crate::cluster::{Cluster, PROBE, Pod, Resource, plain_url};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::{Answer, Ask};
use crate::parse::stats::Stats;
use crate::part::Proxy;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const MODULE: Case = Case {
    feature: "examples",
    name: "example-envoyfilter-module",
    tier: Tier::Full,
    claim: "filter/examples/envoyfilter-module.yaml at a gateway whose pod gets the module's file from an init container, \
            with the proxy's settings that the example names: its routes are guarded and observed as with WebAssembly, \
            and every request is counted under the same names",
    run: |environment| Box::pin(module(environment)),
};

const GATEWAY: &str = include_str!("../../module.yaml");
const EXAMPLE: &str = include_str!("../../../filter/examples/envoyfilter-module.yaml");

/// The first minor version of Envoy that loads the module.
const FIRST_ENVOY: u32 = 39;

/// Why local mode has nothing of this to prove.
const NO_PODS: &str = "there are no pods here, and no EnvoyFilter";

/// How many requests of each kind are counted.
const COUNTED: u64 = 3;

async fn module(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_PODS)?;
    let Some(image) = &cluster.names.module_image else {
        let reason = "--module-image is not given: an image with the dynamic module and cp (filter/README.md)";
        return Err(Unmet::Skipped(reason.to_owned()));
    };
    let minor = cluster.envoy_minor(Proxy::Gateway).await?;
    if minor < FIRST_ENVOY {
        let reason =
            format!("the proxies here are Envoy 1.{minor}; the module needs 1.{FIRST_ENVOY}");
        return Err(Unmet::Skipped(reason));
    }
    let gateway = move_in(cluster, image).await?;
    let seen = guarded(cluster, &gateway).await?;
    let counted = counted(cluster, &gateway).await?;
    cluster.restore().await?;
    Ok(format!("{seen}; {counted}"))
}

/// Puts the gateway and the example there, until [`Cluster::restore`]; returns the gateway's pod.
async fn move_in(cluster: &Cluster, image: &str) -> Result<Pod, Unmet> {
    let name = format!("{}-module", cluster.names.namespace);
    let namespace = Resource {
        kind: "namespaces",
        namespace: String::new(),
        name: name.clone(),
    };
    let yaml = GATEWAY
        .replace("NAMESPACE", &name)
        .replace("IMAGE", image)
        .replace("LABEL: VALUE", &injection(cluster).await?);
    cluster.add(&namespace, &yaml).await?;
    let example = EXAMPLE
        .replace("namespace: istio-system", &format!("namespace: {name}"))
        .replace("istio: ingressgateway", "istio: module-gateway");
    let filter = Resource {
        kind: "envoyfilters.networking.istio.io",
        namespace: name.clone(),
        name: "faultline".to_owned(),
    };
    cluster.add(&filter, &example).await?;
    let ready = [
        "rollout",
        "status",
        "deployment/module-gateway",
        "-n",
        &name,
    ];
    cluster.kubectl.run(&ready).await?;
    let pods = cluster.list(&name, &[]).await?;
    Ok(pods.into_iter().next().context("no pod of the gateway")?)
}

/// The label by which Istio takes part in the deployment's own namespace.
pub(super) async fn injection(cluster: &Cluster) -> Result<String> {
    let own = ["get", "namespace", &cluster.names.namespace];
    let own = cluster.kubectl.json(&own).await?;
    let revision = own.pointer("/metadata/labels/istio.io~1rev");
    Ok(match revision.and_then(Value::as_str) {
        Some(revision) => format!("istio.io/rev: {revision}"),
        None => "istio-injection: enabled".to_owned(),
    })
}

async fn ask(cluster: &Cluster, gateway: &Pod, method: Method, path: &str) -> Result<Answer> {
    let ask = Ask::get(plain_url(gateway, path)?)
        .method(method)
        .header("host", "module.test");
    let caller = cluster.caller_outside().await?;
    cluster.call_from(caller, PROBE, &ask).await?.answer()
}

/// Waits until the gateway guards and observes as the example says; returns what it answered.
async fn guarded(cluster: &Cluster, gateway: &Pod) -> Outcome {
    let what = "200 from /status, 404 from /logs, 405 for a POST of /status, and 200 from /orders, observed";
    converge::steadily(what, CONVERGENCE, async || {
        let known = ask(cluster, gateway, Method::GET, "/status").await?;
        if known.status != 200 || known.header("proxy-status").is_some() {
            bail!("/status: {}", known.summary());
        }
        let unknown = ask(cluster, gateway, Method::GET, "/logs").await?;
        sightings::marked_not_found(&unknown).context("/logs")?;
        let posted = ask(cluster, gateway, Method::POST, "/status").await?;
        if posted.status != 405 || posted.header("allow").as_deref() != Some("GET, HEAD") {
            bail!("POST /status: {}", posted.summary());
        }
        let observed = ask(cluster, gateway, Method::GET, "/orders").await?;
        let hop = sightings::mark(&observed).context("/orders")?;
        if observed.status != 200 || hop.error.is_some() {
            bail!("/orders: {hop:?}, {}", observed.summary());
        }
        Ok("/status 200, /logs 404 marked, POST /status 405, /orders 200 observed".to_owned())
    })
    .await
}

/// The filter's metrics that are looked at.
const METRICS: [(&str, &[(&str, &str)]); 3] = [
    (
        "faultline_requests_total",
        &[("route", "orders"), ("outcome", "ok")],
    ),
    ("faultline_unknown_routes_total", &[]),
    ("faultline_method_not_allowed_total", &[]),
];

/// Sends requests and waits until just these are counted, under the names that the WebAssembly module has.
async fn counted(cluster: &Cluster, gateway: &Pod) -> Outcome {
    let counts = |stats: &Stats| METRICS.map(|(name, labels)| stats.count(name, labels));
    let before = counts(&cluster.stats_of(gateway).await?);
    for _ in 0..COUNTED {
        for (method, path) in [
            (Method::GET, "/orders"),
            (Method::GET, "/logs"),
            (Method::POST, "/status"),
        ] {
            ask(cluster, gateway, method, path).await?;
        }
    }
    let expected = before.map(|count| count + COUNTED);
    let look = "proxy.istio.io/config of the gateway's pod: proxyStatsMatcher and runtimeValues";
    converge::eventually("each request counted once", CONVERGENCE, look, async || {
        let seen = counts(&cluster.stats_of(gateway).await?);
        if seen != expected {
            bail!("{before:?} before, {seen:?} after {COUNTED} of each");
        }
        Ok(())
    })
    .await?;
    let stats = cluster.stats_of(gateway).await?;
    let unlike = METRICS
        .map(|(name, _)| name)
        .into_iter()
        .find(|name| stats.has_raw_labels(name));
    expect(
        unlike.is_none(),
        "every name as it is, with nothing before it",
        format!("more before {}", unlike.unwrap_or_default()),
        look,
    )?;
    Ok(format!(
        "{} +{COUNTED} each",
        METRICS.map(|(name, _)| name).join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the example asks of a gateway, in the comment at its top, is what the suite's gateway has.
    #[test]
    fn the_gateway_is_as_the_example_says() {
        // A patch has behind "value:" what stands in a list of its own here.
        let bare = |line: &'static str| {
            let line = line.trim_start_matches(['#', ' ', '-']);
            line.strip_prefix("value: ").unwrap_or(line).trim_end()
        };
        let gateway: Vec<_> = GATEWAY.lines().map(bare).collect();
        let words = [
            "extraStatTags:",
            "inclusionPrefixes:",
            "envoy.reloadable_features",
            "command:",
            "{name: faultline-module",
            "emptyDir: {}",
        ];
        let comment = EXAMPLE.lines().filter(|line| line.starts_with("#  "));
        let asked: Vec<_> = comment
            .map(bare)
            .filter(|line| words.iter().any(|word| line.starts_with(word)))
            .collect();
        assert_eq!(asked.len(), 7, "{asked:?}");
        for line in asked {
            assert!(gateway.contains(&line), "{line}");
        }
    }
}
