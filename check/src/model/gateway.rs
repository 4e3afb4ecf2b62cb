//! Gateways: the listeners of ingress and egress proxies.

use super::field::{At, Field, Place, Read, Tree};
use super::meta::Meta;
use super::workload::Labels;

/// Servers on the proxies that a selector names.
#[derive(Clone, Debug, PartialEq)]
pub struct Gateway {
    /// The resource.
    pub meta: Meta,
    /// Labels of the proxies, in any namespace; empty: all proxies.
    pub selector: Labels,
    /// The listeners.
    pub servers: Vec<Server>,
}

/// A listener.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Where it starts.
    pub place: Place,
    /// The port.
    pub port: At<u32>,
    /// The protocol in capitals: `HTTP`, `HTTPS`, `TLS`, `TCP`, …
    pub protocol: At<String>,
    /// The address it is bound to, if not all.
    pub bind: Option<String>,
    /// Hosts, each perhaps after `namespace/`.
    pub hosts: Vec<At<String>>,
    /// `PASSTHROUGH`, `SIMPLE`, …
    pub tls_mode: Option<At<String>>,
}

impl Gateway {
    pub(super) fn read(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        Ok(Self {
            meta,
            selector: spec.or_default("selector")?,
            servers: spec.or_default("servers")?,
        })
    }
}

impl Server {
    /// True where the proxy reads HTTP: as plain text, or because it ends the TLS.
    #[must_use]
    pub fn is_http(&self) -> bool {
        match self.protocol.as_str() {
            "HTTP" | "HTTP2" | "GRPC" | "GRPC-WEB" | "HTTP_PROXY" => true,
            "HTTPS" => !self.passes_through(),
            _ => false,
        }
    }

    /// True where TLS goes on to the destination unread.
    #[must_use]
    pub fn passes_through(&self) -> bool {
        self.tls_mode
            .as_ref()
            .is_some_and(|it| matches!(it.as_str(), "PASSTHROUGH" | "AUTO_PASSTHROUGH"))
    }

    /// The hosts without their namespaces.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.hosts
            .iter()
            .map(|host| host.split_once('/').map_or(host.as_str(), |(_, name)| name))
    }
}

impl Field for Server {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let port = tree
            .get("port")
            .ok_or_else(|| tree.unreadable("port is missing"))?;
        let tls = tree.get("tls").map(|it| it.maybe("mode")).transpose()?;
        let mut protocol: At<String> = port.must("protocol")?;
        protocol.value.make_ascii_uppercase();
        Ok(Self {
            place: tree.place(),
            port: port.must("number")?,
            protocol,
            bind: tree.maybe("bind")?,
            hosts: tree.or_default("hosts")?,
            tls_mode: tls.flatten(),
        })
    }
}
