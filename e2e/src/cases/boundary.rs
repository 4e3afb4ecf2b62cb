//! The second line: what no longer gets through where the mesh's own refusals are off, and what custom-app may call.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use crate::case::{Case, Tier};
use crate::cases::{authorization, kept};
use crate::cluster::{Cluster, Guest, Network, PROBE, Resource, plain_url};
use crate::converge::{self, CONVERGENCE};
use crate::environment::Environment;
use crate::exchange::{Ask, Reply};
use crate::gateway::marker;
use crate::part::{App, Caller};
use crate::unmet::{Outcome, Unmet};

pub(super) const NETWORK: Case = Case {
    feature: "network policies",
    name: "network-closed",
    tier: Tier::Full,
    claim: "with mTLS not demanded and no authorization policy, a pod outside the mesh gets 200 from both services only \
            beside a NetworkPolicy that opens all; without that it gets no answer, and the gateway still does",
    run: |environment| Box::pin(network(environment)),
};

pub(super) const EGRESS: Case = Case {
    feature: "egress",
    name: "egress-closed",
    tier: Tier::Full,
    claim: "a container in custom-app's own pod gets 200 from the log agent and, from its own proxy, 502 for another \
            address of the cluster, which answers 200 once the Sidecar is away and the network open; the network alone closed, \
            nothing",
    run: |environment| Box::pin(egress(environment)),
};

/// Why local mode has nothing of this to prove.
const NO_NETWORK: &str = "local mode has no pods, and so no network between them to close";
/// Whoever is let through has been answered long before.
const TIMEOUT: Duration = Duration::from_secs(2);

async fn network(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_NETWORK)?;
    if cluster.network().await? == Network::Ignores {
        return Err(Unmet::Skipped(
            "this cluster's network ignores NetworkPolicies: a pod that one of them closes was reached all the same"
                .to_owned(),
        ));
    }
    let permissive = json!({"mtls": {"mode": "PERMISSIVE"}});
    cluster
        .change(&cluster.peer_authentication(), &permissive)
        .await?;
    for policy in cluster.authorization_policies() {
        cluster.delete(&policy).await?;
    }
    let open = cluster.open_network().await?;
    let asks = plain_asks(cluster).await?;
    converge::steadily("200 with all of it open", CONVERGENCE, async || {
        for (app, ask) in &asks {
            answers(from_outside(cluster, ask).await?, 200)
                .with_context(|| app.name().to_owned())?;
        }
        Ok(())
    })
    .await?;
    cluster.remove(&open).await?;
    converge::steadily("no answer, but for the gateway", CONVERGENCE, async || {
        for (app, ask) in &asks {
            if let Reply::Answer(answer) = from_outside(cluster, ask).await? {
                bail!("{} answers {}", app.name(), answer.summary());
            }
        }
        let marker = marker("network-closed");
        let answer = environment.gateway.fetch("/logs?limit=1", &marker).await?;
        answers(Reply::Answer(answer), 200)
    })
    .await?;
    environment.mesh.restore().await?;
    let refused = [App::CustomApp, App::LogAgent];
    for (app, path) in refused.into_iter().zip(["/", "/logs"]) {
        authorization::gets(environment, Caller::Stranger, app, path, 403).await?;
    }
    Ok(
        "the mesh's policies off: the network open 200 and 200, closed no answer from either, gateway 200"
            .to_owned(),
    )
}

/// A GET of each application, at the address of one of its pods.
async fn plain_asks(cluster: &Cluster) -> Result<Vec<(App, Ask)>> {
    let mut asks = Vec::new();
    for (app, path) in [(App::CustomApp, "/"), (App::LogAgent, "/logs?limit=1")] {
        let pods = cluster.pods(app).await?;
        let url = plain_url(pods.first().context("no pod")?, path)?;
        asks.push((
            app,
            Ask::get(url)
                .marked(&marker("network-closed"))
                .timeout(TIMEOUT),
        ));
    }
    Ok(asks)
}

async fn from_outside(cluster: &Cluster, ask: &Ask) -> Result<Reply> {
    cluster
        .call_from(cluster.caller_outside().await?, PROBE, ask)
        .await
}

async fn egress(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_NETWORK)?;
    let network = cluster.network().await?;
    let server = cluster.server_outside().await?;
    let other = Ask::get(plain_url(server, "/")?).timeout(TIMEOUT);
    let replicas = cluster.pods(App::CustomApp).await?.len();
    let guest = cluster.plant_guest(App::CustomApp).await?;

    let log_agent = environment.mesh.url(App::LogAgent, "/logs?limit=1");
    let log_agent = Ask::get(log_agent).marked(&marker("egress-closed"));
    get(cluster, &guest, "200 from the log agent", &log_agent, 200).await?;
    get(cluster, &guest, "502 from custom-app's proxy", &other, 502).await?;

    let sidecar = cluster.sidecar();
    cluster.delete(&sidecar).await?;
    let open = cluster.open_network().await?;
    get(cluster, &guest, "200 with all of it open", &other, 200).await?;
    put_back(cluster, &sidecar).await?;
    get(cluster, &guest, "502 with the Sidecar alone", &other, 502).await?;
    cluster.delete(&sidecar).await?;
    cluster.remove(&open).await?;
    let alone = match network {
        Network::Ignores => "the cluster's network ignores NetworkPolicies".to_owned(),
        Network::Obeys => {
            converge::steadily(
                "no answer past the NetworkPolicies",
                CONVERGENCE,
                async || match ask(cluster, &guest, &other).await? {
                    Reply::NoAnswer { .. } => Ok(()),
                    // custom-app's proxy gave up before its caller
                    Reply::Answer(answer) if answer.status == 503 => Ok(()),
                    Reply::Answer(answer) => bail!("{}", answer.summary()),
                },
            )
            .await?;
            "the network alone closed, no answer".to_owned()
        }
    };
    environment.mesh.restore().await?;
    get(cluster, &guest, "502 again", &other, 502).await?;
    cluster.dismiss_guests().await?;
    kept::settled(cluster, App::CustomApp, replicas, &[guest.pod]).await?;
    Ok(format!(
        "log agent 200; another pod 502, no Sidecar and the network open 200, the Sidecar alone 502; {alone}"
    ))
}

async fn ask(cluster: &Cluster, guest: &Guest, ask: &Ask) -> Result<Reply> {
    cluster.call_from(&guest.pod, &guest.container, ask).await
}

/// Waits until a guest gets this status.
async fn get(
    cluster: &Cluster,
    guest: &Guest,
    what: &str,
    ask: &Ask,
    status: u16,
) -> Result<(), Unmet> {
    converge::steadily(what, CONVERGENCE, async || {
        answers(self::ask(cluster, guest, ask).await?, status)
    })
    .await
}

fn answers(reply: Reply, status: u16) -> Result<()> {
    let answer = reply.answer()?;
    if answer.status != status {
        bail!("{}", answer.summary());
    }
    Ok(())
}

/// A resource that was deleted, as it was, while the rest of the mesh stays changed.
async fn put_back(cluster: &Cluster, resource: &Resource) -> Result<()> {
    cluster.change(resource, &json!({})).await
}
