//! The real proxy, for the length of a test.

use crate::{Error, install, install::last_lines, wait::until};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// A running Envoy. Dropping it kills the process; if the test is failing, the last lines of its
/// log are shown.
///
/// Listeners should ask for port 0; the administration interface gets a port of its own. So the
/// system chooses every port, so that tests run side by side. [`Envoy::listener`] tells which was chosen. An
/// access log to `/dev/stdout` is at [`Envoy::access_log`].
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    directory: TempDir,
    admin: SocketAddr,
    client: reqwest::Client,
}

impl Envoy {
    /// Starts Envoy with this configuration (YAML or JSON) and waits until it is ready.
    ///
    /// # Errors
    /// No binary, or Envoy refused the configuration and ended: its last words are in the error.
    pub async fn start(config: &str) -> Result<Self, Error> {
        Self::start_with(config, &["--concurrency", "1"], &[]).await
    }

    /// As [`Envoy::start`], with these arguments in place of one worker thread, and with these
    /// variables beside those of this process.
    ///
    /// # Errors
    /// As [`Envoy::start`].
    pub async fn start_with(
        config: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let binary = install::envoy()?;
        let directory = TempDir::with_prefix("faultline-envoy-")
            .map_err(Error::io("create a directory for Envoy"))?;
        let path = |name: &str| directory.path().join(name);
        let create =
            |name: &str| File::create(path(name)).map_err(Error::io(format!("create {name}")));
        fs::write(path(CONFIG), config).map_err(Error::io("write the configuration"))?;
        let process = Command::new(&binary)
            .arg("--config-path")
            .arg(path(CONFIG))
            .args(["--config-yaml", ADMIN_CONFIG])
            .arg("--admin-address-path")
            .arg(path(ADMIN))
            .args(["--disable-hot-restart", "--file-flush-interval-msec", "10"])
            .args([
                "--log-level",
                "warning",
                "--component-log-level",
                "wasm:info",
            ])
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(create(ACCESS_LOG)?)
            .stderr(create(LOG)?)
            .spawn()
            .map_err(Error::io(format!("start {}", binary.display())))?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(|error| Error::Admin {
                path: "client".to_owned(),
                problem: error.to_string(),
            })?;
        let mut envoy = Self {
            process,
            directory,
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            client,
        };
        envoy.admin = until("Envoy to be ready", async || envoy.ready().await).await??;
        Ok(envoy)
    }

    /// The administration address once the server is live; an error once the process has ended.
    async fn ready(&mut self) -> Option<Result<SocketAddr, Error>> {
        if let Ok(Some(status)) = self.process.try_wait() {
            return Some(Err(Error::Program {
                program: "envoy".to_owned(),
                status,
                output: last_lines(&self.log()).to_owned(),
            }));
        }
        let address = fs::read_to_string(self.directory.path().join(ADMIN)).ok()?;
        let address: SocketAddr = address.trim().parse().ok()?;
        let url = format!("http://{address}/ready");
        let answer = self.client.get(url).send().await.ok()?;
        answer.status().is_success().then_some(Ok(address))
    }

    /// The address of the administration interface.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// The process id, for measuring what it costs.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// A directory of its own that lives as long as this Envoy.
    pub fn directory(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    /// The address on which the listener `name` listens.
    ///
    /// # Errors
    /// There is no such listener.
    pub async fn listener(&self, name: &str) -> Result<SocketAddr, Error> {
        let path = "/listeners?format=json";
        let answer = self.get(path).await?;
        let listeners: Value = serde_json::from_str(&answer).unwrap_or_default();
        let problem = || Error::Admin {
            path: path.to_owned(),
            problem: format!("no address of a listener {name:?} in {answer}"),
        };
        let statuses = listeners.get("listener_statuses").and_then(Value::as_array);
        let socket = statuses
            .into_iter()
            .flatten()
            .find(|status| status.get("name").is_some_and(|n| n == name))
            .and_then(|status| status.pointer("/local_address/socket_address"))
            .ok_or_else(problem)?;
        let part = |name: &str| {
            socket
                .get(name)
                .map(|part| part.to_string().replace('"', ""))
        };
        let address = format!(
            "{}:{}",
            part("address").ok_or_else(problem)?,
            part("port_value").ok_or_else(problem)?
        );
        address.parse().map_err(|_| problem())
    }

    /// The body of `path` at the administration interface.
    ///
    /// # Errors
    /// No answer, or another status than 200.
    pub async fn get(&self, path: &str) -> Result<String, Error> {
        let failed = |problem: String| Error::Admin {
            path: path.to_owned(),
            problem,
        };
        let url = format!("http://{}{path}", self.admin);
        let answer = self.client.get(url).send().await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        if !answer.status().is_success() {
            return Err(failed(answer.status().to_string()));
        }
        answer
            .text()
            .await
            .map_err(|error| failed(error.to_string()))
    }

    /// Every counter and gauge by its full name.
    ///
    /// # Errors
    /// As [`Envoy::get`].
    pub async fn stats(&self) -> Result<BTreeMap<String, u64>, Error> {
        let text = self.get("/stats").await?;
        let line = |line: &str| {
            let (name, value) = line.rsplit_once(": ")?;
            Some((name.to_owned(), value.parse().ok()?))
        };
        Ok(text.lines().filter_map(line).collect())
    }

    /// The Prometheus page.
    ///
    /// # Errors
    /// As [`Envoy::get`].
    pub async fn prometheus(&self) -> Result<String, Error> {
        self.get("/stats/prometheus").await
    }

    /// Envoy's own log so far.
    pub fn log(&self) -> String {
        self.read(LOG)
    }

    /// What Envoy wrote to its standard output so far.
    pub fn access_log(&self) -> String {
        self.read(ACCESS_LOG)
    }

    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.directory.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // An error here means that it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if std::thread::panicking() {
            show(last_lines(&self.log()));
        }
    }
}

#[expect(clippy::print_stderr, reason = "a failing test shows what Envoy said")]
fn show(log: &str) {
    eprintln!("--- Envoy's last lines\n{log}\n---");
}

/// Laid over the configuration given, whatever that says of an administration interface.
const ADMIN_CONFIG: &str =
    "admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}";
const CONFIG: &str = "envoy.yaml";
const ADMIN: &str = "admin.address";
const LOG: &str = "envoy.log";
const ACCESS_LOG: &str = "access.log";
