//! The example files of `filter/examples`, as somebody would use them.

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::envoy_gateway;
use crate::cases::oci::{self, NO_REGISTRY};
use crate::cases::sightings::{self, not_found_is};
use crate::cluster::{Cluster, Resource};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::gateway::marker;
use crate::part::Piece;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const WASM_PLUGIN: Case = Case {
    feature: "examples",
    name: "example-wasmplugin",
    tier: Tier::Full,
    claim: "filter/examples/wasmplugin.yaml in place of the gateway's plugin: its routes are guarded and observed, what \
            it does not name is the filter's 404; removed, the deployment's own plugin is back",
    run: |environment| {
        let yaml = include_str!("../../../filter/examples/wasmplugin.yaml");
        Box::pin(at_the_gateway(
            environment,
            "wasmplugins.extensions.istio.io",
            yaml,
        ))
    },
};

pub(super) const TRAFFIC_EXTENSION: Case = Case {
    feature: "examples",
    name: "example-trafficextension",
    tier: Tier::Full,
    claim: "the same with filter/examples/trafficextension.yaml",
    run: |environment| {
        let yaml = include_str!("../../../filter/examples/trafficextension.yaml");
        Box::pin(at_the_gateway(
            environment,
            "trafficextensions.extensions.istio.io",
            yaml,
        ))
    },
};

pub(super) const ENVOY_GATEWAY: Case = Case {
    feature: "examples",
    name: "example-envoy-gateway",
    tier: Tier::Full,
    claim: "the API server takes filter/examples/envoyextensionpolicy.yaml and envoyextensionpolicy-module.yaml by \
            Envoy Gateway's own definitions, and refuses them with a field misspelt or against one of their rules",
    run: |environment| Box::pin(by_the_definitions(environment)),
};

/// What the example says where the filter was published to.
const PUBLISHED: &str = "oci://registry.example.com/team/faultline/filter@sha256:\
                         0000000000000000000000000000000000000000000000000000000000000000";

async fn at_the_gateway(environment: &Environment, kind: &'static str, yaml: &str) -> Outcome {
    let cluster = environment.mesh.cluster(NO_REGISTRY)?;
    if cluster.names.host.is_some() {
        let reason = "the gateway is shared by a host name, and the example guards every host of its gateway";
        return Err(Unmet::Skipped(reason.to_owned()));
    }
    let known = ["get", "crd", kind, "--ignore-not-found", "-o", "name"];
    if cluster.kubectl.run(&known).await?.trim().is_empty() {
        return Err(Unmet::Skipped(format!("this Istio has no {kind}")));
    }
    let source = oci::source(&cluster.read(&cluster.gateway_plugin()).await?)?;
    let published = format!("oci://{}@sha256:{}", source.repository, source.digest);
    let namespace = &cluster.names.gateway_namespace;
    let yaml = filled(yaml, PUBLISHED, &published)?;
    let yaml = filled(
        &yaml,
        "namespace: istio-system",
        &format!("namespace: {namespace}"),
    )?;
    let labels: Vec<String> = cluster
        .names
        .gateway_labels
        .iter()
        .map(|(key, value)| format!("{key}: \"{value}\""))
        .collect();
    let yaml = filled(&yaml, "istio: ingressgateway", &labels.join("\n      "))?;
    let example = Resource {
        kind,
        namespace: namespace.clone(),
        name: "faultline".to_owned(),
    };

    environment.mesh.take_out(Piece::GatewayPlugin).await?;
    not_found_is(environment, sightings::bare_not_found).await?;
    cluster.add(&example, &yaml).await?;
    let seen = guarded(environment).await?;
    cluster.restore().await?;
    not_found_is(environment, sightings::marked_not_found).await?;
    let marker = marker("example");
    converge::steadily(
        "200 from /logs without the example",
        CONVERGENCE,
        async || {
            let answer = environment.gateway.fetch("/logs", &marker).await?;
            if answer.status != 200 {
                bail!("/logs: {}", answer.summary());
            }
            Ok(())
        },
    )
    .await?;
    Ok(format!("{seen}; removed: /logs 200, 404 marked"))
}

/// Waits until the gateway guards and observes as the example says; returns what it answered.
async fn guarded(environment: &Environment) -> Outcome {
    let marker = marker("example");
    let what =
        "200 from /status, the filter's 404 from /logs, and the mesh's 404 from /orders, observed";
    converge::steadily(what, CONVERGENCE, async || {
        let fetch = |path| environment.gateway.fetch(path, &marker);
        let known = fetch("/status").await?;
        if known.status != 200 {
            bail!("/status: {}", known.summary());
        }
        // the deployment serves it, the example does not
        sightings::marked_not_found(&fetch("/logs").await?).context("/logs")?;
        // the example serves it, the deployment does not
        let observed = fetch("/orders").await?;
        let hop = sightings::mark(&observed).context("/orders")?;
        let outcome = hop.details.get("outcome").map(String::as_str);
        if observed.status != 404 || outcome != Some("client_error") {
            bail!("/orders: {hop:?}, {}", observed.summary());
        }
        let details = "outcome=client_error";
        Ok(format!(
            "/status 200, /logs 404 marked, /orders 404 with {details}"
        ))
    })
    .await
}

async fn by_the_definitions(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_API_SERVER)?;
    let definitions = envoy_gateway::definitions().await?;
    let count = definitions.len();
    for definition in &definitions {
        cluster.add(&definition.resource, &definition.yaml).await?;
    }
    for definition in &definitions {
        let Resource { kind, name, .. } = &definition.resource;
        let there = format!("{kind}/{name}");
        let wait = [
            "wait",
            "--for=condition=Established",
            &there,
            "--timeout=60s",
        ];
        cluster.kubectl.run(&wait).await?;
    }
    let mut taken = 0;
    for example in &FOR_ENVOY_GATEWAY {
        taken += by_each_rule(cluster, example).await?;
    }
    cluster.restore().await?;
    Ok(format!(
        "{taken} resources of {count} kinds taken; of each example refused: an unknown field, a source without what \
         its type needs"
    ))
}

/// An example for Envoy Gateway.
struct Example {
    name: &'static str,
    yaml: &'static str,
    /// Words of it, wrong ones in their place, and what the API server says of those.
    wrong: [(&'static str, &'static str, &'static str); 2],
}

const FOR_ENVOY_GATEWAY: [Example; 2] = [
    Example {
        name: "filter/examples/envoyextensionpolicy.yaml",
        yaml: include_str!("../../../filter/examples/envoyextensionpolicy.yaml"),
        wrong: [
            (
                "failOpen:",
                "failsOpen:",
                "unknown field \"spec.wasm[0].failsOpen\"",
            ),
            (
                "type: Image",
                "type: HTTP",
                "If type is HTTP, http field needs to be set",
            ),
        ],
    },
    Example {
        name: "filter/examples/envoyextensionpolicy-module.yaml",
        yaml: include_str!("../../../filter/examples/envoyextensionpolicy-module.yaml"),
        wrong: [
            (
                "doNotClose:",
                "neverClose:",
                "unknown field \"spec.dynamicModules[0].neverClose\"",
            ),
            (
                "type: Remote",
                "type: Local",
                "If type is Local, local field needs to be set",
            ),
        ],
    },
];

/// Has the API server try the example as it is and with each wrong word; how many resources it took.
async fn by_each_rule(cluster: &Cluster, example: &Example) -> Result<usize, Unmet> {
    let yaml = envoy_gateway::renamed(example.yaml);
    let printed = tried(cluster, &yaml)
        .await
        .map_err(|error| Unmet::failed("the example taken", format!("{error:#}"), example.name))?;
    for (word, wrong, refusal) in example.wrong {
        let seen = match tried(cluster, &filled(&yaml, word, wrong)?).await {
            Ok(printed) => printed,
            Err(error) => format!("{error:#}"),
        };
        expect(
            seen.contains(refusal),
            format!("{wrong} refused: {refusal}"),
            seen,
            "whether the API server checks at all",
        )?;
    }
    Ok(printed.lines().count())
}

/// Why local mode has nothing of this to prove.
const NO_API_SERVER: &str = "there is no API server here";

/// Has the API server check resources and forget them; what it says.
async fn tried(cluster: &Cluster, yaml: &str) -> anyhow::Result<String> {
    let namespace = &cluster.names.namespace;
    let create = ["create", "--dry-run=server", "-n", namespace, "-f", "-"];
    cluster.kubectl.feed(&create, yaml).await
}

/// The text with a word replaced that must be there.
fn filled(yaml: &str, word: &str, by: &str) -> anyhow::Result<String> {
    if !yaml.contains(word) {
        bail!("the example has no {word:?}");
    }
    Ok(yaml.replace(word, by))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_not_there_is_noticed() {
        assert_eq!(filled("a: b", "b", "c").unwrap(), "a: c");
        assert!(filled("a: b", "d", "c").is_err());
    }
}
