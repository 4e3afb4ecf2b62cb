//! An example on the cluster, from its namespaces to its removal.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use faultline_check::proof::{Proof, Versions};
use serde_json::{Value, json};

use super::KUBECTL;
use super::plan::{MARKER, Plan, text};
use super::workloads::{UPSTREAM, answering};
use crate::cluster::{self, Pod};
use crate::converge::{CONVERGENCE, eventually};
use crate::exchange::Ask;
use crate::inside::upstream::ANSWERING;

/// The labels of all that this makes.
const OURS: &str = "app=faultline-probe,faultline/rules=proof";
/// As long as pods of several images may take on a busy machine.
const START: Duration = Duration::from_secs(240);

/// An example that is in force.
pub(super) struct Place<'a> {
    pub(super) plan: &'a Plan,
    pub(super) proof: &'a Proof,
    pub(super) pods: Vec<Pod>,
}

/// Removes what any run has left, and waits until it is gone.
pub(super) async fn clear() -> Result<()> {
    let delete = ["delete", "namespaces", "-l", OURS, "--timeout=170s"];
    KUBECTL.run(&delete).await.map(drop)
}

/// The image that deploy.sh has noted.
pub(super) async fn noted_image(namespace: &str) -> Result<String> {
    let args = ["get", "namespace", namespace, "--ignore-not-found"];
    let found = KUBECTL.run(&[&args[..], &["-o", "json"]].concat()).await?;
    let found: Value = serde_json::from_str(&found).unwrap_or_default();
    let image = text(&found, "/metadata/annotations/faultline~1probe-image");
    if image.is_empty() {
        bail!("deploy.sh has noted no image on the namespace {namespace}: give --probe-image");
    }
    Ok(image.to_owned())
}

impl<'a> Place<'a> {
    /// Makes all of it, and waits until each proxy has it.
    pub(super) async fn make(plan: &'a Plan, proof: &'a Proof, injection: &str) -> Result<Self> {
        let (label, value) = injection
            .split_once('=')
            .context("--injection LABEL=VALUE")?;
        let namespaces = plan.namespaces.iter().map(|name| {
            json!({
                "apiVersion": "v1", "kind": "Namespace",
                "metadata": {"name": name, "labels": {
                    "app": "faultline-probe", "faultline/rules": "proof", label: value,
                }},
            })
        });
        create(&namespaces.collect::<Vec<_>>()).await?;
        for namespace in &plan.namespaces {
            let mut account = vec!["wait", "--for=create", "serviceaccount/default"];
            account.extend(["-n", namespace, "--timeout=60s"]);
            KUBECTL.run(&account).await?;
        }
        let mut latest = String::new();
        for batch in batches(&plan.resources) {
            later(&latest, plan).await?;
            latest = create(batch).await?;
        }
        let mut place = Self {
            plan,
            proof,
            pods: Vec::new(),
        };
        let ready = eventually(
            "every pod is ready",
            START,
            "kubectl get pods",
            async || place.ready().await,
        );
        place.pods = ready.await.map_err(unmet)?;
        place.tell().await?;
        let look = "istiod's log and each proxy's config_dump";
        let in_force = eventually("each proxy has all of it", CONVERGENCE, look, async || {
            place.in_force().await
        });
        in_force.await.map_err(unmet)?;
        Ok(place)
    }

    /// Removes it, without waiting.
    pub(super) async fn remove(&self) -> Result<()> {
        let mut delete = vec!["delete", "namespaces", "--wait=false"];
        delete.extend(self.plan.namespaces.iter().map(String::as_str));
        KUBECTL.run(&delete).await.map(drop)
    }

    async fn ready(&self) -> Result<Vec<Pod>> {
        let all = pods(OURS_EVERYWHERE, &self.plan.namespaces).await?;
        let ready = all.iter().filter(|pod| pod.is_ready()).count() as u64;
        if ready != self.plan.pods || all.len() as u64 != self.plan.pods {
            let late: Vec<_> = all.iter().filter(|pod| !pod.is_ready()).collect();
            let late = late
                .iter()
                .map(|pod| format!("{}/{}", pod.namespace, pod.name));
            let late = late.collect::<Vec<_>>().join(", ");
            bail!("{ready} of {} are ready; not yet: {late}", self.plan.pods);
        }
        Ok(all)
    }

    /// The pods of an application, by name.
    pub(super) async fn upstream(&self, deployment: &str) -> Result<Vec<Pod>> {
        let label = format!("{UPSTREAM}={deployment}");
        pods(&label, &self.plan.namespaces).await
    }

    /// Tells some of the pods of an application to behave otherwise than the others.
    async fn tell(&self) -> Result<()> {
        for upstream in &self.proof.upstreams {
            let Some(count) = upstream.of_pods else {
                continue;
            };
            let pods = self.upstream(&upstream.deployment).await?;
            if pods.len() < count {
                bail!(
                    "{} has {} pods, not {count}",
                    upstream.deployment,
                    pods.len()
                );
            }
            for pod in pods.iter().take(count) {
                let url = format!("http://127.0.0.1:{}{ANSWERING}", upstream.listens_on());
                let ask = Ask {
                    method: reqwest::Method::PUT,
                    body: Some(serde_json::to_string(&answering(&upstream.behaviour))?),
                    ..Ask::get(url)
                };
                let answer = cluster::call_from(pod, container(pod), &ask)
                    .await?
                    .answer()?;
                if answer.status != 204 {
                    bail!(
                        "{} does not do as it is told: {}",
                        pod.name,
                        answer.summary()
                    );
                }
            }
        }
        Ok(())
    }

    /// Each proxy has the route that was made last, and knows every pod of an application.
    async fn in_force(&self) -> Result<()> {
        let applications = pods(UPSTREAM, &self.plan.namespaces).await?;
        for pod in self.proxies() {
            let routes = admin(pod, "config_dump?resource=dynamic_route_configs").await?;
            if !routes.contains(&format!("{MARKER}-text")) {
                bail!("{}/{} lacks the last route", pod.namespace, pod.name);
            }
            for resource in ["dynamic_listeners", "dynamic_warming_clusters"] {
                let page = format!("config_dump?resource={resource}");
                if admin(pod, &page).await?.contains("warming") {
                    bail!("{}/{} is still warming up", pod.namespace, pod.name);
                }
            }
            let clusters = admin(pod, "clusters").await?;
            for application in &applications {
                let address = application.ip.as_deref().unwrap_or_default();
                if !clusters.contains(&format!("::{address}:")) {
                    bail!(
                        "{}/{} does not know {}",
                        pod.namespace,
                        pod.name,
                        application.name
                    );
                }
            }
        }
        Ok(())
    }

    fn proxies(&self) -> impl Iterator<Item = &Pod> {
        self.pods
            .iter()
            .filter(|pod| pod.container(PROXY).is_some())
    }

    /// The versions that it runs on.
    pub(super) async fn versions(&self) -> Result<Versions> {
        let pod = self.proxies().next().context("no proxy")?;
        let server: Value = serde_json::from_str(&admin(pod, "server_info").await?)?;
        let kubernetes = KUBECTL.json(&["version"]).await?;
        let envoy = text(&server, "/version")
            .split('/')
            .nth(1)
            .unwrap_or_default();
        Ok(Versions {
            istio: text(&server, "/node/metadata/ISTIO_VERSION").to_owned(),
            envoy: envoy.to_owned(),
            kubernetes: text(&kubernetes, "/serverVersion/gitVersion").to_owned(),
        })
    }
}

const PROXY: &str = "istio-proxy";
/// Every pod of a namespace.
const OURS_EVERYWHERE: &str = "";

fn unmet(unmet: crate::unmet::Unmet) -> anyhow::Error {
    anyhow::anyhow!("{unmet}")
}

async fn admin(pod: &Pod, page: &str) -> Result<String> {
    let mut args = vec!["exec", "-n", &pod.namespace, &pod.name, "-c", PROXY, "--"];
    args.extend(["pilot-agent", "request", "GET", page]);
    KUBECTL.run(&args).await
}

/// The container of the suite's image.
pub(super) fn container(pod: &Pod) -> &str {
    let own = pod.containers.iter().find(|it| it.name != PROXY);
    own.map_or(PROXY, |it| &it.name)
}

async fn pods(label: &str, namespaces: &BTreeSet<String>) -> Result<Vec<Pod>> {
    let mut found = Vec::new();
    for namespace in namespaces {
        let args = ["get", "pods", "-n", namespace, "-l", label];
        found.extend(cluster::pods_of(&KUBECTL.json(&args).await?)?);
    }
    Ok(found)
}

/// Resources that are made at once: none holds two of a kind of Istio's, whose order is that of their age.
fn batches(resources: &[Value]) -> impl Iterator<Item = &[Value]> {
    let mut rest = resources;
    std::iter::from_fn(move || {
        let mut kinds = BTreeSet::new();
        let repeats = |it: &Value| {
            let kind = text(it, "/kind").to_owned();
            text(it, "/apiVersion").contains("istio.io") && !kinds.insert(kind)
        };
        let end = rest.iter().position(repeats).unwrap_or(rest.len());
        let (batch, behind) = rest.split_at_checked(end)?;
        rest = behind;
        (!batch.is_empty()).then_some(batch)
    })
}

/// Makes resources, and says when the last one was made.
async fn create(resources: &[Value]) -> Result<String> {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": resources});
    let args = ["create", "-f", "-", "-o", "json"];
    let made = KUBECTL.feed(&args, &list.to_string()).await?;
    // one document after another
    let made = serde_json::Deserializer::from_str(&made).into_iter::<Value>();
    let mut latest = String::new();
    for resource in made {
        let resource = resource.context("kubectl create printed no JSON")?;
        let time = text(&resource, "/metadata/creationTimestamp");
        if *time > *latest {
            time.clone_into(&mut latest);
        }
    }
    Ok(latest)
}

/// Waits until what is made is younger: times of creation are whole seconds, and the cluster's own.
async fn later(than: &str, plan: &Plan) -> Result<()> {
    let base = &plan.names.base;
    let mut args = vec!["create", "configmap", "time", "-n", base];
    args.push("--dry-run=server");
    let passed = async || {
        let made = KUBECTL.json(&args).await?;
        match text(&made, "/metadata/creationTimestamp") > than {
            true => Ok(()),
            false => bail!("still {than}"),
        }
    };
    eventually(
        "a second has passed",
        CONVERGENCE,
        "the API server's clock",
        passed,
    )
    .await
    .map_err(unmet)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_of_a_kind_of_istios_is_made_later() {
        let of = |kind: &str| json!({"apiVersion": "networking.istio.io/v1", "kind": kind});
        let service = || json!({"apiVersion": "v1", "kind": "Service"});
        let all = [of("a"), of("b"), service(), service(), of("a"), of("a")];
        let sizes: Vec<_> = batches(&all).map(<[_]>::len).collect();
        assert_eq!(sizes, [4, 1, 1]);
    }
}
