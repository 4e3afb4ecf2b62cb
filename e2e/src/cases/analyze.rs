//! `istioctl analyze` finds nothing.

use std::io::ErrorKind;

use anyhow::{Context as _, anyhow};
use serde_json::Value;
use tokio::process::Command;

use crate::case::{Case, Tier};
use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const CLEAN: Case = Case {
    feature: "istioctl analyze",
    name: "analyze",
    tier: Tier::Quick,
    claim: "istioctl analyze has no finding in the namespace, of any level",
    run: |environment| Box::pin(clean(environment)),
};

/// The revision of the control plane that has injected custom-app's proxies, where it is not the default.
async fn revision(cluster: &Cluster) -> anyhow::Result<Option<String>> {
    let namespace = cluster.names.namespace.as_str();
    let get = ["get", "pods", "-n", namespace, "-l", "app=custom-app", "-o"];
    let rev = r"jsonpath={.items[0].metadata.annotations.istio\.io/rev}";
    let found = cluster.kubectl.run(&[&get[..], &[rev]].concat()).await?;
    Ok(Some(found).filter(|rev| !rev.is_empty() && rev != "default"))
}

async fn clean(environment: &Environment) -> Outcome {
    let cluster = environment
        .mesh
        .cluster("istioctl analyzes resources on a cluster")?;
    let namespace = &cluster.names.namespace;
    // of a revision that is not the default it sees no webhook, unless it is told
    let revision = revision(cluster).await?;
    let told = revision.iter().flat_map(|name| ["--revision", name]);
    let run = Command::new("istioctl")
        .args(["analyze", "-n", namespace, "--output", "json"])
        .args(told)
        .kill_on_drop(true)
        .output()
        .await;
    let output = match run {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(Unmet::Skipped("istioctl is not on the PATH".to_owned()));
        }
        run => run.context("running istioctl")?,
    };
    // with findings it fails too; without JSON it could not look
    let printed = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let findings: Vec<Value> = match printed.trim() {
        "" if output.status.success() => Vec::new(),
        printed => serde_json::from_str(printed)
            .map_err(|_| anyhow!("istioctl analyze: {}", said.trim()))?,
    };
    let shown: Vec<String> = findings.iter().map(Value::to_string).collect();
    expect(
        shown.is_empty(),
        "no finding",
        shown.join("; "),
        format!("`istioctl analyze -n {namespace}`"),
    )?;
    Ok(format!("no finding in namespace {namespace}"))
}
