//! Calls from inside: through the doors, or past every proxy's identity.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use reqwest::Url;

use super::{Local, RunFile};
use crate::exchange::{self, Ask, Reply};
use crate::part::{App, Caller};

impl Local {
    /// As [`crate::environment::Mesh::url`].
    #[must_use]
    pub fn url(app: App, path: &str) -> String {
        format!("http://{}:8080{path}", app.service())
    }

    /// As [`crate::environment::Mesh::call`].
    ///
    /// # Errors
    /// When there is no way in for this caller.
    pub async fn call(&self, caller: Caller, ask: &Ask) -> Result<Reply> {
        let url = Url::parse(&ask.url).with_context(|| ask.url.clone())?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let address = way_in(&self.run()?, caller, &host)?;
        let mut there = url;
        let placed =
            there.set_ip_host(address.ip()).is_ok() && there.set_port(Some(address.port())).is_ok();
        anyhow::ensure!(placed, "{}: cannot be led to {address}", ask.url);
        let ask = Ask {
            url: there.into(),
            ..ask.clone().header("host", &host)
        };
        Ok(exchange::exchange(&self.client, ask).await)
    }
}

/// Where a caller connects in order to reach a service: its own proxy, or, without one, the service's.
fn way_in(run: &RunFile, caller: Caller, host: &str) -> Result<SocketAddr> {
    let name = match caller {
        Caller::Insider => "insider",
        Caller::Stranger => "stranger",
        Caller::Outsider => {
            let app = [App::CustomApp, App::LogAgent]
                .into_iter()
                .find(|app| app.service() == host)
                .with_context(|| format!("{host} is no service"))?;
            return Ok(run.instance(app)?.inbound);
        }
    };
    let door = run.callers.iter().find(|door| door.name == name);
    door.map(|door| door.address)
        .with_context(|| format!("the run has no caller {name}"))
}
