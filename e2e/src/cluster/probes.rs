//! The pods that call from inside the mesh, and the one that kills.

use anyhow::{Context as _, Result};

use super::{Cluster, Pod};
use crate::part::Caller;

const PLACES: &str = include_str!("../../places.yaml");
const POD: &str = include_str!("../../pod.yaml");
const LABEL: &str = "app=faultline-probe";
const KILLER: &str = "faultline-killer";
const OUTSIDER: &str = "faultline-outsider";

/// What is filled into the pod's template.
struct Filling<'a> {
    name: &'a str,
    namespace: &'a str,
    image: &'a str,
    service_account: &'a str,
    node: &'a str,
    host_pid: &'a str,
}

fn render(filling: &Filling<'_>) -> String {
    // SERVICE_ACCOUNT and NAMESPACE before NAME: one name holds the other
    POD.replace("SERVICE_ACCOUNT", filling.service_account)
        .replace("NAMESPACE", filling.namespace)
        .replace("NAME", filling.name)
        .replace("IMAGE", filling.image)
        .replace("NODE", filling.node)
        .replace("HOST_PID", filling.host_pid)
}

impl Cluster {
    /// Where a caller's pod is.
    pub(super) fn probe(&self, caller: Caller) -> (String, &'static str) {
        match caller {
            Caller::Insider => (self.names.namespace.clone(), "faultline-insider"),
            Caller::Stranger => (self.names.namespace.clone(), "faultline-stranger"),
            Caller::Outsider => (self.names.outside(), OUTSIDER),
        }
    }

    fn image(&self) -> Result<&str> {
        let missing = "--probe-image is not given and deploy.sh has noted none, so no call can be made from inside the mesh";
        self.names.probe_image.as_deref().context(missing)
    }

    /// Puts the callers' pods there and waits until they are ready.
    pub(super) async fn plant(&self) -> Result<()> {
        let image = self.image()?;
        // what an interrupted run may have left would stand in the way
        self.uproot(&[]).await?;
        self.make_places().await?;
        let mut manifests = String::new();
        for (caller, service_account) in [
            (Caller::Insider, "custom-app"),
            (Caller::Stranger, "faultline-stranger"),
            (Caller::Outsider, "default"),
        ] {
            let (namespace, name) = self.probe(caller);
            manifests.push_str("---\n");
            manifests.push_str(&render(&Filling {
                name,
                namespace: &namespace,
                image,
                service_account,
                node: "",
                host_pid: "false",
            }));
        }
        self.kubectl
            .feed(&["apply", "-f", "-"], &manifests)
            .await
            .context("starting the probes")?;
        self.await_probes().await
    }

    async fn make_places(&self) -> Result<()> {
        let places = PLACES
            .replace("NAMESPACE", &self.names.namespace)
            .replace("OUTSIDE", &self.names.outside());
        self.kubectl
            .feed(&["apply", "-f", "-"], &places)
            .await
            .context("preparing for the probes")?;
        let outside = self.names.outside();
        let account = [
            "wait",
            "--for=create",
            "serviceaccount/default",
            "-n",
            &outside,
            "--timeout=30s",
        ];
        self.kubectl.run(&account).await.map(drop)
    }

    async fn await_probes(&self) -> Result<()> {
        for namespace in [&self.names.namespace, &self.names.outside()] {
            let wait = [
                "wait",
                "--for=condition=Ready",
                "pod",
                "-n",
                namespace,
                "-l",
                LABEL,
            ];
            let mut wait = wait.to_vec();
            wait.push("--timeout=120s");
            self.kubectl
                .run(&wait)
                .await
                .context("waiting for the probes")?;
        }
        Ok(())
    }

    /// Where the gateway can fetch broken WebAssembly modules: the `http://` URL of a folder.
    ///
    /// # Errors
    /// When the pod that serves it is not there.
    pub async fn broken_modules(&self) -> Result<String> {
        self.probes.get_or_try_init(|| self.plant()).await?;
        let pods = self.list(&self.names.outside(), &["-l", LABEL]).await?;
        let outsider = pods.iter().find(|pod| pod.name == OUTSIDER);
        let ip = outsider
            .and_then(|pod| pod.ip.as_deref())
            .context("the outsider has no address")?;
        Ok(format!("http://{ip}:8080"))
    }

    /// Puts a pod on the node of `target` that can kill its processes; `None` where hostPID pods are
    /// not allowed, with the reason.
    ///
    /// # Errors
    /// When it is allowed but does not start.
    pub async fn plant_killer(&self, target: &Pod) -> Result<Result<(), String>> {
        self.probes.get_or_try_init(|| self.plant()).await?;
        let outside = self.names.outside();
        let manifest = render(&Filling {
            name: KILLER,
            namespace: &outside,
            image: self.image()?,
            service_account: "default",
            node: &target.node,
            host_pid: "true",
        });
        if let Err(error) = self.kubectl.feed(&["apply", "-f", "-"], &manifest).await {
            let text = format!("{error:#}");
            if text.contains("forbidden") || text.contains("denied") {
                return Ok(Err(text));
            }
            return Err(error.context("starting the killer"));
        }
        self.await_probes().await.map(Ok)
    }

    /// Kills (SIGKILL) the process `command` of a pod; returns what the killer says.
    ///
    /// # Errors
    /// When it finds no such process or may not kill it.
    pub async fn kill(&self, target: &Pod, command: &str) -> Result<String> {
        let outside = self.names.outside();
        let mut args = vec!["exec", "-n", &outside, KILLER, "-c", "probe", "--"];
        args.extend([
            "/faultline-e2e",
            "kill-container",
            "--pod-uid",
            &target.uid,
            command,
        ]);
        Ok(self.kubectl.run(&args).await?.trim().to_owned())
    }

    /// Removes whatever the suite has put on the cluster.
    ///
    /// # Errors
    /// When something is left; the error names it.
    pub async fn leave(&self) -> Result<()> {
        if self.image().is_err() {
            return Ok(());
        }
        // an empty namespace takes seconds to go; nobody needs to wait for that
        self.uproot(&["--wait=false"]).await
    }

    async fn uproot(&self, wait: &[&str]) -> Result<()> {
        let outside = self.names.outside();
        let inside = &self.names.namespace;
        let mut pods = vec!["delete", "pods,serviceaccounts", "-n", inside, "-l", LABEL];
        // nothing of theirs is worth a proxy's five seconds of draining
        pods.extend(["--ignore-not-found", "--grace-period=1"]);
        let mut place = vec!["delete", "namespace", &outside, "--ignore-not-found"];
        place.extend_from_slice(wait);
        // both, whatever comes of the first
        let (pods, place) = tokio::join!(self.kubectl.run(&pods), self.kubectl.run(&place));
        pods.and(place).map(drop).context("removing the probes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_in_capitals_is_filled_in() {
        let rendered = render(&Filling {
            name: "n",
            namespace: "ns",
            image: "registry.test/e2e@sha256:0",
            service_account: "sa",
            node: "",
            host_pid: "false",
        });
        for line in rendered
            .lines()
            .filter(|line| !line.trim_start().starts_with('#'))
        {
            let capitals = line.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
            let left: Vec<_> = capitals.filter(|word| word.len() > 3).collect();
            assert!(left.is_empty(), "{line}");
        }
        assert!(rendered.contains("name: n\n") && rendered.contains("namespace: ns\n"));
        assert!(rendered.contains("serviceAccountName: sa") && rendered.contains("hostPID: false"));
    }
}
