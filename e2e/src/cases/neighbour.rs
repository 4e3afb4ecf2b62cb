//! Another application behind the same gateway: deploy.sh refuses to come in its way, goes beside it where it is told to,
//! and --delete leaves it what it needs. In every choice of a gateway: e2e/choices.sh.

use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::case::{Case, Tier};
use crate::cases::deploy::{self, NO_CLUSTER};
use crate::cases::script::{self, Ran};
use crate::cluster::{Cluster, Resource};
use crate::converge::{self, CONVERGENCE};
use crate::environment::{Deletion, DeployScript, Environment};
use crate::exchange::Ask;
use crate::gateway::marker;
use crate::unmet::{Outcome, Unmet, expect};

pub(super) const NEIGHBOUR: Case = Case {
    feature: "deploy.sh",
    name: "neighbour",
    tier: Tier::Full,
    claim: "with another application on the gateway, deploy.sh is refused in Check, names it and changes nothing; where the \
            deployment may be deleted: --delete leaves Istio and says why, and from then on every request of the other \
            application is answered, while deploy.sh is refused again, deploys with --gateway own, shares the gateway by \
            --host, and deletes",
    run: |environment| Box::pin(neighbour(environment)),
};

const YAML: &str = include_str!("../../neighbour.yaml");
/// Between two requests of the other application's callers.
const PAUSE: Duration = Duration::from_millis(50);

async fn neighbour(environment: &Environment) -> Outcome {
    let cluster = environment.mesh.cluster(NO_CLUSTER)?;
    let script = deploy::script(environment)?;
    if cluster.names.host.is_some() || cluster.names.gateway_namespace == cluster.names.namespace {
        let reason = "Faultline has a gateway of its own, or shares one by a host: it stands in nobody's way (e2e/choices.sh)";
        return Err(Unmet::Skipped(reason.to_owned()));
    }
    let name = move_in(cluster).await?;

    let before = cluster.snapshot().await?;
    refused(&deploy(cluster, script).await?, &name)?;
    let changes = before.changes(&cluster.snapshot().await?);
    expect(
        changes.is_empty(),
        "nothing changed",
        changes.join(", "),
        "deploy.sh's checks come first",
    )?;
    if script.delete == Deletion::Refused {
        return Ok(format!(
            "refused, naming {name}; nothing changed; the deployment stays, so no more"
        ));
    }

    let installed = deploy::installed_by_script(cluster).await?;
    let args = ["--delete", "--namespace", &cluster.names.namespace];
    let ran = script::run(&script.path, &args, &[]).await?;
    let why = if installed {
        format!("Istio stays, since others use it: the Gateway/shop in {name}")
    } else {
        "Istio stays: it was not installed by deploy.sh".to_owned()
    };
    expect(
        ran.code == Some(0) && ran.stdout.contains(&why),
        format!("exit code 0 and {why:?}"),
        ran.tail(),
        "deploy/users.sh",
    )?;

    let cart = Ask::get(environment.gateway.url("/cart"))
        .header("host", "shop.test")
        .marked(&marker("neighbour"));
    let answers = async || answers(environment, &cart).await;
    converge::steadily("200 for the other application", CONVERGENCE, answers).await?;

    let before = cluster.inventory().await?;
    let (ran, answered) = while_answered(environment, &cart, deploy(cluster, script)).await?;
    refused(&ran, &name)?;
    let changes = cluster.inventory().await?.changes_since(&before);
    expect(
        changes.is_empty() && answered > 0,
        "nothing changed, the other application answering",
        format!("{answered} answers; {}", changes.join(", ")),
        "deploy.sh's checks come first",
    )?;
    let gateway = gateway_service(cluster).await?;
    let namespace = ["--skip-build", "--namespace", &cluster.names.namespace];
    let mut beside = answered;
    for choice in [
        ["--gateway", "own"].as_slice(),
        &["--gateway", &gateway, "--host", "faultline.test"],
    ] {
        let args = [&namespace, choice].concat();
        let run = async { script::run(&script.path, &args, &[]).await };
        let (ran, answered) = while_answered(environment, &cart, run).await?;
        let told = format!("exit code 0 with {}", choice.join(" "));
        expect(ran.code == Some(0), told, ran.tail(), "what deploy.sh says")?;
        beside += answered;
    }
    let run = async { script::run(&script.path, &args, &[]).await };
    let (ran, answered) = while_answered(environment, &cart, run).await?;
    let look = "deploy.sh --delete";
    expect(ran.code == Some(0), "exit code 0", ran.tail(), look)?;
    // a volume goes a moment after its claim
    converge::eventually(
        "nothing of Faultline's left",
        CONVERGENCE,
        look,
        async || {
            let left = cluster.inventory().await?.changes_since(&before);
            if !left.is_empty() {
                bail!("{}", left.join(", "));
            }
            Ok(())
        },
    )
    .await?;
    beside += answered;
    cluster.restore().await?;
    Ok(format!(
        "refused, naming {name}; deleted: {why}; {beside} of {beside} answered while deploy.sh was refused again, deployed \
         with a gateway of its own, shared {gateway} by a host, and deleted"
    ))
}

/// Whether the other application is answered.
async fn answers(environment: &Environment, cart: &Ask) -> anyhow::Result<()> {
    let answer = environment.gateway.send(cart.clone()).await.answer()?;
    if answer.status != 200 {
        bail!("{}", answer.summary());
    }
    Ok(())
}

/// Runs the script while the other application is asked; returns what became of it, and how many were answered: all.
async fn while_answered(
    environment: &Environment,
    cart: &Ask,
    run: impl Future<Output = anyhow::Result<Ran>>,
) -> Result<(Ran, usize), Unmet> {
    tokio::pin!(run);
    let mut answered = 0;
    loop {
        tokio::select! {
            ran = &mut run => return Ok((ran?, answered)),
            () = tokio::time::sleep(PAUSE) => {
                let asked = answers(environment, cart).await;
                asked.context("the other application, while deploy.sh ran")?;
                answered += 1;
            }
        }
    }
}

/// The gateway, as --gateway names it.
async fn gateway_service(cluster: &Cluster) -> Result<String, Unmet> {
    let namespace = cluster.names.gateway_namespace.as_str();
    let get = [
        "get",
        "services",
        "-n",
        namespace,
        "-l",
        "istio=ingressgateway",
        "-o",
    ];
    let name = "jsonpath={.items[0].metadata.name}";
    let name = cluster.kubectl.run(&[&get[..], &[name]].concat()).await?;
    Ok(format!("{namespace}/{name}"))
}

/// Puts the other application there, until [`Cluster::restore`]; returns its namespace.
async fn move_in(cluster: &Cluster) -> Result<String, Unmet> {
    let name = format!("{}-neighbour", cluster.names.namespace);
    let image = cluster.names.probe_image.as_deref();
    let image = image.context("--probe-image is not given and deploy.sh has noted none")?;
    let namespace = Resource {
        kind: "namespaces",
        namespace: String::new(),
        name: name.clone(),
    };
    let yaml = YAML.replace("NEIGHBOUR", &name).replace("IMAGE", image);
    let yaml = yaml.replace("PULL_SECRETS", &cluster.pull_secrets());
    cluster.add(&namespace, &yaml).await?;
    cluster.take_pull_secret(&name).await?;
    let ready = ["rollout", "status", "deployment/shop", "-n", &name];
    cluster.kubectl.run(&ready).await?;
    Ok(name)
}

async fn deploy(cluster: &Cluster, script: &DeployScript) -> anyhow::Result<Ran> {
    let args = ["--namespace", cluster.names.namespace.as_str()];
    script::run(&script.path, &args, &[]).await
}

fn refused(ran: &Ran, name: &str) -> Result<(), Unmet> {
    let who = format!("Gateway {name}/shop (shop.test)");
    let untouched = "Nothing was changed on the cluster.";
    expect(
        ran.code == Some(1) && ran.stderr.contains(&who) && ran.stderr.contains(untouched),
        format!("exit code 1, {who:?} and {untouched:?}"),
        ran.tail(),
        "deploy/neighbours.sh",
    )
}
