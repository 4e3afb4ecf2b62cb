//! What the suite needs to know of a pod.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Unique id.
    pub uid: String,
    /// The node it runs on.
    pub node: String,
    /// Its service account.
    pub account: String,
    /// Its address, once it has one.
    pub ip: Option<String>,
    /// Phase, such as `Running`.
    pub phase: String,
    /// Whether it is being deleted.
    pub leaving: bool,
    /// Its containers, native sidecars included, other init containers not.
    pub containers: Vec<Container>,
}

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often it has been restarted.
    pub restarts: u64,
}

impl Pod {
    /// Whether it runs and is not being deleted.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.phase == "Running" && !self.leaving
    }

    /// Whether each of its containers is ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_running() && self.containers.iter().all(|container| container.ready)
    }

    /// A container by name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&Container> {
        self.containers
            .iter()
            .find(|container| container.name == name)
    }
}

/// Reads a list of pods, in the order of their names.
pub(super) fn parse(list: &Value) -> Result<Vec<Pod>> {
    let items = list
        .get("items")
        .and_then(Value::as_array)
        .context("not a list of pods")?;
    let mut pods = items
        .iter()
        .map(pod)
        .collect::<Option<Vec<_>>>()
        .context("not a pod")?;
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

fn pod(item: &Value) -> Option<Pod> {
    let metadata = item.get("metadata")?;
    let text = |pointer: &str| item.pointer(pointer)?.as_str().map(ToOwned::to_owned);
    let mut containers = containers(
        item,
        "/spec/containers",
        "/status/containerStatuses",
        |_| true,
    );
    let sidecar =
        |spec: &Value| spec.get("restartPolicy").and_then(Value::as_str) == Some("Always");
    containers.extend(self::containers(
        item,
        "/spec/initContainers",
        "/status/initContainerStatuses",
        sidecar,
    ));
    Some(Pod {
        namespace: text("/metadata/namespace")?,
        name: text("/metadata/name")?,
        uid: text("/metadata/uid")?,
        node: text("/spec/nodeName").unwrap_or_default(),
        account: text("/spec/serviceAccountName").unwrap_or_default(),
        ip: text("/status/podIP"),
        phase: text("/status/phase").unwrap_or_default(),
        leaving: metadata.get("deletionTimestamp").is_some(),
        containers,
    })
}

fn containers(
    item: &Value,
    specs: &str,
    statuses: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Vec<Container> {
    let list = |pointer: &str| {
        item.pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    list(specs)
        .filter(|spec| wanted(spec))
        .filter_map(|spec| spec.get("name")?.as_str())
        .map(|name| {
            let status =
                list(statuses).find(|it| it.get("name").and_then(Value::as_str) == Some(name));
            let field = |key: &str| status.and_then(|it| it.get(key));
            Container {
                name: name.to_owned(),
                ready: field("ready").and_then(Value::as_bool).unwrap_or(false),
                restarts: field("restartCount").and_then(Value::as_u64).unwrap_or(0),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_sidecars_are_containers_and_init_containers_are_not() {
        let list = serde_json::json!({"items": [{
            "metadata": {"namespace": "ns", "name": "b", "uid": "u"},
            "spec": {"nodeName": "n", "containers": [{"name": "custom-app"}],
                "initContainers": [{"name": "istio-init"}, {"name": "istio-proxy", "restartPolicy": "Always"}]},
            "status": {"phase": "Running",
                "containerStatuses": [{"name": "custom-app", "ready": true, "restartCount": 2}],
                "initContainerStatuses": [{"name": "istio-proxy", "ready": false, "restartCount": 0}]},
        }, {"metadata": {"namespace": "ns", "name": "a", "uid": "v", "deletionTimestamp": "x"}}]});
        let pods = parse(&list).unwrap();
        assert_eq!(pods[0].name, "a");
        assert!(pods[0].leaving && !pods[0].is_running());
        let names: Vec<_> = pods[1]
            .containers
            .iter()
            .map(|it| it.name.as_str())
            .collect();
        assert_eq!(names, ["custom-app", "istio-proxy"]);
        assert_eq!(pods[1].container("custom-app").unwrap().restarts, 2);
        assert!(pods[1].is_running() && !pods[1].is_ready());
    }
}
