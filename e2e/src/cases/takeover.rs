//! deploy.sh takes an earlier version's Deployment over, and nothing that it holds is lost.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::case::{Case, Tier};
use crate::cases::kept::{NO_PODS, ROLLING, settled};
use crate::cases::rolling::while_asked;
use crate::cases::{deploy, entries, script};
use crate::cluster::{Cluster, Pod, Resource};
use crate::converge;
use crate::environment::Environment;
use crate::gateway::marker;
use crate::part::App;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const TAKEOVER: Case = Case {
    feature: "deploy.sh",
    name: "deploy-takeover",
    tier: Tier::Full,
    claim: "custom-app as an earlier version's Deployment, with accepted entries that the log agent does not take: \
            deploy.sh stops and leaves it; once they are taken, it goes, each message is at /logs exactly once, and no \
            request to / or /status fails meanwhile",
    run: |environment| Box::pin(takeover(environment)),
};

const EARLIER: &str = include_str!("../../earlier.yaml");
/// The pods of a Deployment have it, those of a StatefulSet have not.
const OF_DEPLOYMENT: &str = "app=custom-app,pod-template-hash";
/// For the run that must stop: long enough for custom-app's rollout.
const PATIENCE: &str = "90";
const LOOK: &str = "what deploy.sh says; deploy/takeover.sh";

async fn takeover(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_PODS)?;
    let script = deploy::script(environment)?;
    let gateway = &environment.gateway;
    let marker = marker("deploy-takeover").replace('/', "-");
    let earlier = Resource {
        kind: "deployments.apps",
        ..cluster.workload(App::CustomApp)
    };
    let replicas = cluster.pods(App::CustomApp).await?.len();
    let namespace = cluster.names.namespace.as_str();

    let pods = go_back(cluster, &earlier).await?;
    let names: Vec<String> = pods.iter().map(|pod| pod.name.clone()).collect();
    let refusal = Refusal::of(cluster);
    cluster.add(&refusal.resource, &refusal.yaml).await?;
    entries::wait_for_answers(cluster).await?;
    let sent = entries::send(gateway, &marker, &names, 2).await?;

    let stopping = async {
        let args = [
            "--namespace",
            namespace,
            "--skip-build",
            "--timeout",
            PATIENCE,
        ];
        Ok(script::run(&script.path, &args, &[]).await?)
    };
    let (stopped, first) = while_asked(gateway, &marker, stopping).await?;
    expect(
        stopped.code == Some(1) && stopped.stderr.contains("of an earlier version, holds"),
        "exit code 1, and a sentence that names what the earlier version holds",
        stopped.tail(),
        LOOK,
    )?;
    let kept = deployed(cluster).await?;
    let uids = |pods: &[Pod]| pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>();
    expect(
        uids(&kept) == uids(&pods),
        "the earlier version's pods as they were",
        format!("{kept:?}"),
        LOOK,
    )?;

    cluster.remove(&refusal.resource).await?;
    let args = ["--namespace", namespace, "--skip-build"];
    let again = script::run(&script.path, &args, &[]);
    // the proof at the end of the run overflows the limits on purpose
    let until_gone = while_asked(gateway, &marker, gone(cluster, &earlier));
    let (ran, second) = tokio::join!(again, until_gone);
    let (ran, ((), second)) = (ran?, second?);
    expect(ran.code == Some(0), "exit code 0", ran.tail(), LOOK)?;
    for tally in [&first, &second] {
        tally.all_answered()?;
    }
    let stored = entries::stored(gateway, &marker).await?;
    entries::all_there(sent.accepted.iter(), &stored)
        .map_err(|error| Unmet::failed("every accepted entry at /logs", error.to_string(), LOOK))?;
    entries::none_twice(&stored)?;
    environment.mesh.restore().await?;
    settled(cluster, App::CustomApp, replicas, &[]).await?;
    Ok(format!(
        "{} accepted by the Deployment; stopped while the log agent refused them; then gone, each once at /logs; {} \
         requests, all 200",
        sent.accepted.len(),
        first.requests + second.requests
    ))
}

/// Puts the earlier version's Deployment in place of the StatefulSet; returns its pods.
async fn go_back(cluster: &Cluster, earlier: &Resource) -> Result<Vec<Pod>, Unmet> {
    let set = cluster.workload(App::CustomApp);
    let manifest = cluster.read(&set).await?;
    let image = manifest.pointer("/spec/template/spec/containers/0/image");
    let image = image.and_then(Value::as_str).context("no image")?;
    let yaml = EARLIER
        .replace("NAMESPACE", &cluster.names.namespace)
        .replace("IMAGE", image)
        .replace("PULL_SECRETS", &cluster.pull_secrets());
    cluster.add(earlier, &yaml).await?;
    cluster.delete(&set).await?;
    converge::eventually(
        "the earlier version's pods alone, and ready",
        ROLLING,
        "`kubectl get pods`",
        async || {
            let (all, earlier) = (
                cluster.all_pods(App::CustomApp).await?,
                deployed(cluster).await?,
            );
            if earlier.is_empty() || all.len() != earlier.len() || !all.iter().all(Pod::is_ready) {
                bail!(
                    "{} pods, {} of them the Deployment's",
                    all.len(),
                    earlier.len()
                );
            }
            Ok(earlier)
        },
    )
    .await
}

async fn deployed(cluster: &Cluster) -> anyhow::Result<Vec<Pod>> {
    let selector = ["-l", OF_DEPLOYMENT];
    cluster.list(&cluster.names.namespace, &selector).await
}

/// Waits until the Deployment and its pods are gone.
async fn gone(cluster: &Cluster, earlier: &Resource) -> Result<(), Unmet> {
    let limit = ROLLING + Duration::from_secs(120);
    converge::eventually("the Deployment gone", limit, LOOK, async || {
        if cluster.is_there(earlier).await? || !deployed(cluster).await?.is_empty() {
            bail!("{earlier} is there");
        }
        Ok(())
    })
    .await
}

/// A policy under which the log agent is ready, answers questions, and takes no entries.
struct Refusal {
    resource: Resource,
    yaml: String,
}

impl Refusal {
    fn of(cluster: &Cluster) -> Self {
        let (namespace, name) = (cluster.names.namespace.clone(), "faultline-e2e-refusal");
        let yaml = format!(
            "apiVersion: security.istio.io/v1\n\
             kind: AuthorizationPolicy\n\
             metadata: {{name: {name}, namespace: {namespace}, labels: {{app: faultline-probe}}}}\n\
             spec:\n  selector: {{matchLabels: {{app: log-agent}}}}\n  action: DENY\n  \
             rules: [{{to: [{{operation: {{methods: [POST]}}}}]}}]\n"
        );
        Self {
            resource: Resource {
                kind: "authorizationpolicies.security.istio.io",
                namespace,
                name: name.to_owned(),
            },
            yaml,
        }
    }
}
