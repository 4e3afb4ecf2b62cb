//! The pods of a proof: applications, callers, a gateway.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, bail};
use faultline_check::proof::{Behaviour, Caller, Upstream};
use serde_json::{Value, json};

use super::plan::text;
use crate::inside::upstream::Answering;

/// The label by which the pods of an application are found.
pub(super) const UPSTREAM: &str = "faultline/upstream";
/// The Service of the proof's gateway.
pub(super) const GATEWAY: &str = "faultline-gateway";

/// How an application is told to answer.
pub(super) fn answering(behaviour: &Behaviour) -> Answering {
    Answering {
        delay_ms: behaviour.delay_ms,
        status: behaviour.status,
        calls: behaviour.calls.clone(),
    }
}

fn container(name: &str, image: &str, args: &Value) -> Value {
    json!({
        "name": name,
        "image": image,
        "args": args,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "readOnlyRootFilesystem": true,
            "runAsNonRoot": true,
            "runAsUser": 65532,
            "capabilities": {"drop": ["ALL"]},
        },
    })
}

fn application(name: &str, upstream: &Upstream, image: &str) -> Result<Value> {
    let port = upstream.listens_on();
    // where only some behave so, those are told once they run
    let behaviour = match upstream.of_pods {
        Some(_) => Behaviour::default(),
        None => upstream.behaviour.clone(),
    };
    let answering = serde_json::to_string(&answering(&behaviour))?;
    let args = json!([
        "upstream",
        "--listen",
        format!("0.0.0.0:{port}"),
        "--name",
        upstream.deployment,
        "--answering",
        answering,
    ]);
    let mut container = container(name, image, &args);
    if let Some(container) = container.as_object_mut() {
        container.insert("ports".to_owned(), json!([{"containerPort": port}]));
        let probe = json!({"tcpSocket": {"port": port}, "periodSeconds": 1});
        container.insert("readinessProbe".to_owned(), probe);
    }
    Ok(container)
}

/// Puts the application into an example's Deployment; other resources stay as they are.
pub(super) fn put_into(resource: &mut Value, upstreams: &[Upstream], image: &str) -> Result<()> {
    let name = text(resource, "/metadata/name").to_owned();
    match text(resource, "/kind") {
        "Deployment" => {}
        kind @ ("Pod" | "StatefulSet" | "DaemonSet") => {
            bail!("{kind} {name}: only Deployments are run")
        }
        _ => return Ok(()),
    }
    let upstream = upstreams.iter().find(|it| it.deployment == name);
    let upstream =
        upstream.with_context(|| format!("the proof has no upstream for Deployment {name}"))?;
    let template = resource.pointer_mut("/spec/template");
    let template = template.with_context(|| format!("Deployment {name} has no template"))?;
    let labels = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut);
    let labels = labels.with_context(|| format!("the pods of Deployment {name} have no labels"))?;
    labels.insert(UPSTREAM.to_owned(), name.as_str().into());
    let spec = template.pointer_mut("/spec").and_then(Value::as_object_mut);
    let spec = spec.with_context(|| format!("the pods of Deployment {name} have no spec"))?;
    let container_name = spec
        .get("containers")
        .and_then(|it| it.pointer("/0/name")?.as_str());
    let container = application(container_name.unwrap_or("app"), upstream, image)?;
    spec.insert("containers".to_owned(), json!([container]));
    spec.insert("terminationGracePeriodSeconds".to_owned(), 1.into());
    Ok(())
}

/// The Service of an application.
pub(super) fn service(upstream: &Upstream, namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": upstream.service(), "namespace": namespace},
        "spec": {
            "selector": {"app": upstream.service()},
            "ports": [{
                "name": upstream.port_name,
                "port": upstream.port,
                "targetPort": upstream.listens_on(),
            }],
        },
    })
}

/// The Deployment of an application.
pub(super) fn deployment(upstream: &Upstream, namespace: &str, image: &str) -> Result<Value> {
    let mut labels = BTreeMap::from([
        ("app", upstream.service()),
        (UPSTREAM, upstream.deployment.as_str()),
    ]);
    if let Some(version) = &upstream.version {
        labels.insert("version", version);
    }
    Ok(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": upstream.deployment, "namespace": namespace},
        "spec": {
            "replicas": upstream.replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "terminationGracePeriodSeconds": 1,
                    "automountServiceAccountToken": false,
                    "containers": [application("app", upstream, image)?],
                },
            },
        },
    }))
}

/// The pod of a caller.
pub(super) fn caller_name(caller: Caller) -> &'static str {
    match caller {
        Caller::Client => "client",
        Caller::Elsewhere => "elsewhere",
        Caller::Outside | Caller::Gateway => "outside",
    }
}

/// A pod that calls.
pub(super) fn caller(
    caller: Caller,
    namespace: &str,
    more: &BTreeMap<String, String>,
    image: &str,
) -> Value {
    let name = caller_name(caller);
    let mut labels = BTreeMap::from([("app".to_owned(), format!("faultline-{name}"))]);
    match caller {
        Caller::Outside | Caller::Gateway => {
            labels.insert("sidecar.istio.io/inject".to_owned(), "false".to_owned());
        }
        Caller::Client => labels.extend(more.clone()),
        Caller::Elsewhere => {}
    }
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": false,
            "containers": [container(crate::cluster::PROBE, image, &json!(["idle"]))],
        },
    })
}

/// Whether a Deployment's pods are the gateway's.
pub(super) fn is_gateway(resource: &Value, labels: &BTreeMap<String, String>) -> bool {
    let Some(pods) = resource.pointer("/spec/template/metadata/labels") else {
        return false;
    };
    let has = |(key, value): (&String, &String)| {
        pods.get(key).and_then(Value::as_str) == Some(value.as_str())
    };
    text(resource, "/kind") == "Deployment" && !labels.is_empty() && labels.iter().all(has)
}

/// Makes an example's Deployment a gateway.
pub(super) fn put_gateway_into(resource: &mut Value) {
    if let Some(template) = resource.pointer_mut("/spec/template") {
        let labels = template.pointer("/metadata/labels").cloned();
        *template = gateway_pod(&labels.unwrap_or_default());
    }
}

fn gateway_pod(labels: &Value) -> Value {
    json!({
        "metadata": {
            "labels": labels,
            "annotations": {"inject.istio.io/templates": "gateway"},
        },
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 1337, "runAsGroup": 1337,
                "seccompProfile": {"type": "RuntimeDefault"},
                // as Istio's own gateways: a Service may lead to port 80 itself
                "sysctls": [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}],
            },
            "containers": [{
                "name": "istio-proxy",
                "image": "auto", // by injection
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}},
            }],
        },
    })
}

/// The Deployment of a gateway with these labels.
pub(super) fn gateway(labels: &BTreeMap<String, String>, namespace: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": GATEWAY, "namespace": namespace},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": gateway_pod(&json!(labels)),
        },
    })
}

/// The Service of a gateway, with these ports.
pub(super) fn gateway_service(
    labels: &BTreeMap<String, String>,
    namespace: &str,
    ports: &BTreeSet<u64>,
) -> Value {
    let ports = ports.iter();
    let ports = ports.map(|port| json!({"name": format!("port-{port}"), "port": port}));
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": GATEWAY, "namespace": namespace},
        "spec": {"selector": labels, "ports": ports.collect::<Vec<_>>()},
    })
}
