//! A container of the suite's inside a pod of an application: an ephemeral one, which shares the pod's network and so
//! calls as the application does. It cannot be taken out again, so the pod is replaced afterwards.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Cluster, Pod, probes};
use crate::part::App;

/// A container of the suite's, and the pod it is in.
#[derive(Clone, Debug)]
pub struct Guest {
    /// The application's pod.
    pub pod: Pod,
    /// The container's name.
    pub container: String,
}

impl Cluster {
    /// Puts a container into the first pod of an application.
    ///
    /// # Errors
    /// When ephemeral containers are not allowed, or it does not start.
    pub async fn plant_guest(&self, app: App) -> Result<Guest> {
        let container = self.job("guest");
        let pod = self.pods(app).await?.into_iter().next().context("no pod")?;
        let page = format!(
            "/api/v1/namespaces/{}/pods/{}/ephemeralcontainers",
            pod.namespace, pod.name
        );
        let mut manifest = self.pod_manifest(&pod).await?;
        let spec = manifest.pointer_mut("/spec").and_then(Value::as_object_mut);
        let guests = spec
            .context("a pod without a spec")?
            .entry("ephemeralContainers")
            .or_insert_with(|| json!([]));
        let guests = guests.as_array_mut().context("not a list")?;
        guests.push(json!({
            "name": container,
            "image": self.image()?,
            // it ends by itself where the suite is killed
            "args": ["idle", "--at-most", "1800"],
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        }));
        self.planted.hosts.lock().await.push(pod.clone());
        self.kubectl
            .feed(
                &["replace", "--raw", &page, "-f", "-"],
                &manifest.to_string(),
            )
            .await
            .with_context(|| format!("putting a container into {}", pod.name))?;
        let late = format!(
            "the container {container} in {} does not start: `kubectl -n {} describe pod {}`",
            pod.name, pod.namespace, pod.name
        );
        probes::started(&late, async || {
            let manifest = self.pod_manifest(&pod).await?;
            Ok(is_running(&manifest, &container).then_some(()))
        })
        .await?;
        Ok(Guest { pod, container })
    }

    async fn pod_manifest(&self, pod: &Pod) -> Result<Value> {
        let args = ["get", "pod", &pod.name, "-n", &pod.namespace];
        self.kubectl.json(&args).await
    }

    /// Deletes the pods in which a container of the suite's runs; their controllers replace them.
    ///
    /// # Errors
    /// When one cannot be deleted.
    pub async fn dismiss_guests(&self) -> Result<()> {
        let mut hosts = self.planted.hosts.lock().await;
        while let Some(pod) = hosts.last() {
            let mut delete = vec!["delete", "pod", &pod.name, "-n", &pod.namespace];
            delete.extend(["--ignore-not-found", "--wait=false"]);
            self.kubectl
                .run(&delete)
                .await
                .with_context(|| format!("replacing {}, in which a probe runs", pod.name))?;
            hosts.pop();
        }
        Ok(())
    }
}

fn is_running(pod: &Value, container: &str) -> bool {
    let statuses = pod.pointer("/status/ephemeralContainerStatuses");
    let mut statuses = statuses.and_then(Value::as_array).into_iter().flatten();
    statuses.any(|status| {
        status.get("name").and_then(Value::as_str) == Some(container)
            && status.pointer("/state/running").is_some()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_runs_when_its_own_status_says_so() {
        let pod = |state: &str| json!({"status": {"ephemeralContainerStatuses": [{"name": "a", "state": {state: {}}}]}});
        assert!(is_running(&pod("running"), "a"));
        assert!(!is_running(&pod("waiting"), "a"));
        assert!(!is_running(&pod("running"), "b"));
        assert!(!is_running(&json!({"status": {}}), "a"));
    }
}
