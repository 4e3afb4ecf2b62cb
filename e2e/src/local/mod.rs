//! The mesh as listeners of one Envoy on this machine, as its run file describes it.

mod calls;
mod changes;
mod logs;
mod run_file;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use reqwest::Client;
use tokio::sync::Mutex;

pub use self::run_file::{Instance, RunFile};

use crate::exchange::{self, Ask};
use crate::parse::config::{Config, Upstream};
use crate::parse::reach::Reach;
use crate::parse::stats::Stats;
use crate::part::{App, Proxy};

/// A run of `faultline-local`.
pub struct Local {
    path: PathBuf,
    client: Client,
    /// The listeners as they were, while they are changed.
    saved: Mutex<Option<String>>,
}

impl Local {
    /// The run that this file describes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn new(path: &Path) -> Result<Self> {
        RunFile::read(path)?;
        Ok(Self {
            path: path.to_owned(),
            client: exchange::client()?,
            saved: Mutex::new(None),
        })
    }

    /// The run as it is now: processes come and go.
    ///
    /// # Errors
    /// When the file cannot be read; the run has ended then.
    pub fn run(&self) -> Result<RunFile> {
        RunFile::read(&self.path)
    }

    /// As [`crate::environment::Mesh::stats`]. All proxies are one Envoy here, and each sidecar's routes carry
    /// its name; what has no route is everybody's.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn stats(&self, proxy: Proxy) -> Result<Stats> {
        let run = self.run()?;
        let page = self.admin(&run, "/stats/prometheus").await?;
        let instances = || run.instances.iter();
        Ok(Stats::parse(&page).relabelled("route", |route| {
            let owner = instances().find_map(|instance| {
                let own = route.strip_suffix(instance.route_suffix.as_str())?;
                Some((instance, own))
            });
            match (proxy, owner) {
                (Proxy::Gateway, None) => Some(route.to_owned()),
                (Proxy::Sidecar(app), Some((instance, own))) if instance.is_of(app) => {
                    Some(own.to_owned())
                }
                _ => None,
            }
        }))
    }

    /// As [`crate::environment::Mesh::upstream`].
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn upstream(&self, proxy: Proxy, app: App) -> Result<Upstream> {
        let run = self.run()?;
        let name = upstream(&run, proxy, app)?;
        Config::parse(&self.admin(&run, "/config_dump").await?)?.upstream(&name)
    }

    /// As [`crate::environment::Mesh::reach`]: one Envoy is every proxy.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn reach(&self, proxy: Proxy, app: App) -> Result<Reach> {
        let run = self.run()?;
        let name = upstream(&run, proxy, app)?;
        let server = self.admin(&run, "/server_info").await?;
        let clusters = self.admin(&run, "/clusters?format=json").await?;
        Reach::parse(&server, &clusters, &name)
    }

    /// As [`crate::environment::Mesh::instances`].
    ///
    /// # Errors
    /// When the run has ended.
    pub fn instances(&self, app: App) -> Result<Vec<String>> {
        let instances = self.run()?.instances.into_iter();
        let of_app = instances.filter(|instance| instance.is_of(app));
        Ok(of_app.map(|instance| instance.name).collect())
    }

    async fn admin(&self, run: &RunFile, path: &str) -> Result<String> {
        let url = format!("{}{path}", run.admin_url);
        let answer = exchange::exchange(&self.client, Ask::get(url)).await;
        let answer = answer.answer().context("Envoy's administration")?;
        anyhow::ensure!(answer.status == 200, "{path}: {}", answer.summary());
        Ok(answer.body)
    }
}

/// The name of the cluster by which a proxy (its first instance) calls an application.
fn upstream(run: &RunFile, proxy: Proxy, app: App) -> Result<String> {
    let clusters = match proxy {
        Proxy::Gateway => run.gateway.clusters.as_str(),
        Proxy::Sidecar(of) => run.instance(of)?.clusters.as_str(),
    };
    Ok(format!("{clusters}{}", app.service()))
}
