//! deploy.sh run again: it takes over an abandoned lock, a run beside it is refused, it changes nothing and its proof
//! leaves nothing.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;

use crate::case::{Case, Tier};
use crate::cases::deploy::{NO_CLUSTER, script};
use crate::cases::script::{self, Ran};
use crate::cluster::{Cluster, Inventory};
use crate::converge;
use crate::environment::{DeployScript, Environment};
use crate::gateway::{TEST, marker};
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const AGAIN: Case = Case {
    feature: "deploy.sh",
    name: "deploy-again",
    tier: Tier::Full,
    claim: "run again, with the lock of a run that has died 5 s to go: exit code 0 after these, every object of the deployment \
            is the same one with the same content, nothing new is anywhere on the cluster, and the entries that the proof \
            has posted say that they are tests; another run meanwhile is refused and names the first",
    run: |environment| Box::pin(again(environment)),
};

/// The Lease of deploy.sh, as a run leaves it that is killed.
const ABANDONED: &str = r#"{
    "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "faultline-deploy"},
    "spec": {"holderIdentity": "somebody@elsewhere:1:1", "leaseDurationSeconds": 5,
        "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000000Z"}}"#;
const ITS_HOLDER: &str = "somebody@elsewhere:1:1";
/// Longer than a build.
const UNTIL_LOCKED: Duration = Duration::from_secs(1800);
/// Within this a deleted pod is gone.
const CLEARED: Duration = Duration::from_secs(60);

async fn again(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_CLUSTER)?;
    let script = script(environment)?;
    let namespace = cluster.names.namespace.as_str();
    let newest = entries(environment).await?.into_iter().next();
    let before = (cluster.snapshot().await?, cluster.inventory().await?);
    let create = ["create", "-n", namespace, "-f", "-"];
    cluster.kubectl.feed(&create, ABANDONED).await?;

    let start = Instant::now();
    let args = ["--namespace", namespace];
    let (ran, second) = tokio::join!(
        script::run(&script.path, &args, &[]),
        beside(cluster, script)
    );
    let (ran, took) = (ran?, start.elapsed().as_secs());
    expect(
        ran.code == Some(0) && took >= 5,
        "exit code 0 after 5 s or more",
        format!("{took} s, {}", ran.tail()),
        "what deploy.sh says",
    )?;
    let (holder, second) = second?;
    expect(
        second.code == Some(1) && second.stderr.contains(&holder),
        format!("the second run refused with exit code 1, naming {holder}"),
        second.tail(),
        "deploy/lock.sh",
    )?;

    let changes = before.0.changes(&cluster.snapshot().await?);
    expect(
        changes.is_empty(),
        "no object changed",
        changes.join(", "),
        "`kubectl get -o yaml` of these",
    )?;
    let there = nothing_new(cluster, &before.1).await?;
    let posted = posted_since(environment, newest.as_ref()).await?;
    Ok(format!(
        "exit code 0 after {took} s; {} objects, none changed; {there} on the cluster, none new; {posted} entries, all \
         of tests; beside it exit code 1",
        before.0.len()
    ))
}

/// Once the script holds the lock, runs it a second time; returns the first one's identity and what came of the second.
async fn beside(cluster: &Cluster, script: &DeployScript) -> Result<(String, Ran), Unmet> {
    let namespace = cluster.names.namespace.as_str();
    let get = [
        "get",
        "lease",
        "faultline-deploy",
        "-n",
        namespace,
        "-o",
        "jsonpath={.spec.holderIdentity}",
    ];
    let look = "deploy/lock.sh";
    let holder =
        converge::eventually(
            "the lock taken over",
            UNTIL_LOCKED,
            look,
            async || match cluster.kubectl.run(&get).await? {
                holder if holder == ITS_HOLDER => bail!("{holder} has it"),
                holder => Ok(holder),
            },
        )
        .await?;
    let ran = script::run(&script.path, &["--namespace", namespace], &[]).await?;
    Ok((holder, ran))
}

/// Waits until the whole cluster has nothing that it had not before; returns how many objects it has.
async fn nothing_new(cluster: &Cluster, before: &Inventory) -> Result<usize, Unmet> {
    converge::eventually(
        "nothing new on the cluster",
        CLEARED,
        "what the proof plants",
        async || {
            let now = cluster.inventory().await?;
            let new = now.new_since(before);
            if !new.is_empty() {
                bail!("{}", new.join(", "));
            }
            Ok(now.len())
        },
    )
    .await
}

/// How many entries have come since `newest`, all of them from tests.
async fn posted_since(environment: &Environment, newest: Option<&Value>) -> Result<usize, Unmet> {
    let id = |entry: &Value| entry.get("id").cloned();
    let until = newest.and_then(id);
    let all = entries(environment).await?;
    let new: Vec<&Value> = all.iter().take_while(|entry| id(entry) != until).collect();
    let message = |entry: &Value| {
        let text = entry.get("message").and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let other = new.iter().find(|entry| !message(entry).starts_with(TEST));
    expect(
        !new.is_empty() && other.is_none(),
        format!("new entries that all begin with {TEST:?}"),
        format!("{} entries, {:?}", new.len(), other.map(|it| message(it))),
        "what the quick cases post, and whether anybody else does",
    )?;
    Ok(new.len())
}

/// The newest entries, newest first.
async fn entries(environment: &Environment) -> anyhow::Result<Vec<Value>> {
    let marker = marker("again");
    let page = environment
        .gateway
        .fetch("/logs?limit=100", &marker)
        .await?;
    let page: Value = serde_json::from_str(&page.body).context("a page of entries")?;
    let entries = page.get("entries").and_then(Value::as_array);
    Ok(entries.context("no entries in the page")?.clone())
}
