//! What a case may see: the gateway from outside, the mesh from inside.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use crate::cluster::Cluster;
use crate::exchange::{Ask, Reply};
use crate::gateway::Gateway;
use crate::local::Local;
use crate::parse::config::Upstream;
use crate::parse::log::Line;
use crate::parse::reach::Reach;
use crate::parse::stats::Stats;
use crate::part::{App, Caller, Lives, Piece, Proxy};
use crate::unmet::Unmet;

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

/// Where the mesh runs. A case that needs more than these views asks for [`Mesh::cluster`].
pub enum Mesh {
    /// On Kubernetes with Istio.
    Cluster(Cluster),
    /// In one Envoy on this machine.
    Local(Local),
}

/// What identities are made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identities<'a> {
    /// The namespace of the applications.
    pub own: &'a str,
    /// The ingress gateway, as `/ns/NAMESPACE/sa/ACCOUNT`.
    pub gateway: String,
}

impl Mesh {
    /// An application's log since `since` (a little more, never less), all replicas, oldest first in each.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn log(&self, app: App, lives: Lives, since: Instant) -> Result<Vec<Line>> {
        match self {
            Self::Cluster(cluster) => cluster.log(app, lives, since).await,
            Self::Local(local) => local.log(app, since),
        }
    }

    /// Makes a request from inside the mesh; the URL's host is the application's service name.
    ///
    /// # Errors
    /// When it could not be made; a refusal is a [`Reply`].
    pub async fn call(&self, caller: Caller, ask: &Ask) -> Result<Reply> {
        match self {
            Self::Cluster(cluster) => cluster.call(caller, ask).await,
            Self::Local(local) => local.call(caller, ask).await,
        }
    }

    /// The URL under which an application is called from inside.
    #[must_use]
    pub fn url(&self, app: App, path: &str) -> String {
        match self {
            Self::Cluster(cluster) => cluster.url(app, path),
            Self::Local(_) => Local::url(app, path),
        }
    }

    /// A proxy's statistics, added up over its replicas.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn stats(&self, proxy: Proxy) -> Result<Stats> {
        match self {
            Self::Cluster(cluster) => cluster.stats(proxy).await,
            Self::Local(local) => local.stats(proxy).await,
        }
    }

    /// How a proxy (its first replica) is configured to call an application.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn upstream(&self, proxy: Proxy, app: App) -> Result<Upstream> {
        match self {
            Self::Cluster(cluster) => {
                let name = format!("outbound|8080||{}.", app.service());
                cluster.config(proxy).await?.upstream(&name)
            }
            Self::Local(local) => local.upstream(proxy, app).await,
        }
    }

    /// The worker threads and hosts that bound the requests to an application, for each proxy of a kind.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reach(&self, proxy: Proxy, app: App) -> Result<Vec<Reach>> {
        match self {
            Self::Cluster(cluster) => cluster.reach(proxy, app).await,
            Self::Local(local) => Ok(vec![local.reach(proxy, app).await?]),
        }
    }

    /// The running instances of an application, each by the name under which it accepts entries.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn instances(&self, app: App) -> Result<Vec<String>> {
        match self {
            Self::Cluster(cluster) => {
                let pods = cluster.pods(app).await?;
                Ok(pods.into_iter().map(|pod| pod.name).collect())
            }
            Self::Local(local) => local.instances(app),
        }
    }

    /// The gateway's access log since `since` (a little more, never less).
    ///
    /// # Errors
    /// When it cannot be read; [`Unmet::Skipped`] where it does not say what the filter decided.
    pub async fn gateway_log(&self, since: Instant) -> Result<Vec<Line>, Unmet> {
        match self {
            Self::Cluster(cluster) => cluster.gateway_log(since).await,
            Self::Local(local) => Ok(local.gateway_log(since)?),
        }
    }

    /// Takes a piece out until [`Self::restore`].
    ///
    /// # Errors
    /// When it is not there, or cannot be saved or taken out.
    pub async fn take_out(&self, piece: Piece) -> Result<()> {
        match self {
            Self::Cluster(cluster) => {
                let resource = match piece {
                    Piece::Delay => cluster.delay(),
                    Piece::GatewayPlugin => cluster.gateway_plugin(),
                };
                cluster.delete(&resource).await
            }
            Self::Local(local) => local.take_out(piece).await,
        }
    }

    /// What the identities name.
    ///
    /// # Errors
    /// When the gateway's pods cannot be listed.
    pub async fn identities(&self) -> Result<Identities<'_>> {
        Ok(match self {
            Self::Cluster(cluster) => Identities {
                own: &cluster.names.namespace,
                gateway: cluster.gateway_identity().await?,
            },
            // as deploy.sh's defaults
            Self::Local(_) => Identities {
                own: "faultline",
                gateway: "/ns/istio-system/sa/istio-ingressgateway-service-account".to_owned(),
            },
        })
    }

    /// The cluster underneath.
    ///
    /// # Errors
    /// [`Unmet::NotApplicable`] where there is none; `why` there is nothing to prove then.
    pub fn cluster(&self, why: &'static str) -> Result<&Cluster, Unmet> {
        match self {
            Self::Cluster(cluster) => Ok(cluster),
            Self::Local(_) => Err(Unmet::NotApplicable(why)),
        }
    }

    /// Undoes every change that is still in force.
    ///
    /// # Errors
    /// When something could not be put back; the error names it.
    pub async fn restore(&self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.restore().await,
            Self::Local(local) => local.restore().await,
        }
    }

    /// Removes everything the suite has put there.
    ///
    /// # Errors
    /// When something is left; the error names it.
    pub async fn leave(&self) -> Result<()> {
        match self {
            Self::Cluster(cluster) => cluster.leave().await,
            Self::Local(_) => Ok(()),
        }
    }
}
