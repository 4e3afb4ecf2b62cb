//! What stands on the cluster for one example: its resources with the names of the place, and what its proof adds.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use faultline_check::proof::{Caller, Proof, Side};
use serde_json::{Value, json};

use super::names::Names;
use super::workloads;

/// What every proxy's routes hold once they hold all that came before.
pub(super) const MARKER: &str = "faultline-rule-in-force";
/// A port that no example uses.
const MARKER_PORT: u16 = 15997;

/// The resources, in the order in which they are made.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) names: Names,
    pub(super) namespaces: BTreeSet<String>,
    pub(super) resources: Vec<Value>,
    /// The number of pods.
    pub(super) pods: u64,
}

impl Plan {
    pub(super) fn of(
        id: &str,
        side: Side,
        proof: &Proof,
        example: &[Value],
        image: &str,
    ) -> Result<Self> {
        let base = format!("faultline-rule-{}-{}", id.to_lowercase(), side.name());
        let gateway = proof.gateway.as_ref();
        let mut written = example.to_vec();
        written.extend(proof.beside.iter().cloned());
        let mut named: BTreeSet<String> = written.iter().filter_map(namespace_of).collect();
        let upstreams = proof.upstreams.iter();
        named.extend(upstreams.filter_map(|it| it.namespace.clone()));
        named.extend(gateway.and_then(|it| it.namespace.clone()));
        named.remove("default");
        let labels = gateway.map(|it| it.labels.clone()).unwrap_or_default();
        let names = Names::new(base, named, labels);

        let mut resources = Vec::new();
        for mut resource in written {
            if text(&resource, "/kind") == "Namespace" {
                continue; // made with the others
            }
            names.put_into(&mut resource, "");
            let namespace = namespace_of(&resource).unwrap_or_else(|| names.base.clone());
            let metadata = resource.get_mut("metadata").and_then(Value::as_object_mut);
            let metadata = metadata.context("a resource without metadata")?;
            metadata.insert("namespace".to_owned(), namespace.into());
            if workloads::is_gateway(&resource, &names.gateway()) {
                workloads::put_gateway_into(&mut resource);
            } else {
                workloads::put_into(&mut resource, &proof.upstreams, image)?;
            }
            resources.push(resource);
        }
        for upstream in &proof.upstreams {
            let namespace = names.namespace(upstream.namespace.as_deref());
            let has = |kind: &str, name: &str, resources: &[Value]| {
                resources.iter().any(|it| {
                    text(it, "/kind") == kind
                        && text(it, "/metadata/name") == name
                        && text(it, "/metadata/namespace") == namespace
                })
            };
            if !has("Service", upstream.service(), &resources) {
                resources.push(workloads::service(upstream, &namespace));
            }
            if !has("Deployment", &upstream.deployment, &resources) {
                resources.push(workloads::deployment(upstream, &namespace, image)?);
            }
        }
        let gateway_namespace = gateway.map(|it| names.namespace(it.namespace.as_deref()));
        if let Some(namespace) = &gateway_namespace {
            let ports = gateway_ports(&resources);
            if ports.is_empty() {
                bail!("the proof has a gateway, and no Gateway has a server");
            }
            let labels = names.gateway();
            if !resources
                .iter()
                .any(|it| workloads::is_gateway(it, &labels))
            {
                resources.push(workloads::gateway(&labels, namespace));
            }
            resources.push(workloads::gateway_service(&labels, namespace, &ports));
        }
        let mut namespaces = names.namespaces();
        for caller in callers(proof) {
            let namespace = caller_namespace(&names, caller);
            namespaces.insert(namespace.clone());
            let labels = &proof.client_labels;
            resources.push(workloads::caller(caller, &namespace, labels, image));
        }
        for namespace in &namespaces {
            let with_gateway = gateway_namespace.as_ref() == Some(namespace);
            resources.extend(marker(namespace, with_gateway.then(|| names.gateway())));
        }
        // the pods last, so that what they start with is there
        resources.sort_by_key(is_workload);
        let pods = resources.iter().filter_map(pods_of).sum();
        Ok(Self {
            names,
            namespaces,
            resources,
            pods,
        })
    }
}

/// The pods that call: one for each place that the proof calls from.
pub(super) fn callers(proof: &Proof) -> BTreeSet<Caller> {
    let callers = proof.requests.iter().map(|request| match request.from {
        // the gateway's caller is in no mesh either
        Caller::Gateway => Caller::Outside,
        caller => caller,
    });
    callers.collect()
}

/// The namespace of the pod that calls.
pub(super) fn caller_namespace(names: &Names, caller: Caller) -> String {
    match caller {
        Caller::Client => names.base.clone(),
        Caller::Elsewhere => format!("{}-elsewhere", names.base),
        Caller::Outside | Caller::Gateway => format!("{}-outside", names.base),
    }
}

fn namespace_of(resource: &Value) -> Option<String> {
    let path = match text(resource, "/kind") {
        "Namespace" => "/metadata/name",
        _ => "/metadata/namespace",
    };
    let name = resource.pointer(path)?.as_str()?;
    Some(name.to_owned())
}

fn is_workload(resource: &Value) -> bool {
    matches!(text(resource, "/kind"), "Deployment" | "Pod")
}

fn pods_of(resource: &Value) -> Option<u64> {
    match text(resource, "/kind") {
        "Pod" => Some(1),
        "Deployment" => {
            let replicas = resource.pointer("/spec/replicas").and_then(Value::as_u64);
            Some(replicas.unwrap_or(1))
        }
        _ => None,
    }
}

/// A string of a resource, empty where there is none.
pub(super) fn text<'a>(resource: &'a Value, path: &str) -> &'a str {
    let found = resource.pointer(path).and_then(Value::as_str);
    found.unwrap_or_default()
}

fn gateway_ports(resources: &[Value]) -> BTreeSet<u64> {
    let gateways = resources.iter().filter(|it| text(it, "/kind") == "Gateway");
    let servers = gateways.filter_map(|it| it.pointer("/spec/servers")?.as_array());
    let ports = servers
        .flatten()
        .filter_map(|it| it.pointer("/port/number")?.as_u64());
    ports.collect()
}

/// A route that each proxy of a namespace gets after all that was made before it.
fn marker(
    namespace: &str,
    gateway: Option<std::collections::BTreeMap<String, String>>,
) -> Vec<Value> {
    let metadata = json!({"name": MARKER, "namespace": namespace});
    let host = format!("{MARKER}.{namespace}.svc.cluster.local");
    let mut gateways = vec!["mesh"];
    let mut resources = vec![json!({
        "apiVersion": "v1", "kind": "Service", "metadata": metadata,
        "spec": {"ports": [{"name": "http", "port": MARKER_PORT}]},
    })];
    if let Some(labels) = gateway {
        gateways.push(MARKER);
        resources.push(json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata,
            "spec": {"selector": labels, "servers": [{
                "port": {"number": MARKER_PORT, "name": "http", "protocol": "HTTP"},
                "hosts": [host],
            }]},
        }));
    }
    resources.push(json!({
        "apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata,
        "spec": {
            "hosts": [host], "gateways": gateways, "exportTo": ["."],
            "http": [{"directResponse": {"status": 200, "body": {"string": format!("{MARKER}-text")}}}],
        },
    }));
    resources
}
