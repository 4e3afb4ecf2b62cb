//! What a run says about itself, for whoever asks: `--status`, `--delete`, and the acceptance suite.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::envoy::{self, Files};
use crate::topology::{Identity, Instance, Topology};

const NAME: &str = "run.json";

/// A run. Written anew whenever a process of it changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunFile {
    /// Where this file is.
    pub path: PathBuf,
    /// The process that started everything else.
    pub pid: i32,
    /// Whether every part was ready once.
    pub ready: bool,
    /// The gateway, as `http://HOST:PORT`.
    pub gateway_url: String,
    /// Envoy's administration interface.
    pub admin_url: String,
    /// The listeners Envoy runs on; it takes another file that is moved here.
    pub listeners: PathBuf,
    /// The gateway's proxy.
    pub gateway: Proxy,
    /// The services' instances.
    pub instances: Vec<Running>,
    /// Who calls from inside the mesh, by name: whoever connects there has that identity.
    pub callers: Vec<Door>,
}

/// A proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Proxy {
    /// Its SPIFFE name.
    pub identity: String,
    /// Its access log.
    pub access_log: PathBuf,
    /// The beginning of its clusters' names.
    pub clusters: String,
}

/// An instance of a service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its name.
    pub name: String,
    /// The service: `custom-app` or `log-agent`.
    pub service: String,
    /// Its process; absent while it is not running.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Where the application itself listens.
    pub app_url: String,
    /// Where its proxy listens, with mTLS.
    pub inbound: SocketAddr,
    /// The log of all its lives.
    pub log: PathBuf,
    /// Its SPIFFE name.
    pub identity: String,
    /// The beginning of its proxy's clusters' names.
    pub clusters: String,
    /// What is appended to its `route` labels.
    pub route_suffix: String,
}

/// A way into the mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Door {
    /// The caller's name.
    pub name: String,
    /// Its SPIFFE name.
    pub identity: String,
    /// Where to connect, without TLS; the service called is the one in `Host`.
    pub address: SocketAddr,
}

impl RunFile {
    /// What is known before anything runs.
    #[must_use]
    pub fn new(folder: &Path, topology: &Topology, files: &Files, gateway: &Identity) -> Self {
        Self {
            path: folder.join(NAME),
            pid: rustix::process::getpid().as_raw_nonzero().get(),
            ready: false,
            gateway_url: url(topology.gateway),
            admin_url: url(topology.admin),
            listeners: files.listeners.clone(),
            gateway: Proxy {
                identity: gateway.to_string(),
                access_log: files.access_log("gateway"),
                clusters: envoy::outbound("gateway", ""),
            },
            instances: topology
                .instances
                .iter()
                .map(|instance| running(instance, files))
                .collect(),
            callers: topology
                .callers
                .iter()
                .map(|caller| Door {
                    name: caller.name.to_owned(),
                    identity: caller.identity.to_string(),
                    address: loopback(caller.port),
                })
                .collect(),
        }
    }

    /// Reads a run's.
    ///
    /// # Errors
    /// When it is not there or not whole.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(NAME);
        let text = fs::read_to_string(&path).map_err(Error::at("read", &path))?;
        serde_json::from_str(&text).map_err(|error| Error::at("read", &path)(error.into()))
    }

    /// Its text.
    ///
    /// # Errors
    /// When a path is not UTF-8.
    pub fn text(&self) -> Result<String, Error> {
        serde_json::to_string_pretty(self)
            .map_err(|error| Error::at("write", &self.path)(error.into()))
    }

    /// Its name in its folder.
    #[must_use]
    pub const fn name() -> &'static str {
        NAME
    }
}

fn running(instance: &Instance, files: &Files) -> Running {
    Running {
        name: instance.name.to_owned(),
        service: instance.service.workload().to_owned(),
        pid: None,
        restarts: 0,
        app_url: url(instance.app),
        inbound: loopback(instance.inbound),
        log: files.logs.join(format!("{}.log", instance.name)),
        identity: Identity::of(instance.service).to_string(),
        clusters: envoy::outbound(instance.name, ""),
        route_suffix: envoy::filter::route_suffix(instance.name),
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

fn url(port: u16) -> String {
    format!("http://{}", loopback(port))
}
