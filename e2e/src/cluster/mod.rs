//! The mesh on Kubernetes, through `kubectl` and the ambient kubeconfig.

mod boundary;
mod changes;
mod guest;
mod inventory;
mod kubectl;
mod outsider;
mod plugin;
mod pod;
mod probes;
mod snapshot;
mod workload;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::sync::Mutex;

pub use self::boundary::{Network, plain_url};
pub use self::changes::Resource;
pub use self::guest::Guest;
pub use self::inventory::Inventory;
pub use self::kubectl::Kubectl;
pub use self::pod::{Container, Pod};
pub use self::snapshot::Snapshot;

use self::changes::Saved;
use self::probes::{Member, Planted};
use crate::exchange::{Ask, Reply};
use crate::parse::config::Config;
use crate::parse::log::{self, Line};
use crate::parse::reach::Reach;
use crate::parse::stats::Stats;
use crate::parse::version;
use crate::part::{App, Caller, Lives, Proxy};
use crate::unmet::Unmet;

/// Where to find what on the cluster.
#[derive(Clone, Debug)]
pub struct Names {
    /// The namespace of the deployment.
    pub namespace: String,
    /// The namespace of the ingress gateway.
    pub gateway_namespace: String,
    /// The labels of the ingress gateway's pods.
    pub gateway_labels: BTreeMap<String, String>,
    /// The one host that is served; absent where it is any.
    pub host: Option<String>,
    /// The image of the probes; without it no call can be made from inside the mesh.
    pub probe_image: Option<String>,
    /// An image with the dynamic module and `cp`.
    pub module_image: Option<String>,
    /// The secret with which pods of the deployment pull their images.
    pub pull_secret: Option<String>,
}

/// The container of a probe, in a pod of its own or as a guest.
pub const PROBE: &str = "probe";

/// How the ingress gateway's pods are known, where no plugin says it.
const GATEWAY: (&str, &str) = ("istio", "ingressgateway");

/// What a person says of it; the rest is found on the cluster.
#[derive(Clone, Debug)]
pub struct Told {
    /// The namespace of the deployment.
    pub namespace: String,
    /// The namespace of the ingress gateway.
    pub gateway_namespace: Option<String>,
    /// The one host that is served.
    pub host: Option<String>,
    /// The image of the probes.
    pub probe_image: Option<String>,
    /// An image with the dynamic module and `cp`.
    pub module_image: Option<String>,
}

impl Names {
    /// Finds what was not told: the gateway and its host by Faultline's plugin there, else by the label that Istio's
    /// default profile gives it; the image as deploy.sh has noted it on the namespace.
    ///
    /// # Errors
    /// When the cluster does not answer, or has no such namespace or no gateway.
    pub async fn find(told: Told) -> Result<Self> {
        let Told {
            namespace,
            gateway_namespace,
            host,
            probe_image,
            module_image,
        } = told;
        let found = Kubectl
            .json(&["get", "namespace", &namespace])
            .await
            .with_context(|| {
                format!(
                    "the namespace {namespace} cannot be read; ./deploy.sh puts Faultline there"
                )
            })?;
        let noted = |annotation: &str| {
            let found = found.pointer(&format!("/metadata/annotations/faultline~1{annotation}"));
            found.and_then(Value::as_str).map(ToOwned::to_owned)
        };
        let plugin = plugin::find(&namespace, gateway_namespace.as_deref()).await?;
        let (labels, hosts) = plugin.as_ref().map_or_else(
            || (plugin::labels(&[GATEWAY]), None),
            |plugin| (plugin.labels.clone(), plugin.host.clone()),
        );
        let gateway_namespace = match (gateway_namespace, plugin) {
            (Some(namespace), _) => namespace,
            (None, Some(plugin)) => plugin.namespace,
            (None, None) => {
                let selector = plugin::selector(&labels);
                let pods = Kubectl
                    .json(&["get", "pods", "-A", "-l", &selector])
                    .await?;
                let pods = pod::parse(&pods)?;
                let gateway = pods
                    .first()
                    .with_context(|| format!("no pod has the label {selector}"))?;
                gateway.namespace.clone()
            }
        };
        Ok(Self {
            pull_secret: noted("image-pull-secret"),
            namespace,
            gateway_namespace,
            gateway_labels: labels,
            host: host.or(hosts),
            probe_image: probe_image.or_else(|| noted("probe-image")),
            module_image,
        })
    }

    /// The full tier's namespace for what is not in the mesh.
    #[must_use]
    pub fn outside(&self) -> String {
        format!("{}-outside", self.namespace)
    }

    /// The full tier's namespace for the pod that kills.
    #[must_use]
    pub fn privileged(&self) -> String {
        format!("{}-privileged", self.namespace)
    }
}

/// A deployment on a cluster.
pub struct Cluster {
    /// The command line.
    pub kubectl: Kubectl,
    /// Where to find what.
    pub names: Names,
    planted: Box<Planted>,
    saved: Mutex<Vec<Saved>>,
}

impl Cluster {
    /// A deployment; nothing is touched yet.
    #[must_use]
    pub fn new(names: Names) -> Self {
        Self {
            kubectl: Kubectl,
            names,
            planted: Box::new(Planted::new()),
            saved: Mutex::new(Vec::new()),
        }
    }

    /// The running pods of an application, oldest name first.
    ///
    /// # Errors
    /// When they cannot be listed, or there is none.
    pub async fn pods(&self, app: App) -> Result<Vec<Pod>> {
        let selector = format!("app={}", app.name());
        self.running(&self.names.namespace, &selector).await
    }

    /// The ingress gateway's identity, as SPIFFE names it after the trust domain: that of its pods.
    ///
    /// # Errors
    /// As [`Self::pods`].
    pub async fn gateway_identity(&self) -> Result<String> {
        let pods = self.gateways().await?;
        let Pod {
            namespace, account, ..
        } = pods.first().context("no gateway")?;
        Ok(format!("/ns/{namespace}/sa/{account}"))
    }

    /// The running pods of the ingress gateway.
    ///
    /// # Errors
    /// As [`Self::pods`].
    pub async fn gateways(&self) -> Result<Vec<Pod>> {
        let selector = plugin::selector(&self.names.gateway_labels);
        self.running(&self.names.gateway_namespace, &selector).await
    }

    async fn running(&self, namespace: &str, selector: &str) -> Result<Vec<Pod>> {
        let pods = self.list(namespace, &["-l", selector]).await?;
        let pods: Vec<Pod> = pods.into_iter().filter(Pod::is_running).collect();
        if pods.is_empty() {
            anyhow::bail!("no running pod with {selector} in namespace {namespace}");
        }
        Ok(pods)
    }

    /// The pods of a namespace, in whatever state, with further arguments for kubectl.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self, namespace: &str, more: &[&str]) -> Result<Vec<Pod>> {
        let mut args = vec!["get", "pods", "-n", namespace];
        args.extend_from_slice(more);
        pod::parse(&self.kubectl.json(&args).await?)
    }

    /// As [`crate::environment::Mesh::log`].
    ///
    /// # Errors
    /// When a log cannot be read.
    pub async fn log(&self, app: App, lives: Lives, since: Instant) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        for pod in self.pods(app).await? {
            let restarted = pod.container(app.name()).is_some_and(|it| it.restarts > 0);
            if restarted && lives == Lives::WithPrevious {
                let before = self
                    .pod_log(&pod, app.name(), since, &["--previous"])
                    .await?;
                lines.extend(log::lines(&before));
            }
            lines.extend(log::lines(
                &self.pod_log(&pod, app.name(), since, &[]).await?,
            ));
        }
        Ok(lines)
    }

    /// What a container has written since `since`.
    ///
    /// # Errors
    /// When its log cannot be read.
    pub async fn pod_log(
        &self,
        pod: &Pod,
        container: &str,
        since: Instant,
        more: &[&str],
    ) -> Result<String> {
        // a second for kubectl's own start, one for the clock's rounding
        let since = format!("--since={}s", since.elapsed().as_secs() + 2);
        let mut args = vec![
            "logs",
            "-n",
            &pod.namespace,
            &pod.name,
            "-c",
            container,
            &since,
        ];
        args.extend_from_slice(more);
        self.kubectl.run(&args).await
    }

    /// As [`crate::environment::Mesh::call`].
    ///
    /// # Errors
    /// When the probe cannot be started or does not answer.
    pub async fn call(&self, caller: Caller, ask: &Ask) -> Result<Reply> {
        let pod = match caller {
            Caller::Insider => self.member(Member::Insider).await?,
            Caller::Stranger => self.member(Member::Stranger).await?,
            Caller::Outsider => return self.call_from_outside(ask).await,
        };
        self.call_from(pod, PROBE, ask).await
    }

    /// Makes a request from a container that runs the probe image.
    ///
    /// # Errors
    /// As [`call_from`].
    pub async fn call_from(&self, pod: &Pod, container: &str, ask: &Ask) -> Result<Reply> {
        call_from(pod, container, ask).await
    }

    /// As [`crate::environment::Mesh::url`].
    #[must_use]
    pub fn url(&self, app: App, path: &str) -> String {
        format!(
            "http://{}.{}:8080{path}",
            app.service(),
            self.names.namespace
        )
    }

    async fn proxies(&self, proxy: Proxy) -> Result<Vec<Pod>> {
        match proxy {
            Proxy::Gateway => self.gateways().await,
            Proxy::Sidecar(app) => self.pods(app).await,
        }
    }

    /// As [`crate::environment::Mesh::stats`]: what Istio's agent merges at port 15020, its own included.
    ///
    /// # Errors
    /// When a proxy's page cannot be read.
    pub async fn stats(&self, proxy: Proxy) -> Result<Stats> {
        let mut stats = Stats::default();
        for pod in self.proxies(proxy).await? {
            stats.add(self.stats_of(&pod).await?);
        }
        Ok(stats)
    }

    /// The same of one pod's proxy.
    ///
    /// # Errors
    /// When its page cannot be read.
    pub async fn stats_of(&self, pod: &Pod) -> Result<Stats> {
        let Pod {
            namespace, name, ..
        } = pod;
        let page =
            format!("/api/v1/namespaces/{namespace}/pods/{name}:15020/proxy/stats/prometheus");
        let printed = self.kubectl.run(&["get", "--raw", &page]).await?;
        Ok(Stats::parse(&printed))
    }

    /// The minor version of a proxy's Envoy (its first replica), such as 39.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn envoy_minor(&self, proxy: Proxy) -> Result<u32> {
        let pods = self.proxies(proxy).await?;
        let pod = pods.first().context("no proxy")?;
        version::minor(&self.admin(pod, "server_info").await?)
    }

    /// As [`crate::environment::Mesh::gateway_log`].
    ///
    /// # Errors
    /// When it cannot be read; [`Unmet::Skipped`] on an Istio that was installed without the outcome in it.
    pub async fn gateway_log(&self, since: Instant) -> Result<Vec<Line>, Unmet> {
        // whatever the installation is called, and wherever its configuration is
        let gateways = self.gateways().await?;
        let first = gateways.first().context("no gateway")?;
        let configuration = self.admin(first, "config_dump").await?;
        if !configuration.contains("wasm.faultline.outcome") {
            let reason = "this Istio was installed without the outcome in its access log (istio/installation.yaml)";
            return Err(Unmet::Skipped(reason.to_owned()));
        }
        let mut lines = Vec::new();
        for pod in gateways {
            let text = self.pod_log(&pod, "istio-proxy", since, &[]).await?;
            lines.extend(log::lines(&text));
        }
        Ok(lines)
    }

    /// The configuration a proxy (its first replica) runs on.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config(&self, proxy: Proxy) -> Result<Config> {
        let pods = self.proxies(proxy).await?;
        let pod = pods.first().context("no proxy")?;
        Config::parse(&self.admin(pod, "config_dump").await?)
    }

    /// As [`crate::environment::Mesh::reach`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reach(&self, proxy: Proxy, app: App) -> Result<Vec<Reach>> {
        let upstream = format!("outbound|8080||{}.", app.service());
        let mut all = Vec::new();
        for pod in self.proxies(proxy).await? {
            let server = self.admin(&pod, "server_info").await?;
            let clusters = self.admin(&pod, "clusters?format=json").await?;
            all.push(Reach::parse(&server, &clusters, &upstream)?);
        }
        Ok(all)
    }

    /// A page of a proxy's administration interface.
    async fn admin(&self, pod: &Pod, page: &str) -> Result<String> {
        let mut args = vec!["exec", "-n", &pod.namespace, &pod.name];
        args.extend(["-c", "istio-proxy", "--"]);
        args.extend(["pilot-agent", "request", "GET", page]);
        self.kubectl.run(&args).await
    }
}

/// Makes a request from a container that runs the probe image.
///
/// # Errors
/// When it could not be made; a refusal is a [`Reply`].
pub async fn call_from(pod: &Pod, container: &str, ask: &Ask) -> Result<Reply> {
    let millis = ask.timeout.as_millis().to_string();
    let mut args = vec!["exec", "-n", &pod.namespace, &pod.name];
    args.extend(["-c", container, "--"]);
    args.extend(["/faultline-e2e", "probe", "--method", ask.method.as_str()]);
    args.extend(["--timeout-ms", &millis]);
    let headers: Vec<String> = ask
        .headers
        .iter()
        .map(|(key, value)| format!("{key}: {value}"))
        .collect();
    for header in &headers {
        args.extend(["--header", header]);
    }
    if let Some(body) = &ask.body {
        args.extend(["--body", body]);
    }
    args.push(&ask.url);
    let printed = Kubectl.run(&args).await?;
    serde_json::from_str(&printed).with_context(|| format!("the probe printed {printed:?}"))
}

/// The pods of a list.
///
/// # Errors
/// When it is no list.
pub fn pods_of(list: &Value) -> Result<Vec<Pod>> {
    pod::parse(list)
}
