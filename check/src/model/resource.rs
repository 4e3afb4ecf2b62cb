//! Documents into resources.

use super::destination::DestinationRule;
use super::field::{Read, Tree, Unreadable};
use super::gateway::Gateway;
use super::mesh::MeshConfig;
use super::meta::{IGNORE, Kind, Meta};
use super::policy::{PolicyKind, Selected, Target};
use super::route::RouteTable;
use super::service::{Service, ServiceEntry};
use super::workload::{Namespace, Scaler, Workload};
use crate::finding::Subject;
use crate::ignore::Annotation;
use crate::yaml::{self, Limits, Node};

/// What the files themselves do not say.
#[derive(Clone, Debug)]
pub struct Context {
    /// The namespace of resources that name none.
    pub namespace: String,
    /// The cluster's domain.
    pub domain: String,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            namespace: "default".to_owned(),
            domain: "cluster.local".to_owned(),
        }
    }
}

/// All that was read.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// VirtualService, HTTPRoute, GRPCRoute.
    pub routes: Vec<RouteTable>,
    /// DestinationRules.
    pub destination_rules: Vec<DestinationRule>,
    /// Istio's Gateways.
    pub gateways: Vec<Gateway>,
    /// Services.
    pub services: Vec<Service>,
    /// ServiceEntries.
    pub service_entries: Vec<ServiceEntry>,
    /// Pods and what makes them.
    pub workloads: Vec<Workload>,
    /// HorizontalPodAutoscalers.
    pub scalers: Vec<Scaler>,
    /// Namespaces.
    pub namespaces: Vec<Namespace>,
    /// Policies.
    pub policies: Vec<Selected>,
    /// The mesh's configuration.
    pub mesh: Option<MeshConfig>,
    /// Annotations by which resources are exempt from rules.
    pub ignores: Vec<Annotation>,
    /// How many documents were of a kind that is read.
    pub count: usize,
}

const ISTIO: [&str; 4] = [
    "networking.istio.io",
    "security.istio.io",
    "telemetry.istio.io",
    "extensions.istio.io",
];

impl Resources {
    /// Takes one document in; a List is taken apart.
    ///
    /// # Errors
    /// One for each resource that has a known field of a wrong type.
    pub fn take(&mut self, node: &Node, file: u32, context: &Context) -> Vec<Unreadable> {
        let root = Tree { node, file };
        let kind = node.get("kind").and_then(Node::string).unwrap_or_default();
        let version = node
            .get("apiVersion")
            .and_then(Node::string)
            .unwrap_or_default();
        if let Some(items) = node.get("items").filter(|_| kind.ends_with("List")) {
            let inner = items.items().iter();
            return inner
                .flat_map(|item| self.take(item, file, context))
                .collect();
        }
        // kustomize and Argo print bare lists, too.
        if !node.items().is_empty() {
            let inner = node.items().iter();
            return inner
                .flat_map(|item| self.take(item, file, context))
                .collect();
        }
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let read = self.one(group, kind, root, context);
        let name = node.at(&["metadata", "name"]).and_then(Node::text);
        let named = |it: Unreadable| it.of(kind, name.unwrap_or_default());
        read.map_err(named).err().into_iter().collect()
    }

    fn one(&mut self, group: &str, kind: &str, root: Tree<'_>, context: &Context) -> Read<()> {
        let meta = |kind| Meta::read(Kind(kind), root, context);
        let spec = || {
            root.get("spec")
                .ok_or_else(|| root.unreadable("spec is missing"))
        };
        match (group, kind) {
            ("networking.istio.io", "VirtualService") => {
                let table = RouteTable::virtual_service(meta("VirtualService")?, spec()?)?;
                self.routes.push(table);
            }
            ("gateway.networking.k8s.io", "HTTPRoute") => {
                let table = RouteTable::gateway_api(meta("HTTPRoute")?, spec()?)?;
                self.routes.push(table);
            }
            ("gateway.networking.k8s.io", "GRPCRoute") => {
                let table = RouteTable::gateway_api(meta("GRPCRoute")?, spec()?)?;
                self.routes.push(table);
            }
            ("networking.istio.io", "DestinationRule") => {
                let rule = DestinationRule::read(meta("DestinationRule")?, spec()?)?;
                self.destination_rules.push(rule);
            }
            ("networking.istio.io", "Gateway") => {
                self.gateways
                    .push(Gateway::read(meta("Gateway")?, spec()?)?);
            }
            ("networking.istio.io", "ServiceEntry") => {
                let entry = ServiceEntry::read(meta("ServiceEntry")?, spec()?)?;
                self.service_entries.push(entry);
            }
            ("", "Service") => self
                .services
                .push(Service::read(meta("Service")?, spec()?)?),
            ("", "Namespace") => self.namespaces.push(Namespace {
                meta: meta("Namespace")?,
            }),
            ("", "Pod") => self.workloads.push(Workload::pod(meta("Pod")?, spec()?)?),
            ("apps", _) => {
                if let Some(kind) = known(&["Deployment", "StatefulSet", "DaemonSet"], kind) {
                    let workload = Workload::of_template(meta(kind)?, spec()?)?;
                    self.workloads.push(workload);
                } else {
                    return Ok(());
                }
            }
            ("autoscaling", "HorizontalPodAutoscaler") => {
                let scaler = Scaler::read(meta("HorizontalPodAutoscaler")?, spec()?)?;
                self.scalers.push(scaler);
            }
            ("install.istio.io", "IstioOperator") => {
                let mesh = root
                    .get("spec")
                    .and_then(|it| it.get("meshConfig"))
                    .map(MeshConfig::read);
                self.mesh = mesh.transpose()?.or_else(|| self.mesh.take());
            }
            ("", "ConfigMap") if is_mesh_config(root) => self.mesh = mesh_of_config_map(root)?,
            (group, kind) if ISTIO.contains(&group) => {
                const POLICIES: [&str; 8] = [
                    "AuthorizationPolicy",
                    "PeerAuthentication",
                    "RequestAuthentication",
                    "WasmPlugin",
                    "EnvoyFilter",
                    "Telemetry",
                    "Sidecar",
                    "ProxyConfig",
                ];
                let Some(kind) = known(&POLICIES, kind) else {
                    return Ok(());
                };
                let meta = meta(kind)?;
                let spec = root.get("spec");
                self.policies.push(Selected {
                    target: Target::read(spec)?,
                    kind: PolicyKind::read(&meta, spec)?,
                    meta,
                });
            }
            _ => return Ok(()),
        }
        self.count += 1;
        self.annotation(kind, root);
        Ok(())
    }

    fn annotation(&mut self, kind: &str, root: Tree<'_>) {
        let Some(metadata) = root.get("metadata") else {
            return;
        };
        let annotations = metadata.get("annotations");
        let text = annotations.and_then(|it| it.maybe(IGNORE).ok().flatten());
        if let Some(text) = text {
            let name = metadata.node.get("name").and_then(Node::text);
            self.ignores.push(Annotation {
                resource: Subject {
                    title: format!("{kind} {}", name.unwrap_or_default()),
                    place: root.place(),
                },
                text,
            });
        }
    }
}

fn known(kinds: &[&'static str], kind: &str) -> Option<&'static str> {
    kinds.iter().find(|it| **it == kind).copied()
}

fn is_mesh_config(root: Tree<'_>) -> bool {
    let name = root.node.at(&["metadata", "name"]).and_then(Node::string);
    name == Some("istio") && root.node.at(&["data", "mesh"]).is_some()
}

/// The text in the ConfigMap is YAML; places in it are the ConfigMap's key.
fn mesh_of_config_map(root: Tree<'_>) -> Read<Option<MeshConfig>> {
    let Some(mesh) = root.get("data").and_then(|it| it.get("mesh")) else {
        return Ok(None);
    };
    let text = mesh.node.text().unwrap_or_default();
    let read = match yaml::read(text, Limits::default()).into_iter().next() {
        Some(Ok(node)) => MeshConfig::read(Tree {
            node: &node,
            file: root.file,
        })
        .map_err(|it| it.to_string()),
        Some(Err(refused)) => Err(refused.to_string()),
        None => return Ok(None),
    };
    let config = read.map_err(|reason| mesh.unreadable(reason))?;
    Ok(Some(config))
}
