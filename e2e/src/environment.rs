//! What a case may see: the gateway from outside, the mesh from inside.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::exchange::{Ask, Reply};
use crate::gateway::Gateway;
use crate::parse::config::Config;
use crate::parse::log::Line;
use crate::parse::stats::Stats;

/// An application of Faultline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// The front service.
    CustomApp,
    /// The store.
    LogAgent,
}

impl App {
    /// Its name: of the container, and of the label `app`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app",
            Self::LogAgent => "log-agent",
        }
    }

    /// The name it is called by inside the mesh, without the namespace.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app-service",
            Self::LogAgent => "log-agent-service",
        }
    }
}

/// A proxy of the mesh; where there are several of a kind, their statistics are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// The ingress gateway.
    Gateway,
    /// An application's sidecar.
    Sidecar(App),
}

/// Who calls from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// custom-app's identity, in the mesh.
    Insider,
    /// An identity of its own, in the mesh.
    Stranger,
    /// Not in the mesh.
    Outsider,
}

/// Which containers' logs to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// The running ones.
    Current,
    /// Also the one before the last restart.
    WithPrevious,
}

/// How `deploy.sh` itself is to be proved.
#[derive(Clone, Debug)]
pub struct DeployScript {
    /// The script.
    pub path: PathBuf,
    /// Whether the deployment may be deleted at the end.
    pub delete: Deletion,
}

/// Whether the suite may delete the deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It stays.
    Refused,
    /// It may go, last of all.
    Allowed,
}

/// Everything a case may touch.
pub struct Environment {
    /// From outside.
    pub gateway: Gateway,
    /// From inside.
    pub mesh: Mesh,
    /// The script that deployed it, where it is to be proved too.
    pub deploy_script: Option<DeployScript>,
}

/// Where the mesh runs. A case that needs more than these four views asks for [`Mesh::cluster`].
pub enum Mesh {
    /// On Kubernetes with Istio.
    Cluster(Cluster),
}

impl Mesh {
    /// An application's log since `since` (a little more, never less), all replicas, oldest first in each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn log(&self, app: App, lives: Lives, since: Instant) -> Result<Vec<Line>> {
        match self {
            Self::Cluster(cluster) => cluster.log(app, lives, since).await,
        }
    }

    /// Makes a request from inside the mesh; the URL's host is the application's service name.
    ///
    /// # Errors
    /// When it could not be made; a refusal is a [`Reply`].
    pub async fn call(&self, caller: Caller, ask: &Ask) -> Result<Reply> {
        match self {
            Self::Cluster(cluster) => cluster.call(caller, ask).await,
        }
    }

    /// The URL under which an application is called from inside.
    #[must_use]
    pub fn url(&self, app: App, path: &str) -> String {
        match self {
            Self::Cluster(cluster) => cluster.url(app, path),
        }
    }

    /// A proxy's statistics, added up over its replicas.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn stats(&self, proxy: Proxy) -> Result<Stats> {
        match self {
            Self::Cluster(cluster) => cluster.stats(proxy).await,
        }
    }

    /// The configuration a proxy runs on (of its first replica).
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn config(&self, proxy: Proxy) -> Result<Config> {
        match self {
            Self::Cluster(cluster) => cluster.config(proxy).await,
        }
    }

    /// The cluster underneath.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        match self {
            Self::Cluster(cluster) => cluster,
        }
    }

    /// Undoes every change that is still in force.
    ///
    /// # Errors
    /// When something could not be put back; the error names it.
    pub async fn restore(&self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.restore().await,
        }
    }

    /// Removes everything the suite has put there.
    ///
    /// # Errors
    /// When something is left; the error names it.
    pub async fn leave(&self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.leave().await,
        }
    }
}
