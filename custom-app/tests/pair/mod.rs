//! Instances of the application in front of a log agent behind a hop, over real sockets and real
//! SQLite files.
#![allow(dead_code, unreachable_pub, reason = "each test file uses some of it")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use custom_app::delivery::Courier;
use custom_app::log_agent::LogAgent;
use custom_app::outbox::{Amount, Limits, Outbox};
use custom_app::routes::App;
use faultline_service::health::Health;
use faultline_service::metrics::Metrics;
use faultline_service_testing::eventually;
use faultline_service_testing::hop::{Hop, Mode};
use faultline_service_testing::process::Service;
use log_agent::retain::Retain;
use log_agent::sqlite_store::SqliteStore;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;

pub async fn listen(routes: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await });
    address
}

/// An answer's JSON, once its status is this.
pub async fn json(response: Response, status: u16) -> Value {
    let seen = response.status();
    let body = response.text().await.unwrap();
    assert_eq!(seen, status, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// A log agent behind a hop.
pub struct Agent {
    pub hop: Hop,
    pub address: SocketAddr,
    _directory: TempDir,
}

impl Agent {
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let health = Health::default();
        let store = SqliteStore::open(directory.path(), None, Retain::default(), &health)
            .await
            .unwrap();
        let metrics = Metrics::install().unwrap();
        let routes = log_agent::app(store, health, metrics, Duration::from_secs(30));
        let address = listen(routes).await;
        Self {
            hop: Hop::start(Mode::Pass(address)).await,
            address,
            _directory: directory,
        }
    }

    /// From now on it is away.
    pub fn down(&self) {
        self.hop.set(Mode::Down);
    }

    /// From now on it is there.
    pub fn up(&self) {
        self.hop.set(Mode::Pass(self.address));
    }

    /// From now on something else is there.
    pub async fn replaced_by(&self, routes: Router) {
        self.hop.set(Mode::Pass(listen(routes).await));
    }

    /// What is stored, newest first.
    pub async fn stored(&self) -> Vec<Value> {
        let url = format!("http://{}/logs?limit=1000", self.address);
        let page = json(reqwest::get(url).await.unwrap(), 200).await;
        page["entries"].as_array().unwrap().clone()
    }

    /// The messages that are stored, oldest first.
    pub async fn messages(&self) -> Vec<String> {
        let stored = self.stored().await;
        let texts = stored.iter().rev().map(|entry| entry["message"].as_str());
        texts.map(|text| text.unwrap().to_owned()).collect()
    }
}

/// How an instance is set up.
pub struct Setup {
    pub source: &'static str,
    pub wait_limit: Duration,
    pub limits: Limits,
    pub answer_time: Duration,
}

impl Default for Setup {
    fn default() -> Self {
        let amount = Amount {
            entries: 100,
            bytes: 1_000_000,
        };
        Self {
            source: "test-instance",
            wait_limit: Duration::from_secs(60),
            limits: Limits {
                pending: amount,
                aside: amount,
            },
            answer_time: Duration::from_secs(120),
        }
    }
}

/// One instance of the application.
pub struct Instance {
    pub url: String,
    pub client: Client,
    pub health: Health,
    data: PathBuf,
    _directory: Option<TempDir>,
}

impl Instance {
    pub async fn start(agent: &Agent, setup: Setup) -> Self {
        Self::with(agent, setup, tempfile::tempdir().unwrap()).await
    }

    /// One whose outbox is in this directory.
    pub async fn with(agent: &Agent, setup: Setup, directory: TempDir) -> Self {
        let instance = Self::at(agent, setup, directory.path()).await;
        Self {
            _directory: Some(directory),
            ..instance
        }
    }

    /// One whose outbox is here.
    pub async fn at(agent: &Agent, setup: Setup, data: &Path) -> Self {
        let metrics = Metrics::install().unwrap();
        let health = Health::default();
        let outbox = Outbox::open(data, setup.limits, &health).await.unwrap();
        let url = agent.hop.url().parse().unwrap();
        let read_timeout = Duration::from_secs(5);
        let log_agent = LogAgent::new(&url, Duration::from_secs(10), read_timeout).unwrap();
        tokio::spawn(Courier::new(outbox.clone(), log_agent.clone(), health.clone()).run());
        let source = setup.source.parse().unwrap();
        let app = App::new(outbox, log_agent, source, setup.wait_limit, health.clone());
        let routes = custom_app::app(app, setup.answer_time, metrics);
        Self {
            url: format!("http://{}", listen(routes).await),
            client: Client::new(),
            health,
            data: data.to_owned(),
            _directory: None,
        }
    }

    /// One that runs as a process of its own.
    pub fn of(service: &Service) -> Self {
        Self {
            url: service.url(""),
            client: Client::new(),
            health: Health::default(),
            data: PathBuf::new(),
            _directory: None,
        }
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn post(&self) -> RequestBuilder {
        self.client.post(format!("{}/log", self.url))
    }

    /// A message with a key, sent.
    pub async fn keyed(&self, key: &str, message: &str) -> Response {
        let post = self.post().header("idempotency-key", key);
        let post = post.json(&json!({"message": message}));
        post.send().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Response {
        let get = self.client.get(format!("{}{path}", self.url));
        get.send().await.unwrap()
    }

    /// What `/status` says of the outbox, without its bytes.
    pub async fn outbox(&self) -> Value {
        let mut status = json(self.get("/status").await, 200).await;
        let outbox = status["outbox"].as_object_mut().unwrap();
        outbox.remove("bytes");
        status["outbox"].take()
    }

    /// Waits until the outbox holds just this.
    pub async fn holds(&self, wanted: Value) {
        let mut all = json!({"pending": 0, "refused": 0, "conflicting": 0, "unreadable": 0});
        for (state, count) in wanted.as_object().unwrap() {
            all[state] = count.clone();
        }
        let what = format!("the outbox holds {all}");
        eventually(&what, async || (self.outbox().await == all).then_some(())).await;
    }
}

/// A log agent of which one word decides what it refuses: a message with this in it.
pub fn refusing(word: &'static str, status: StatusCode) -> Router {
    let append = async move |axum::Json(entries): axum::Json<Vec<Value>>| {
        let says = |entry: &Value| entry["message"].as_str().unwrap().contains(word);
        if entries.iter().any(says) {
            return (status, axum::Json(json!({"detail": "not that word"})));
        }
        let receipts: Vec<Value> = entries
            .iter()
            .map(|entry| json!({"id": entry["id"], "outcome": "stored"}))
            .collect();
        (
            StatusCode::CREATED,
            axum::Json(json!({"entries": receipts})),
        )
    };
    Router::new().route("/log", axum::routing::post(append))
}

/// A directory with a copy of a file that an earlier version wrote.
pub fn earlier(file: &str, name: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let from: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/earlier", file]
        .iter()
        .collect();
    std::fs::copy(from, directory.path().join(name)).unwrap();
    directory
}

/// The outbox of an earlier version, brought to today's schema; of it two entries are written anew
/// as a newer version would.
pub async fn newer() -> TempDir {
    let directory = earlier("outbox-1.db", "outbox.db");
    let limits = Setup::default().limits;
    let opened = Outbox::open(directory.path(), limits, &Health::default()).await;
    drop(opened.unwrap());
    let lock = std::fs::File::open(directory.path().join("lock")).unwrap();
    eventually("it is closed", async || lock.try_lock().ok()).await;
    let mut file = file(directory.path()).await;
    sqlx::query("UPDATE outbox SET format = 2, entry = 'in another form' WHERE position IN (2, 3)")
        .execute(&mut file)
        .await
        .unwrap();
    directory
}

pub async fn file(directory: &Path) -> SqliteConnection {
    let file = directory.join("outbox.db");
    let options = SqliteConnectOptions::new().filename(file);
    options.connect().await.unwrap()
}
