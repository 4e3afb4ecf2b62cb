//! Accepted means kept: an outbox outlives its pod, an update, and a replica that is scaled away.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::{entries, script};
use crate::cluster::{Cluster, Pod};
use crate::converge;
use crate::environment::Environment;
use crate::gateway::marker;
use crate::part::App;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const KEPT: Case = Case {
    feature: "nothing lost",
    name: "kept-outbox",
    tier: Tier::Full,
    claim: "the log agent away, entries accepted (202) at each of one replica more than usual, that one scaled away, \
            custom-app rolled, a pod deleted by force: with the log agent back each message is at /logs exactly once, \
            those of the replica that was scaled away after scaling up",
    run: |environment| Box::pin(kept(environment)),
};

/// Why local mode has nothing of this to prove.
pub(super) const NO_PODS: &str =
    "pods come and go on a cluster alone; local mode's outboxes lie in its state folder";
/// With the log agent away each replica waits for it as long as its grace lasts, 48 s.
pub(super) const ROLLING: Duration = Duration::from_secs(300);
/// The outboxes drain at the pace of the delay, 2 s a batch, after a back-off of up to 5 s.
const DRAINING: Duration = Duration::from_secs(60);
const PODS: &str = "`kubectl get pods` and `kubectl describe` of custom-app";
const OUTBOXES: &str = "custom-app's log, and its claims";

async fn kept(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_PODS)?;
    let gateway = &environment.gateway;
    let marker = marker("kept-outbox").replace('/', "-");
    let (custom_app, log_agent) = (App::CustomApp, App::LogAgent);
    let usual = cluster.pods(custom_app).await?.len();
    let scale = async |app, replicas: usize| -> Result<Vec<Pod>, Unmet> {
        let count = u64::try_from(replicas).map_err(anyhow::Error::from)?;
        cluster.scale(&cluster.workload(app), count).await?;
        settled(cluster, app, replicas, &[]).await
    };

    let agents = cluster.pods(log_agent).await?.len();
    scale(log_agent, 0).await?;
    let before = scale(custom_app, usual + 1).await?;
    let names: Vec<String> = before.iter().map(|pod| pod.name.clone()).collect();
    entries::wait_for_answers(cluster).await?;
    let sent = entries::send(gateway, &marker, &names, 2).await?;

    cluster.restart(custom_app).await?;
    scale(custom_app, usual).await?;
    let rolled = settled(cluster, custom_app, usual, &before).await?;
    let victim = rolled.first().context("no custom-app")?;
    cluster.force_delete(victim).await?;
    let stayed = settled(cluster, custom_app, usual, std::slice::from_ref(victim)).await?;
    let gone = |source: &str| !stayed.iter().any(|pod| pod.name == source);
    let there = || sent.accepted.iter().filter(|it| !gone(&it.source));
    let waiting = || sent.accepted.iter().filter(|it| gone(&it.source));
    scale(log_agent, agents).await?;
    let stored = converge::eventually(
        "the entries of the replicas that stayed at /logs",
        DRAINING,
        OUTBOXES,
        async || {
            let stored = entries::stored(gateway, &marker).await?;
            entries::all_there(there(), &stored)?;
            Ok(stored)
        },
    )
    .await?;
    let early = waiting().filter(|entry| stored.contains_key(&entry.message));
    expect(
        early.count() == 0,
        "the entries of the replica that was scaled away in its claim, and nowhere else",
        "some of them at /logs",
        "which replicas a retry reached",
    )?;
    let status = status(environment, cluster, &names, usual).await?;

    scale(custom_app, usual + 1).await?;
    let stored = converge::eventually(
        "every accepted entry at /logs",
        DRAINING,
        OUTBOXES,
        async || {
            let stored = entries::stored(gateway, &marker).await?;
            entries::all_there(sent.accepted.iter(), &stored)?;
            Ok(stored)
        },
    )
    .await?;
    entries::none_twice(&stored)?;

    environment.mesh.restore().await?;
    settled(cluster, custom_app, usual, &[]).await?;
    Ok(format!(
        "{} accepted (202) by {} replicas while the log agent was away, {usual} rolled, {} deleted by force: each once at \
         /logs, {} of them after scaling up{status}",
        sent.accepted.len(),
        names.len(),
        victim.name,
        waiting().count(),
    ))
}

/// An application's pods, once so many are ready, none is going away, and none is one of `replaced`.
pub(super) async fn settled(
    cluster: &Cluster,
    app: App,
    replicas: usize,
    replaced: &[Pod],
) -> Result<Vec<Pod>, Unmet> {
    let what = format!("{replicas} pods of {} ready", app.name());
    converge::eventually(&what, ROLLING, PODS, async || {
        let pods = cluster.settled(app, replicas).await?;
        if let Some(old) = pods
            .iter()
            .find(|pod| replaced.iter().any(|old| old.uid == pod.uid))
        {
            bail!("{} has not been replaced", old.name);
        }
        Ok(pods)
    })
    .await
}

/// What `deploy.sh --status` says of the claim without a replica.
async fn status(
    environment: &Environment,
    cluster: &Cluster,
    names: &[String],
    usual: usize,
) -> Result<&'static str, Unmet> {
    let Some(script) = &environment.deploy_script else {
        return Ok("; --status not asked, without --deploy-script");
    };
    let namespace = cluster.names.namespace.as_str();
    let ran = script::run(&script.path, &["--status", "--namespace", namespace], &[]).await?;
    let claims = names
        .iter()
        .skip(usual)
        .all(|name| ran.stdout.contains(&format!("data-{name}")));
    let advice = format!("--replicas={}", names.len());
    expect(
        ran.code == Some(0) && claims && ran.stdout.contains(&advice),
        "deploy.sh --status names the claim without a replica, and how to deliver what it holds",
        ran.tail(),
        "deploy/status.sh",
    )?;
    Ok("; --status names its claim")
}
