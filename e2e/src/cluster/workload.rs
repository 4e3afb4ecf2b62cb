//! What a person does to a running workload: restart it, scale it, lose one of its pods.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Cluster, Pod, Resource};
use crate::part::App;

impl Cluster {
    /// The controller of an application's pods.
    #[must_use]
    pub fn workload(&self, app: App) -> Resource {
        Resource {
            kind: match app {
                App::CustomApp => "statefulsets.apps",
                App::LogAgent => "deployments.apps",
            },
            namespace: self.names.namespace.clone(),
            name: app.name().to_owned(),
        }
    }

    /// Every pod of an application, those that are going away too.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn all_pods(&self, app: App) -> Result<Vec<Pod>> {
        let selector = format!("app={}", app.name());
        self.list(&self.names.namespace, &["-l", &selector]).await
    }

    /// Replaces an application's pods as its controller does; waits for none of them.
    ///
    /// # Errors
    /// When its controller is not there.
    pub async fn restart(&self, app: App) -> Result<()> {
        let Resource {
            kind,
            namespace,
            name,
        } = self.workload(app);
        let workload = format!("{kind}/{name}");
        let args = ["rollout", "restart", &workload, "-n", &namespace];
        self.kubectl.run(&args).await.map(drop)
    }

    /// Deletes a pod without giving it any time.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn force_delete(&self, pod: &Pod) -> Result<()> {
        let Pod {
            namespace, name, ..
        } = pod;
        let mut args = vec!["delete", "pod", name, "-n", namespace];
        args.extend(["--force", "--grace-period=0"]);
        self.kubectl.run(&args).await.map(drop)
    }

    /// An application's pods, once so many are ready, all of its newest revision, and none is going away.
    ///
    /// # Errors
    /// What is not so yet.
    pub async fn settled(&self, app: App, replicas: usize) -> Result<Vec<Pod>> {
        let workload = self.read(&self.workload(app)).await?;
        updated(&workload, replicas)?;
        let pods = self.all_pods(app).await?;
        if pods.len() != replicas || !pods.iter().all(Pod::is_ready) {
            let seen: Vec<String> = pods
                .iter()
                .map(|pod| match (pod.leaving, pod.is_ready()) {
                    (true, _) => format!("{} is going away", pod.name),
                    (false, true) => format!("{} is ready", pod.name),
                    (false, false) => format!("{} is not ready", pod.name),
                })
                .collect();
            bail!("{} of {replicas} pods: {}", pods.len(), seen.join(", "));
        }
        Ok(pods)
    }
}

/// Fails unless the controller has seen its newest specification, and every replica is of it.
fn updated(workload: &Value, replicas: usize) -> Result<()> {
    let number = |pointer: &str| workload.pointer(pointer).and_then(Value::as_u64);
    let generation = number("/metadata/generation").context("a workload without a generation")?;
    let observed = number("/status/observedGeneration").unwrap_or(0);
    if observed < generation {
        bail!("the controller has not seen generation {generation} yet");
    }
    let wanted = u64::try_from(replicas)?;
    for count in ["/spec/replicas", "/status/replicas"] {
        let seen = number(count).unwrap_or(0);
        if seen != wanted {
            bail!("{count} is {seen}, not {wanted}");
        }
    }
    if wanted > 0 {
        for count in ["/status/updatedReplicas", "/status/readyReplicas"] {
            let seen = number(count).unwrap_or(0);
            if seen != wanted {
                bail!("{count} is {seen}, not {wanted}");
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workload(observed: u64, wanted: u64, updated: u64, ready: u64) -> Value {
        json!({
            "metadata": {"generation": 7},
            "spec": {"replicas": wanted},
            "status": {"observedGeneration": observed, "replicas": wanted, "updatedReplicas": updated, "readyReplicas": ready},
        })
    }

    #[test]
    fn a_rollout_is_over_when_every_replica_is_new_and_ready() {
        assert!(updated(&workload(7, 2, 2, 2), 2).is_ok());
        for (before, why) in [
            (workload(6, 2, 2, 2), "generation 7"),
            (workload(7, 3, 3, 3), "/spec/replicas is 3"),
            (workload(7, 2, 1, 2), "updatedReplicas is 1"),
            (workload(7, 2, 2, 1), "readyReplicas is 1"),
        ] {
            let error = updated(&before, 2).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let none = json!({"metadata": {"generation": 7}, "spec": {"replicas": 0}, "status": {"observedGeneration": 7}});
        assert!(updated(&none, 0).is_ok() && updated(&none, 1).is_err());
    }
}
