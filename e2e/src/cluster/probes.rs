//! The pods of the suite's own, each planted when a case first needs it: those that call from inside the mesh, the
//! one that serves broken modules, the one that kills.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::sync::{Mutex, OnceCell};
use uuid::Uuid;

use super::{Cluster, Pod};

const PLACE: &str = include_str!("../../place.yaml");
const POD: &str = include_str!("../../pod.yaml");
const OPENING: &str = include_str!("../../opening.yaml");
/// As long as a first pull of the image may take.
const START: Duration = Duration::from_secs(120);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// What this run has planted.
pub(super) struct Planted {
    /// In the name of each pod, so that two runs never meet.
    run: String,
    stranger: OnceCell<Pod>,
    insider: OnceCell<Pod>,
    /// The namespace outside the mesh, once it is there.
    outside: OnceCell<()>,
    neighbour: OnceCell<Pod>,
    modules: OnceCell<Pod>,
    killer: Mutex<Option<Pod>>,
    /// Pods of an application in which a container of the suite's runs.
    pub(super) hosts: Mutex<Vec<Pod>>,
    /// The Jobs, as namespace and name.
    jobs: Mutex<Vec<(String, String)>>,
    places: AtomicBool,
}

impl Planted {
    pub(super) fn new() -> Self {
        let mut run = Uuid::new_v4().simple().to_string();
        run.truncate(8);
        Self {
            run,
            stranger: OnceCell::new(),
            insider: OnceCell::new(),
            outside: OnceCell::new(),
            neighbour: OnceCell::new(),
            modules: OnceCell::new(),
            killer: Mutex::new(None),
            hosts: Mutex::new(Vec::new()),
            jobs: Mutex::new(Vec::new()),
            places: AtomicBool::new(false),
        }
    }
}

/// A mesh pod that calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Member {
    /// With custom-app's identity: for the full tier.
    Insider,
    /// With the identity that every pod of the namespace has unless it is given another.
    Stranger,
}

/// How much a namespace lets its pods do: a level of the Pod Security Standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Restricted,
    /// For the one pod that looks into a node's processes.
    Privileged,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Restricted => "restricted",
            Self::Privileged => "privileged",
        }
    }
}

/// What is filled into the pod's template.
#[derive(Clone, Copy)]
struct Filling<'a> {
    name: &'a str,
    namespace: &'a str,
    image: &'a str,
    pull_secrets: &'a str,
    service_account: &'a str,
    node: &'a str,
    host_pid: &'a str,
}

fn render(filling: Filling<'_>) -> String {
    // SERVICE_ACCOUNT and NAMESPACE before NAME: one name holds the other
    POD.replace("SERVICE_ACCOUNT", filling.service_account)
        .replace("NAMESPACE", filling.namespace)
        .replace("NAME", filling.name)
        .replace("IMAGE", filling.image)
        .replace("PULL_SECRETS", filling.pull_secrets)
        .replace("NODE", filling.node)
        .replace("HOST_PID", filling.host_pid)
}

/// Whether the cluster's rules are what stands in the way.
fn is_refusal(said: &str) -> bool {
    said.contains("forbidden") || said.contains("denied")
}

/// What a container of the suite's has, once it has started; `late` is said when it does not.
pub(super) async fn started<T>(
    late: &str,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + START;
    loop {
        if let Some(found) = look().await? {
            return Ok(found);
        }
        if Instant::now() >= deadline {
            bail!("{late}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

impl Cluster {
    /// The pod of a mesh member that calls.
    pub(super) async fn member(&self, member: Member) -> Result<&Pod> {
        let (cell, role, service_account) = match member {
            Member::Insider => (&self.planted.insider, "insider", "custom-app"),
            Member::Stranger => (&self.planted.stranger, "stranger", "default"),
        };
        cell.get_or_try_init(async || {
            let namespace = &self.names.namespace;
            let pod = self.plant(role, namespace, service_account).await?;
            self.let_in(role).await?;
            Ok(pod)
        })
        .await
    }

    /// Lets a probe reach the services as far as the network goes: what is to be seen is the mesh's own answer.
    async fn let_in(&self, role: &str) -> Result<()> {
        let job = self.job(role);
        let policy = OPENING
            .replace("NAMESPACE", &self.names.namespace)
            .replace("NAME", &job)
            .replace("UID", &self.uid_of(&job).await?);
        self.kubectl
            .feed(&["create", "-f", "-"], &policy)
            .await
            .map(drop)
            .with_context(|| format!("opening the network for the probe {job}"))
    }

    async fn uid_of(&self, job: &str) -> Result<String> {
        let job = ["get", "job", job, "-n", &self.names.namespace];
        let job = self.kubectl.json(&job).await?;
        let uid = job.pointer("/metadata/uid").and_then(Value::as_str);
        uid.map(ToOwned::to_owned).context("a Job without a uid")
    }

    /// The stranger's Job, as the owner of what shall go with it.
    ///
    /// # Errors
    /// When the stranger cannot be started.
    pub(super) async fn strangers_job(&self) -> Result<Value> {
        self.member(Member::Stranger).await?;
        let name = self.job("stranger");
        let uid = self.uid_of(&name).await?;
        Ok(json!({"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}))
    }

    /// The image of the probes.
    ///
    /// # Errors
    /// When none is known.
    pub fn image(&self) -> Result<&str> {
        let missing = "--probe-image is not given and deploy.sh has noted none, so no call can be made from inside the mesh";
        self.names.probe_image.as_deref().context(missing)
    }

    /// As a pod's specification has them.
    pub fn pull_secrets(&self) -> String {
        let secret = self.names.pull_secret.as_deref();
        secret.map_or_else(|| "[]".to_owned(), |name| format!("[{{name: {name}}}]"))
    }

    /// Takes the secret with which images are pulled, where there is one, to a namespace that the suite has made.
    ///
    /// # Errors
    /// When it cannot be read or made.
    pub async fn take_pull_secret(&self, namespace: &str) -> Result<()> {
        let Some(name) = &self.names.pull_secret else {
            return Ok(());
        };
        let own = self.names.namespace.as_str();
        let secret = self
            .kubectl
            .json(&["get", "secret", name, "-n", own])
            .await?;
        let copy = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "type": secret.get("type"),
            "data": secret.get("data"),
        });
        self.kubectl
            .feed(&["create", "-f", "-"], &copy.to_string())
            .await
            .with_context(|| format!("taking the secret {name} to {namespace}"))?;
        Ok(())
    }

    pub(super) fn job(&self, role: &str) -> String {
        format!("faultline-{role}-{}", self.planted.run)
    }

    async fn plant(&self, role: &str, namespace: &str, service_account: &str) -> Result<Pod> {
        self.start(Filling {
            name: &self.job(role),
            namespace,
            image: self.image()?,
            pull_secrets: &self.pull_secrets(),
            service_account,
            node: "",
            host_pid: "false",
        })
        .await
    }

    /// Starts a probe and waits until it is ready.
    async fn start(&self, filling: Filling<'_>) -> Result<Pod> {
        let Filling {
            name, namespace, ..
        } = filling;
        let job = (namespace.to_owned(), name.to_owned());
        self.planted.jobs.lock().await.push(job);
        self.kubectl
            .feed(&["create", "-f", "-"], &render(filling))
            .await
            .with_context(|| format!("starting the probe {name}"))?;
        let selector = format!("batch.kubernetes.io/job-name={name}");
        let late =
            format!("the probe {name} is not ready: `kubectl -n {namespace} describe job {name}`");
        started(&late, async || {
            let pods = self.list(namespace, &["-l", &selector]).await?;
            match pods.into_iter().next() {
                None => self.expect_no_refusal(namespace, name).await.map(|()| None),
                pod => Ok(pod.filter(Pod::is_ready)),
            }
        })
        .await
    }

    /// A Job whose pod is refused says so in events only, and goes on trying.
    async fn expect_no_refusal(&self, namespace: &str, job: &str) -> Result<()> {
        let failed = format!("involvedObject.name={job},reason=FailedCreate");
        let events = [
            "get",
            "events",
            "-n",
            namespace,
            "--field-selector",
            &failed,
        ];
        // whoever may not read events waits instead
        let events = self.kubectl.json(&events).await.unwrap_or_default();
        let items = events.get("items").and_then(Value::as_array);
        let messages = items
            .into_iter()
            .flatten()
            .filter_map(|event| event.get("message")?.as_str());
        match messages.into_iter().find(|message| is_refusal(message)) {
            Some(message) => bail!("{message}"),
            None => Ok(()),
        }
    }

    /// Makes a namespace outside the mesh. One of that name that is somebody's stays as it is, and is an error.
    async fn make_place(&self, name: &str, level: Level) -> Result<()> {
        self.planted.places.store(true, Ordering::Relaxed);
        // what a run that was killed may have left
        self.clear_place(name, &[]).await?;
        let place = PLACE.replace("NAME", name).replace("LEVEL", level.name());
        self.kubectl
            .feed(&["create", "-f", "-"], &place)
            .await
            .with_context(|| format!("making the namespace {name}"))?;
        let mut account = vec!["wait", "--for=create", "serviceaccount/default"];
        account.extend(["-n", name, "--timeout=30s"]);
        self.kubectl.run(&account).await?;
        self.take_pull_secret(name).await
    }

    async fn clear_place(&self, name: &str, more: &[&str]) -> Result<()> {
        let named = format!("metadata.name={name}");
        let mut delete = vec!["delete", "namespaces", "-l", "app=faultline-probe"];
        delete.extend(["--field-selector", &named]);
        delete.extend_from_slice(more);
        let done = self.kubectl.run(&delete).await.map(drop);
        done.with_context(|| format!("removing the namespace {name}"))
    }

    /// Where the gateway can fetch broken WebAssembly modules: the `http://` URL of a folder.
    ///
    /// # Errors
    /// When the pod that serves it cannot be started.
    pub async fn broken_modules(&self) -> Result<String> {
        let ip = self.server_outside().await?.ip.as_deref();
        Ok(format!(
            "http://{}:8080",
            ip.context("the modules' pod has no address")?
        ))
    }

    /// A pod outside the mesh that answers any GET at port 8080.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn server_outside(&self) -> Result<&Pod> {
        self.plant_outside(&self.planted.modules, "modules").await
    }

    /// A pod outside the mesh that calls, and that no policy of Faultline lets in.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn caller_outside(&self) -> Result<&Pod> {
        self.plant_outside(&self.planted.neighbour, "neighbour")
            .await
    }

    async fn plant_outside<'a>(&self, cell: &'a OnceCell<Pod>, role: &str) -> Result<&'a Pod> {
        let outside = self.names.outside();
        let place = || self.make_place(&outside, Level::Restricted);
        self.planted.outside.get_or_try_init(place).await?;
        cell.get_or_try_init(|| self.plant(role, &outside, "default"))
            .await
    }

    /// Puts a pod on the node of `target` that can kill its processes; where hostPID pods are not allowed, the reason.
    ///
    /// # Errors
    /// When it is allowed but does not start.
    pub async fn plant_killer(&self, target: &Pod) -> Result<Result<(), String>> {
        let mut killer = self.planted.killer.lock().await;
        if killer.as_ref().is_some_and(|it| it.node == target.node) {
            return Ok(Ok(()));
        }
        let privileged = self.names.privileged();
        self.make_place(&privileged, Level::Privileged).await?;
        let name = self.job("killer");
        let pull_secrets = self.pull_secrets();
        let started = self.start(Filling {
            name: &name,
            namespace: &privileged,
            image: self.image()?,
            pull_secrets: &pull_secrets,
            service_account: "default",
            node: &target.node,
            host_pid: "true",
        });
        match started.await {
            Ok(pod) => {
                *killer = Some(pod);
                Ok(Ok(()))
            }
            Err(error) => {
                let text = format!("{error:#}");
                if is_refusal(&text) {
                    Ok(Err(text))
                } else {
                    Err(error)
                }
            }
        }
    }

    /// Kills (SIGKILL) the process `command` of a pod; returns what the killer says.
    ///
    /// # Errors
    /// When it finds no such process or may not kill it.
    pub async fn kill(&self, target: &Pod, command: &str) -> Result<String> {
        let killer = self.planted.killer.lock().await;
        let killer = killer.as_ref().context("no killer was planted")?;
        let mut args = vec!["exec", "-n", &killer.namespace, &killer.name, "-c", "probe"];
        args.extend(["--", "/faultline-e2e", "kill-container", "--pod-uid"]);
        args.extend([target.uid.as_str(), command]);
        Ok(self.kubectl.run(&args).await?.trim().to_owned())
    }

    /// Removes whatever the suite has put on the cluster. It may still be on its way out.
    ///
    /// # Errors
    /// When something is left; the error names it.
    pub async fn leave(&self) -> Result<()> {
        let mut done = Ok(());
        let mut jobs = self.planted.jobs.lock().await;
        for (namespace, name) in jobs.drain(..) {
            let mut delete = vec!["delete", "job", &name, "-n", &namespace];
            delete.extend(["--ignore-not-found", "--wait=false"]);
            let gone = self.kubectl.run(&delete).await.map(drop);
            // all of them, whatever comes of the first
            done = done.and(gone.with_context(|| format!("removing the probe {name}")));
        }
        done = done.and(self.dismiss_guests().await);
        if self.planted.places.load(Ordering::Relaxed) {
            for place in [self.names.outside(), self.names.privileged()] {
                // an empty namespace takes seconds to go; nobody needs to wait for that
                done = done.and(self.clear_place(&place, &["--wait=false"]).await);
            }
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_in_capitals_is_filled_in() {
        let rendered = render(Filling {
            name: "n",
            namespace: "ns",
            image: "registry.test/e2e@sha256:0",
            pull_secrets: "[{name: s}]",
            service_account: "sa",
            node: "",
            host_pid: "false",
        });
        for line in rendered
            .lines()
            .map(str::trim_start)
            .filter(|line| !line.starts_with('#') && !line.starts_with("checkov.io/"))
        {
            let capitals = line.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
            let left: Vec<_> = capitals.filter(|word| word.len() > 3).collect();
            assert!(left.is_empty(), "{line}");
        }
        assert!(rendered.contains("name: n\n") && rendered.contains("namespace: ns\n"));
        assert!(rendered.contains("serviceAccountName: sa") && rendered.contains("hostPID: false"));
        assert!(rendered.contains("imagePullSecrets: [{name: s}]\n"));
    }

    /// A run that is killed cannot clear away.
    #[test]
    fn the_cluster_itself_removes_a_probe() {
        assert!(
            POD.contains("\n  activeDeadlineSeconds: ")
                && POD.contains("\n  ttlSecondsAfterFinished: 0\n")
        );
    }
}
