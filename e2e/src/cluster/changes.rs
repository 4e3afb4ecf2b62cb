//! Changes to the mesh that are always undone.

use std::fmt;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::{Cluster, plugin};

/// A resource of the mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Kind, fully named, such as `wasmplugins.extensions.istio.io`.
    pub kind: &'static str,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} in {}", self.kind, self.name, self.namespace)
    }
}

/// A resource, and how to put it back.
pub(super) struct Saved {
    resource: Resource,
    before: Before,
}

/// What was there.
enum Before {
    /// None of it.
    Nothing,
    /// This.
    Manifest(Value),
    /// So many replicas; nothing else of it is changed.
    Replicas(u64),
}

impl Cluster {
    /// The mesh's VirtualService that injects the delay.
    #[must_use]
    pub fn delay(&self) -> Resource {
        Resource {
            kind: "virtualservices.networking.istio.io",
            namespace: self.names.namespace.clone(),
            name: "log-agent".to_owned(),
        }
    }

    /// The gateway's plugin.
    #[must_use]
    pub fn gateway_plugin(&self) -> Resource {
        Resource {
            kind: "wasmplugins.extensions.istio.io",
            namespace: self.names.gateway_namespace.clone(),
            name: plugin::NAME.to_owned(),
        }
    }

    /// A resource as it is now.
    ///
    /// # Errors
    /// When it is not there.
    pub async fn read(&self, resource: &Resource) -> Result<Value> {
        let args = [
            "get",
            resource.kind,
            &resource.name,
            "-n",
            &resource.namespace,
        ];
        let mut args = args.to_vec();
        args.push("--show-managed-fields");
        self.kubectl.json(&args).await
    }

    /// Deletes a resource until [`Self::restore`].
    ///
    /// # Errors
    /// When it cannot be saved or deleted.
    pub async fn delete(&self, resource: &Resource) -> Result<()> {
        self.save(resource).await?;
        self.remove(resource).await
    }

    /// Changes a resource's spec by a merge patch until [`Self::restore`]; one that this suite has
    /// deleted comes back changed.
    ///
    /// # Errors
    /// When it cannot be saved or changed.
    pub async fn change(&self, resource: &Resource, spec: &Value) -> Result<()> {
        self.save(resource).await?;
        let saved = self.saved.lock().await;
        let manifest = saved.iter().find_map(|saved| match &saved.before {
            Before::Manifest(manifest) if saved.resource == *resource => Some(manifest.clone()),
            _ => None,
        });
        let mut manifest = manifest.context("the resource was not saved")?;
        let Some(target) = manifest.get_mut("spec").and_then(Value::as_object_mut) else {
            bail!("{resource} has no spec");
        };
        for (key, value) in spec.as_object().into_iter().flatten() {
            if value.is_null() {
                target.remove(key);
            } else {
                target.insert(key.clone(), value.clone());
            }
        }
        self.put(resource, &manifest).await
    }

    /// Creates a resource that is not there, until [`Self::restore`].
    ///
    /// # Errors
    /// When it is there already, or cannot be created.
    pub async fn add(&self, resource: &Resource, yaml: &str) -> Result<()> {
        if self.is_there(resource).await? {
            bail!("{resource} is there already");
        }
        self.saved.lock().await.push(Saved {
            resource: resource.clone(),
            before: Before::Nothing,
        });
        self.kubectl
            .feed(&["create", "-f", "-"], yaml)
            .await
            .map(drop)
    }

    /// Gives a workload so many replicas until [`Self::restore`]; waits for none of them.
    ///
    /// # Errors
    /// When it is not there, or cannot be scaled.
    pub async fn scale(&self, resource: &Resource, replicas: u64) -> Result<()> {
        let now = self.read(resource).await?;
        let now = now.pointer("/spec/replicas").and_then(Value::as_u64);
        let now = now.with_context(|| format!("{resource} has no replicas"))?;
        let mut saved = self.saved.lock().await;
        let known = |saved: &Saved| {
            saved.resource == *resource && matches!(saved.before, Before::Replicas(_))
        };
        if !saved.iter().any(known) {
            saved.push(Saved {
                resource: resource.clone(),
                before: Before::Replicas(now),
            });
        }
        self.set_replicas(resource, replicas).await
    }

    /// Puts every changed resource back as it was.
    ///
    /// # Errors
    /// When one cannot be put back; it stays on the list.
    pub async fn restore(&self) -> Result<()> {
        let mut saved = self.saved.lock().await;
        while let Some(last) = saved.last() {
            let done = match &last.before {
                Before::Manifest(manifest) => self.put(&last.resource, manifest).await,
                Before::Nothing => self.remove(&last.resource).await,
                Before::Replicas(replicas) => self.set_replicas(&last.resource, *replicas).await,
            };
            done.with_context(|| format!("{} could not be put back", last.resource))?;
            saved.pop();
        }
        Ok(())
    }

    async fn save(&self, resource: &Resource) -> Result<()> {
        let mut saved = self.saved.lock().await;
        let known = |saved: &Saved| {
            saved.resource == *resource && !matches!(saved.before, Before::Replicas(_))
        };
        if !saved.iter().any(known) {
            let mut manifest = self.read(resource).await?;
            forget_instance(&mut manifest);
            saved.push(Saved {
                resource: resource.clone(),
                before: Before::Manifest(manifest),
            });
        }
        Ok(())
    }

    /// Whether a resource is there.
    ///
    /// # Errors
    /// When the cluster does not say.
    pub async fn is_there(&self, resource: &Resource) -> Result<bool> {
        let args = [
            "get",
            resource.kind,
            &resource.name,
            "-n",
            &resource.namespace,
            "-o",
            "name",
            "--ignore-not-found",
        ];
        Ok(!self.kubectl.run(&args).await?.trim().is_empty())
    }

    async fn set_replicas(&self, resource: &Resource, replicas: u64) -> Result<()> {
        let count = format!("--replicas={replicas}");
        let workload = format!("{}/{}", resource.kind, resource.name);
        let args = ["scale", &workload, "-n", &resource.namespace, &count];
        self.kubectl.run(&args).await.map(drop)
    }

    /// Removes a resource, one that [`Self::restore`] would remove.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub async fn remove(&self, resource: &Resource) -> Result<()> {
        let args = [
            "delete",
            resource.kind,
            &resource.name,
            "-n",
            &resource.namespace,
            "--ignore-not-found",
        ];
        self.kubectl.run(&args).await.map(drop)
    }

    async fn put(&self, resource: &Resource, manifest: &Value) -> Result<()> {
        let there = self.is_there(resource).await?;
        let verb = if there { "replace" } else { "create" };
        self.kubectl
            .feed(&[verb, "-f", "-"], &manifest.to_string())
            .await
            .map(drop)
    }
}

/// Removes what belongs to one instance of a resource. Who manages which field stays, so that the next
/// `kubectl apply` of the same manifest finds nothing to change.
fn forget_instance(manifest: &mut Value) {
    if let Some(object) = manifest.as_object_mut() {
        object.remove("status");
    }
    // kubectl takes what it puts back for what was last applied, and the next apply would remove the mark
    // of a restart: that is one more restart.
    let annotations = manifest.pointer_mut("/spec/template/metadata/annotations");
    if let Some(annotations) = annotations.and_then(Value::as_object_mut) {
        annotations.remove("kubectl.kubernetes.io/restartedAt");
    }
    if let Some(metadata) = manifest.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "selfLink",
        ] {
            metadata.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_instance_is_forgotten_and_the_rest_kept() {
        let mut manifest = json!({
            "kind": "K",
            "metadata": {"name": "n", "uid": "u", "resourceVersion": "1", "labels": {"a": "b"}, "managedFields": []},
            "spec": {"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "t", "x": "1"}}}},
            "status": {"y": 2},
        });
        forget_instance(&mut manifest);
        let kept = json!({"name": "n", "labels": {"a": "b"}, "managedFields": []});
        assert_eq!(
            manifest,
            json!({
                "kind": "K",
                "metadata": kept,
                "spec": {"template": {"metadata": {"annotations": {"x": "1"}}}},
            })
        );
    }
}
