//! Envoy Gateway's own definitions of its resources, from the module it is published as.
//!
//! They are put on the cluster under names of their own, so that nothing on it takes them for the real ones: Istio
//! too runs what it finds of the Gateway API. What the API server checks is the same.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::process::Command;

use crate::cases::script;
use crate::cluster::Resource;
use crate::unmet::{Unmet, expect};

/// The module, and what it must contain.
const MODULE: &str = "github.com/envoyproxy/gateway@v1.9.1";
const SUM: &str = "h1:vAVp6/AlBXJ1aOhp1mxL7fNEzVEfjADUguUhm2wzxQY=";
const FOLDER: &str = "charts/gateway-helm/charts/crds/crds";

/// The groups whose names are changed, and how.
const GROUPS: [&str; 2] = ["gateway.networking.k8s.io", "gateway.envoyproxy.io"];
const RENAMED: &str = ".faultline.test";

/// A definition, renamed.
pub(super) struct Definition {
    pub(super) resource: Resource,
    pub(super) yaml: String,
}

/// The definitions of the example's kinds, each with its file.
const KINDS: [(&str, &str); 4] = [
    ("gateways.gateway.networking.k8s.io", "gatewayapi-crds.yaml"),
    (
        "httproutes.gateway.networking.k8s.io",
        "gatewayapi-crds.yaml",
    ),
    (
        "envoyextensionpolicies.gateway.envoyproxy.io",
        "generated/gateway.envoyproxy.io_envoyextensionpolicies.yaml",
    ),
    (
        "envoyproxies.gateway.envoyproxy.io",
        "generated/gateway.envoyproxy.io_envoyproxies.yaml",
    ),
];

/// The definitions of every kind in the example.
///
/// # Errors
/// [`Unmet::Skipped`] where the module cannot be downloaded.
pub(super) async fn definitions() -> Result<Vec<Definition>, Unmet> {
    let folder = module().await?.join(FOLDER);
    let definition = |(name, file): (&str, &str)| {
        let path = folder.join(file);
        let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let document = document(&text, name).with_context(|| format!("no {name} in {file}"))?;
        let resource = Resource {
            kind: "customresourcedefinitions.apiextensions.k8s.io",
            namespace: String::new(),
            name: renamed(name),
        };
        Ok(Definition {
            resource,
            yaml: renamed(document),
        })
    };
    let definitions: Result<_> = KINDS.into_iter().map(definition).collect();
    Ok(definitions?)
}

/// The same text with its groups renamed.
pub(super) fn renamed(yaml: &str) -> String {
    GROUPS.iter().fold(yaml.to_owned(), |yaml, group| {
        yaml.replace(group, &format!("{group}{RENAMED}"))
    })
}

/// The document of this name.
fn document<'a>(yaml: &'a str, name: &str) -> Option<&'a str> {
    let line = format!("  name: {name}");
    yaml.split("\n---\n")
        .find(|document| document.lines().any(|one| one == line))
}

/// The folder of the module, downloaded where it is not there yet.
async fn module() -> Result<PathBuf, Unmet> {
    if !script::has("go") {
        return Err(Unmet::Skipped(
            "go, which downloads the definitions, is not installed".to_owned(),
        ));
    }
    let output = Command::new("go")
        .args(["mod", "download", "-json", MODULE])
        .kill_on_drop(true)
        .output()
        .await
        .context("go")?;
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let text = |key: &str| said.get(key).and_then(Value::as_str);
    let (Some(folder), Some(sum)) = (text("Dir"), text("Sum")) else {
        let why = text("Error").unwrap_or("go said nothing");
        return Err(Unmet::Skipped(format!(
            "{MODULE} cannot be downloaded: {why}"
        )));
    };
    expect(
        sum == SUM,
        format!("{MODULE} {SUM}"),
        sum,
        "the Go proxy in use",
    )?;
    Ok(Path::new(folder).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_found_by_its_name() {
        let yaml = "# head\n---\nmetadata:\n  name: a.b\nx: 1\n---\nmetadata:\n  name: a\nx: 2\n";
        assert_eq!(document(yaml, "a"), Some("metadata:\n  name: a\nx: 2\n"));
        assert_eq!(document(yaml, "c"), None);
    }

    #[test]
    fn a_group_is_renamed_wherever_it_stands() {
        let yaml = "apiVersion: gateway.envoyproxy.io/v1alpha1\ngroup: gateway.networking.k8s.io\n";
        let other = "apiVersion: gateway.envoyproxy.io.faultline.test/v1alpha1\n\
                     group: gateway.networking.k8s.io.faultline.test\n";
        assert_eq!(renamed(yaml), other);
    }
}
