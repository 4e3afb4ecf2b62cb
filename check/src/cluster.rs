//! The resources of a cluster, through kubectl, which only reads.

use std::ffi::OsStr;
use std::process::Command;

use crate::check::Source;

/// What is asked for, as far as the cluster serves it.
const RESOURCES: [&str; 22] = [
    "authorizationpolicies.security.istio.io",
    "daemonsets.apps",
    "deployments.apps",
    "destinationrules.networking.istio.io",
    "envoyfilters.networking.istio.io",
    "gateways.networking.istio.io",
    "grpcroutes.gateway.networking.k8s.io",
    "horizontalpodautoscalers.autoscaling",
    "httproutes.gateway.networking.k8s.io",
    "namespaces",
    "peerauthentications.security.istio.io",
    "proxyconfigs.networking.istio.io",
    "requestauthentications.security.istio.io",
    "serviceentries.networking.istio.io",
    "services",
    "sidecars.networking.istio.io",
    "statefulsets.apps",
    "telemetries.telemetry.istio.io",
    "virtualservices.networking.istio.io",
    "wasmplugins.extensions.istio.io",
    "workloadentries.networking.istio.io",
    "workloadgroups.networking.istio.io",
];

/// Why the cluster cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// There is no kubectl.
    #[error("kubectl cannot be started: {0}")]
    NoKubectl(std::io::Error),
    /// It failed.
    #[error("kubectl {arguments}: {message}")]
    Failed {
        /// Its arguments.
        arguments: String,
        /// What it said.
        message: String,
    },
}

/// Reads what the cluster serves of the kinds that rules look at, every namespace, and istiod's own settings.
///
/// # Errors
/// When kubectl is missing, or cannot reach the cluster or list one of the kinds.
pub fn read(context: Option<&str>) -> Result<Vec<Source>, Unread> {
    let served = kubectl(context, &["api-resources", "--verbs=list", "--output=name"])?;
    let asked: Vec<&str> = served
        .lines()
        .map(str::trim)
        .filter(|it| RESOURCES.contains(it))
        .collect();
    let mut sources = Vec::new();
    if !asked.is_empty() {
        let kinds = asked.join(",");
        let text = kubectl(
            context,
            &["get", &kinds, "--all-namespaces", "--output=yaml"],
        )?;
        sources.push(source("cluster", text));
    }
    let mesh = [
        "get",
        "configmap",
        "istio",
        "--namespace=istio-system",
        "--ignore-not-found",
        "--output=yaml",
    ];
    sources.push(source("cluster/istio", kubectl(context, &mesh)?));
    Ok(sources)
}

fn source(name: &str, text: String) -> Source {
    Source {
        name: name.to_owned(),
        text,
    }
}

fn kubectl(context: Option<&str>, arguments: &[&str]) -> Result<String, Unread> {
    let mut command = Command::new(OsStr::new("kubectl"));
    if let Some(context) = context {
        command.arg("--context").arg(context);
    }
    let output = command
        .args(arguments)
        .output()
        .map_err(Unread::NoKubectl)?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(Unread::Failed {
        arguments: arguments.join(" "),
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
