//! Services and ServiceEntries: hosts, their ports, and the ports' protocols.

use super::field::{At, Field, Place, Read, Tree};
use super::meta::Meta;
use super::workload::Labels;

/// A Kubernetes Service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// The resource.
    pub meta: Meta,
    /// Labels of its pods; empty: endpoints by other means.
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<Port>,
    /// `ClusterIP`, `ExternalName`, …
    pub kind: Option<String>,
    /// Namespaces that see it.
    pub export_to: Option<At<Vec<At<String>>>>,
}

/// Hosts outside of Kubernetes' Services.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceEntry {
    /// The resource.
    pub meta: Meta,
    /// The hosts.
    pub hosts: Vec<At<String>>,
    /// The ports.
    pub ports: Vec<Port>,
    /// How many endpoints are written down; none: found by DNS or by a selector.
    pub endpoints: Option<At<u32>>,
    /// `STATIC`, `DNS`, …
    pub resolution: Option<String>,
    /// Namespaces that see it.
    pub export_to: Option<At<Vec<At<String>>>>,
}

/// A port.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Where it starts.
    pub place: Place,
    /// The port of the Service.
    pub number: At<u32>,
    /// Its name.
    pub name: Option<String>,
    /// What tells its protocol: `appProtocol`, the name, or `protocol` of a ServiceEntry; and where.
    pub told: Option<At<String>>,
    /// The container's port: a number, or a name.
    pub target: Option<At<String>>,
    /// `TCP` or `UDP`.
    pub transport: String,
}

/// What a proxy takes a port's bytes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP of any version.
    Http,
    /// Bytes, or TLS that the proxy does not end.
    Opaque,
    /// Found out for each connection.
    Sniffed,
}

impl Port {
    /// The protocol, by Istio's rules for names.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        let told = self.told.as_ref().map_or("", |it| it.as_str());
        let told = told.to_ascii_lowercase();
        let word = match told.as_str() {
            "kubernetes.io/h2c" | "kubernetes.io/ws" => "http",
            "kubernetes.io/wss" => "https",
            told if told.starts_with("grpc-web") => "grpc",
            told => told.split('-').next().unwrap_or_default(),
        };
        match word {
            _ if self.transport == "UDP" => Protocol::Opaque,
            "http" | "http2" | "grpc" | "http_proxy" => Protocol::Http,
            "https" | "tls" | "tcp" | "mongo" | "mysql" | "redis" | "udp" => Protocol::Opaque,
            // Istio takes these for what they usually are.
            _ if matches!(self.number.value, 25 | 53 | 3306 | 27017) => Protocol::Opaque,
            _ => Protocol::Sniffed,
        }
    }
}

impl Service {
    pub(super) fn read(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        Ok(Self {
            export_to: meta.export_to.as_ref().map(export_to),
            meta,
            selector: spec.or_default("selector")?,
            ports: spec.or_default("ports")?,
            kind: spec.maybe("type")?,
        })
    }
}

/// An annotation's list as a field's.
fn export_to(annotation: &At<String>) -> At<Vec<At<String>>> {
    let place = annotation.place;
    let names = annotation.split(',').map(|name| At {
        place,
        value: name.trim().to_owned(),
    });
    At {
        place,
        value: names.collect(),
    }
}

impl ServiceEntry {
    pub(super) fn read(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        let endpoints = spec.get("endpoints").map(|tree| At {
            place: tree.place(),
            value: u32::try_from(tree.node.items().len()).unwrap_or(u32::MAX),
        });
        let ports: Vec<EntryPort> = spec.or_default("ports")?;
        Ok(Self {
            meta,
            hosts: spec.or_default("hosts")?,
            ports: ports.into_iter().map(|it| it.0).collect(),
            endpoints,
            resolution: spec.maybe("resolution")?,
            export_to: spec.maybe("exportTo")?,
        })
    }
}

impl Field for Port {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let name: Option<At<String>> = tree.maybe("name")?;
        let app: Option<At<String>> = tree.maybe("appProtocol")?;
        let target = tree.get("targetPort").and_then(|target| {
            let value = target.node.text()?.to_owned();
            Some(At {
                place: target.place(),
                value,
            })
        });
        Ok(Self {
            place: tree.place(),
            number: tree.must("port")?,
            told: app.or_else(|| name.clone()),
            name: name.map(|it| it.value),
            target,
            transport: tree.maybe("protocol")?.unwrap_or_else(|| "TCP".to_owned()),
        })
    }
}

/// A port of a ServiceEntry says its protocol by itself.
struct EntryPort(Port);

impl Field for EntryPort {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let protocol: Option<At<String>> = tree.maybe("protocol")?;
        let name: Option<At<String>> = tree.maybe("name")?;
        Ok(Self(Port {
            place: tree.place(),
            number: tree.must("number")?,
            told: protocol.or_else(|| name.clone()),
            name: name.map(|it| it.value),
            target: None,
            transport: "TCP".to_owned(),
        }))
    }
}
