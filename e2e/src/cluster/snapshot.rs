//! What is on the cluster, so that two moments can be compared.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::Cluster;

/// Kinds whose objects come, go and change by themselves.
const RESTLESS: [&str; 4] = ["events", "leases", "endpoints", "endpointslices"];

/// Each object with what identifies its present content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(BTreeMap<String, String>);

impl Snapshot {
    /// How many objects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What came, went or changed until `later`.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let went = self
            .0
            .keys()
            .filter(|key| !later.0.contains_key(*key))
            .map(|key| format!("- {key}"));
        let rest = later
            .0
            .iter()
            .filter_map(|(key, content)| match self.0.get(key) {
                None => Some(format!("+ {key}")),
                Some(before) if before != content => Some(format!("~ {key}")),
                Some(_) => None,
            });
        went.chain(rest).collect()
    }

    fn insert(&mut self, object: &Value) {
        let text = |pointer: &str| {
            object
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if text("/metadata/labels/app") == "faultline-probe" {
            return;
        }
        let uid = text("/metadata/uid");
        // a status changes by itself; what is asked for has a generation of its own, where the kind knows one
        let content = match (text("/kind"), object.pointer("/metadata/generation")) {
            ("Pod", _) => uid.to_owned(),
            (_, Some(generation)) => format!("{uid} {generation}"),
            (_, None) => format!("{uid} {}", text("/metadata/resourceVersion")),
        };
        self.0.insert(
            format!("{}/{}", text("/kind"), text("/metadata/name")),
            content,
        );
    }
}

impl Cluster {
    /// Everything of the deployment: its namespace's objects and the gateway's plugin.
    ///
    /// # Errors
    /// When it cannot be listed.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let kinds = self.kinds(&["--namespaced"]).await?;
        let list = self
            .kubectl
            .json(&["get", &kinds, "-n", &self.names.namespace])
            .await?;
        let items = list
            .get("items")
            .and_then(Value::as_array)
            .context("not a list")?;
        let mut snapshot = Snapshot::default();
        items.iter().for_each(|object| snapshot.insert(object));
        snapshot.insert(&self.read(&self.gateway_plugin()).await?);
        Ok(snapshot)
    }

    /// The kinds that can be listed and whose objects stay as they are, joined by commas.
    pub(super) async fn kinds(&self, more: &[&str]) -> Result<String> {
        let args = ["api-resources", "--verbs=list", "-o", "name"];
        let kinds = self.kubectl.run(&[&args, more].concat()).await?;
        let restless = |kind: &str| {
            let plural = kind.split('.').next().unwrap_or(kind);
            RESTLESS.contains(&plural) || kind.ends_with("metrics.k8s.io")
        };
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !restless(kind)).collect();
        Ok(kinds.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, version: &str, generation: Option<u64>) -> Value {
        let mut object = json!({"kind": kind, "metadata": {"name": name, "uid": name, "resourceVersion": version}});
        if let Some(generation) = generation {
            object["metadata"]["generation"] = json!(generation);
        }
        object
    }

    #[test]
    fn only_content_counts() {
        let of = |objects: &[Value]| {
            let mut snapshot = Snapshot::default();
            objects.iter().for_each(|object| snapshot.insert(object));
            snapshot
        };
        let before = of(&[
            object("Pod", "a", "1", None),
            object("Deployment", "b", "1", Some(1)),
            object("Service", "c", "1", None),
            object("Secret", "d", "1", None),
        ]);
        let after = of(&[
            object("Pod", "a", "2", None),
            object("Deployment", "b", "2", Some(1)),
            object("Service", "c", "2", None),
            object("Role", "e", "1", None),
        ]);
        assert_eq!(
            before.changes(&after),
            ["- Secret/d", "+ Role/e", "~ Service/c"]
        );
        assert!(before.changes(&before).is_empty());
    }

    #[test]
    fn the_suite_s_own_pods_do_not_count() {
        let mut snapshot = Snapshot::default();
        snapshot.insert(&json!({"kind": "Pod", "metadata": {"name": "x", "labels": {"app": "faultline-probe"}}}));
        assert!(snapshot.is_empty());
    }
}
