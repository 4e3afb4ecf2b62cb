//! The real Prometheus, over samples whose times a test chooses.

use crate::{
    Error,
    install::{self, last_lines},
    wait::until,
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tempfile::TempDir;

/// Labels and a value, one of a query's answer.
pub type Vector = BTreeMap<BTreeMap<String, String>, f64>;

/// A running Prometheus that scrapes nothing. Dropping it kills the process.
#[derive(Debug)]
pub struct Prometheus {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Prometheus {
    /// Starts it over these samples, in OpenMetrics' text format without the `# EOF`: each line with its time
    /// in seconds, of each series in the order of time.
    ///
    /// # Errors
    /// [`Error::NoPrometheus`] where it cannot be had; else why it did not take the samples or did not start.
    pub async fn over(samples: &str) -> Result<Self, Error> {
        let programs = install::prometheus()?;
        let directory = TempDir::with_prefix("faultline-prometheus-")
            .map_err(Error::io("create a directory for Prometheus"))?;
        let path = |name: &str| directory.path().join(name);
        let write = |name: &str, text: &str| {
            fs::write(path(name), text).map_err(Error::io(format!("write {name}")))
        };
        write(SAMPLES, &format!("{samples}# EOF\n"))?;
        write(CONFIG, "scrape_configs: []\n")?;
        let blocks = ["tsdb", "create-blocks-from", "openmetrics"];
        install::run(
            Command::new(programs.join("promtool"))
                .args(blocks)
                .args([path(SAMPLES), path(DATA)]),
        )?;
        let binary = programs.join("prometheus");
        let log = File::create(path(LOG)).map_err(Error::io(format!("create {LOG}")))?;
        let process = Command::new(&binary)
            .arg(flag("config.file", &path(CONFIG)))
            .arg(flag("storage.tsdb.path", &path(DATA)))
            .args(["--web.listen-address=127.0.0.1:0", "--log.level=info"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .map_err(Error::io(format!("start {}", binary.display())))?;
        let client = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .map_err(|error| problem("client", error))?;
        let mut prometheus = Self {
            process,
            directory,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            client,
        };
        prometheus.address =
            until("Prometheus to be ready", async || prometheus.ready().await).await??;
        Ok(prometheus)
    }

    /// Its address once it takes queries; an error once the process has ended.
    async fn ready(&mut self) -> Option<Result<SocketAddr, Error>> {
        let log = fs::read_to_string(self.directory.path().join(LOG)).unwrap_or_default();
        if let Ok(Some(status)) = self.process.try_wait() {
            return Some(Err(Error::Program {
                program: "prometheus".to_owned(),
                status,
                output: last_lines(&log).to_owned(),
            }));
        }
        let address: SocketAddr = listening(&log)?.parse().ok()?;
        let url = format!("http://{address}/-/ready");
        let answer = self.client.get(url).send().await.ok()?;
        answer.status().is_success().then_some(Ok(address))
    }

    /// The answer to an expression at this time, in seconds.
    ///
    /// # Errors
    /// The expression is refused, or its answer is no vector.
    pub async fn query(&self, expression: &str, time: u64) -> Result<Vector, Error> {
        let url = format!("http://{}/api/v1/query", self.address);
        let asked = [("query", expression), ("time", &time.to_string())];
        let url = reqwest::Url::parse_with_params(&url, asked)
            .map_err(|error| problem(expression, error))?;
        let answer = async { self.client.get(url).send().await?.text().await };
        let answer = answer.await.map_err(|error| problem(expression, error))?;
        let unread = || problem(expression, &answer);
        let parsed: Value = serde_json::from_str(&answer).map_err(|_| unread())?;
        if parsed.pointer("/data/resultType").and_then(Value::as_str) != Some("vector") {
            return Err(unread());
        }
        let result = parsed.pointer("/data/result").and_then(Value::as_array);
        let sample = |sample: &Value| {
            let labels = sample.get("metric")?.as_object()?.iter();
            let labels = labels
                .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
                .collect::<Option<_>>()?;
            let value = sample.pointer("/value/1")?.as_str()?.parse().ok()?;
            Some((labels, value))
        };
        let samples = result.into_iter().flatten().map(sample);
        samples.collect::<Option<_>>().ok_or_else(unread)
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // An error here means that it has already ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `msg="Listening on" address=127.0.0.1:40000`, once it stands in the log.
fn listening(log: &str) -> Option<&str> {
    let line = log.lines().find(|line| line.contains("Listening on"))?;
    let (_, address) = line.split_once("address=")?;
    address.split_whitespace().next()
}

fn flag(name: &str, path: &Path) -> String {
    format!("--{name}={}", path.display())
}

fn problem(of: &str, problem: impl ToString) -> Error {
    Error::Prometheus {
        of: of.to_owned(),
        problem: problem.to_string(),
    }
}

const SAMPLES: &str = "samples.txt";
const CONFIG: &str = "prometheus.yml";
const DATA: &str = "data";
const LOG: &str = "prometheus.log";
