//! The custom-app that is killed while it works.

use anyhow::{Context as _, Result, bail};

use crate::cluster::{Cluster, Pod};
use crate::environment::Mesh;
use crate::local::Local;
use crate::part::App;
use crate::unmet::Unmet;

/// One custom-app.
pub enum Victim<'a> {
    /// On a cluster.
    Pod {
        /// The cluster.
        cluster: &'a Cluster,
        /// The pod as it was before.
        pod: Box<Pod>,
    },
    /// On this machine.
    Process {
        /// The run.
        local: &'a Local,
        /// The instance's name.
        name: String,
        /// How often it had been started again before.
        restarts: u32,
    },
}

impl<'a> Victim<'a> {
    /// Chooses one, and makes ready what is needed to kill it.
    ///
    /// # Errors
    /// When there is none; [`Unmet::Skipped`] where it may not be killed.
    pub async fn choose(mesh: &'a Mesh) -> Result<Self, Unmet> {
        match mesh {
            Mesh::Cluster(cluster) => {
                let pods = cluster.pods(App::CustomApp).await?;
                let pod = pods.into_iter().next().context("no custom-app")?;
                match cluster.plant_killer(&pod).await? {
                    Ok(()) => Ok(Self::Pod {
                        cluster,
                        pod: Box::new(pod),
                    }),
                    Err(reason) => Err(Unmet::Skipped(format!(
                        "pods with hostPID are not allowed here: {reason}"
                    ))),
                }
            }
            Mesh::Local(local) => {
                let run = local.run()?;
                let instance = run.instance(App::CustomApp)?;
                Ok(Self::Process {
                    local,
                    name: instance.name.clone(),
                    restarts: instance.restarts,
                })
            }
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Pod { pod, .. } => &pod.name,
            Self::Process { name, .. } => name,
        }
    }

    /// Kills it (SIGKILL); returns what was done.
    ///
    /// # Errors
    /// When it could not be killed.
    pub async fn kill(&self) -> Result<String> {
        match self {
            Self::Pod { cluster, pod } => cluster.kill(pod, App::CustomApp.name()).await,
            Self::Process { local, name, .. } => local.kill(name),
        }
    }

    /// Fails unless it was started again and is ready.
    ///
    /// # Errors
    /// What it is in.
    pub async fn is_back(&self) -> Result<()> {
        match self {
            Self::Pod {
                cluster,
                pod: before,
            } => {
                let restarts =
                    |pod: &Pod| pod.container(App::CustomApp.name()).map(|it| it.restarts);
                let pods = cluster.pods(App::CustomApp).await?;
                let pod = pods
                    .iter()
                    .find(|pod| pod.uid == before.uid)
                    .context("the pod is gone")?;
                if restarts(pod) <= restarts(before) || !pod.is_ready() {
                    bail!("{:?}", pod.containers);
                }
                Ok(())
            }
            Self::Process {
                local,
                name,
                restarts,
            } => local.is_back(name, *restarts).await,
        }
    }
}
