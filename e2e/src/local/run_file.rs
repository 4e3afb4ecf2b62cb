//! What a run says about itself: as much of it as the suite needs.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::part::App;

/// A run.
#[derive(Clone, Debug, Deserialize)]
pub struct RunFile {
    /// The gateway, as `http://HOST:PORT`.
    pub gateway_url: String,
    /// Envoy's administration interface.
    pub admin_url: String,
    /// The listeners that Envoy runs on, and takes again whenever another file is moved here.
    pub listeners: PathBuf,
    /// The gateway's proxy.
    pub gateway: Gateway,
    /// The applications' instances.
    pub instances: Vec<Instance>,
    /// Who calls from inside the mesh.
    pub callers: Vec<Door>,
}

/// The gateway's proxy.
#[derive(Clone, Debug, Deserialize)]
pub struct Gateway {
    /// Its access log.
    pub access_log: PathBuf,
    /// How its clusters' names begin.
    pub clusters: String,
}

/// An instance of an application, with its proxy.
#[derive(Clone, Debug, Deserialize)]
pub struct Instance {
    /// Its name.
    pub name: String,
    /// The application.
    pub service: String,
    /// Its process, while it runs.
    pub pid: Option<i32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Where the application listens, behind its proxy.
    pub app_url: String,
    /// Where its proxy listens, with mTLS.
    pub inbound: SocketAddr,
    /// The log of all its lives.
    pub log: PathBuf,
    /// How its proxy's clusters' names begin.
    pub clusters: String,
    /// What its proxy's `route` labels end with.
    pub route_suffix: String,
}

impl Instance {
    /// Whether it is one of this application's.
    #[must_use]
    pub fn is_of(&self, app: App) -> bool {
        self.service == app.name()
    }
}

/// A way into the mesh: whoever connects has that identity there.
#[derive(Clone, Debug, Deserialize)]
pub struct Door {
    /// The caller's name.
    pub name: String,
    /// Where to connect, without TLS.
    pub address: SocketAddr,
}

impl RunFile {
    /// Reads it.
    ///
    /// # Errors
    /// When it is not there (the run has ended) or not a run file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| {
            format!("the run file {}: does the run still live?", path.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("the run file {}", path.display()))
    }

    /// The first instance of an application.
    ///
    /// # Errors
    /// When there is none.
    pub fn instance(&self, app: App) -> Result<&Instance> {
        let mut instances = self.instances.iter();
        let found = instances.find(|instance| instance.is_of(app));
        found.with_context(|| format!("no instance of {}", app.name()))
    }
}
