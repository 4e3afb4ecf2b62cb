//! From the mesh to one Envoy's configuration: every proxy of the cluster becomes a pair of
//! listeners. Pure: no file is read or written here.
//!
//! What `istio/` says is taken from [`Mesh`]. What Istio adds by itself (defaults, the order of the
//! filters) is written down here as a cluster's `config_dump` shows it.

mod cluster;
mod connection_manager;
pub mod filter;
mod listener;
mod rbac;
mod route;
mod tls;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::mesh::Mesh;
use crate::topology::{Identity, Topology};

/// Where the files are that Envoy reads and writes.
#[derive(Clone, Debug)]
pub struct Files {
    /// The filter's module.
    pub module: PathBuf,
    /// The listeners: Envoy loads them again whenever another file is moved here.
    pub listeners: PathBuf,
    /// The folder of the certificates.
    pub certificates: PathBuf,
    /// The folder of the access logs.
    pub logs: PathBuf,
}

impl Files {
    /// The certificate of the mesh's authority.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.certificates.join("authority.pem")
    }

    /// An identity's certificate.
    #[must_use]
    pub fn certificate(&self, of: &Identity) -> PathBuf {
        self.certificates.join(format!("{}.pem", of.account))
    }

    /// An identity's private key.
    #[must_use]
    pub fn key(&self, of: &Identity) -> PathBuf {
        self.certificates.join(format!("{}.key", of.account))
    }

    /// A proxy's access log.
    #[must_use]
    pub fn access_log(&self, proxy: &str) -> PathBuf {
        self.logs.join(format!("{proxy}.access.log"))
    }
}

/// What Envoy runs on.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// What it is started with.
    pub bootstrap: Value,
    /// What [`Files::listeners`] holds.
    pub listeners: Value,
}

/// Everything the rendering depends on.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// What `istio/` says.
    pub mesh: &'a Mesh,
    /// Who runs where.
    pub topology: &'a Topology,
    /// The files.
    pub files: &'a Files,
}

impl Plan<'_> {
    /// Renders it.
    #[must_use]
    pub fn configuration(&self) -> Configuration {
        Configuration {
            bootstrap: self.bootstrap(),
            listeners: json!({"version_info": "1", "resources": self.listeners()}),
        }
    }

    fn bootstrap(&self) -> Value {
        json!({
            "node": {"id": "faultline-local", "cluster": "faultline-local"},
            "admin": {"address": loopback(self.topology.admin)},
            "dynamic_resources": {"lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": text(&self.files.listeners)},
            }},
            "static_resources": {"clusters": self.clusters()},
            "stats_config": {"stats_tags": self.stat_tags()},
            "layered_runtime": {"layers": [
                // As Istio: what follows a # is cut off, not refused; its patterns of callers may be long.
                {"name": "static", "static_layer": {
                    "envoy.reloadable_features.http_reject_path_with_fragment": false,
                    "re2.max_program_size.error_level": 32_768,
                }},
                // Lets the fault be turned off: /runtime_modify?fault.http.delay.fixed_delay_percent=0
                {"name": "admin", "admin_layer": {}},
            ]},
            "overload_manager": {"resource_monitors": [{
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    "max_active_downstream_connections": i32::MAX,
                },
            }]},
        })
    }

    /// Istio's encoding of labels in a metric's name, as its bootstrap splits it.
    fn stat_tags(&self) -> Vec<Value> {
        let tag =
            |tag: &String| json!({"tag_name": tag, "regex": format!(r"({tag}=\.=(.*?);\.;)")});
        self.mesh.stat_tags.iter().map(tag).collect()
    }
}

/// The name of the cluster by which a proxy calls a service.
#[must_use]
pub fn outbound(proxy: &str, host: &str) -> String {
    format!("{proxy}.outbound|8080||{host}")
}

/// The name of the cluster by which a proxy calls its own application.
fn inbound(proxy: &str) -> String {
    format!("{proxy}.inbound|8080||")
}

fn loopback(port: u16) -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": port}})
}

/// Paths come from this program and from flags that are checked to be UTF-8.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
