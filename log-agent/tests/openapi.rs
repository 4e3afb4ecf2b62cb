//! The OpenAPI document says what the service does: its routes, and each error, provoked.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use faultline_service::api::{Page, Receipt};
use faultline_service::cursor::Cursor;
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::http;
use faultline_service::limits::Limits;
use faultline_service::metrics::Metrics;
use faultline_service::query::LogQuery;
use faultline_service_testing::eventually;
use faultline_service_testing::openapi::{Answer, Document, slow_body};
use log_agent::retain::Retain;
use log_agent::routes::openapi;
use log_agent::sqlite_store::SqliteStore;
use log_agent::store::{Following, Position, Store, StoreError};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;
use uuid::Uuid;

const PATIENT: Duration = Duration::from_secs(120);

/// The operations that read, and a request for each. The stream's asks for a place.
const READS: [(&str, &str); 3] = [
    ("newestEntry", "/log"),
    ("listEntries", "/logs"),
    ("followEntries", "/logs/stream"),
];

/// An id that no entry has.
const NOBODY: &str = "018f0000-0000-7000-8000-000000000000";

fn document() -> Document {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/openapi/log-agent.json"
    );
    Document::current(Path::new(file), openapi::document())
}

#[tokio::test]
async fn the_document_is_that_of_the_types_and_is_served() {
    let document = document();
    document.well_formed();
    let agent = Agent::start(PATIENT, None).await;
    let routes = [
        include_str!("../src/routes.rs"),
        include_str!("../../service/src/http.rs"),
    ];
    document.describes(&routes, &agent.url).await;
    let served = agent.get("/openapi.json").send().await.unwrap();
    assert_eq!(served.headers()["content-type"], "application/json");
    assert_eq!(served.text().await.unwrap(), openapi::SERVED);
}

struct Agent {
    url: String,
    client: Client,
    health: Health,
    directory: TempDir,
}

impl Agent {
    async fn start(answer_time: Duration, max_bytes: Option<u64>) -> Self {
        Self::with(answer_time, max_bytes, |store| store).await
    }

    /// One whose store is made of a real one.
    async fn with<S: Store>(
        answer_time: Duration,
        max_bytes: Option<u64>,
        made: impl FnOnce(SqliteStore) -> S,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let health = Health::default();
        let store = SqliteStore::open(directory.path(), max_bytes, Retain::default(), &health);
        let store = made(store.await.unwrap());
        let metrics = Metrics::install().unwrap();
        let routes = log_agent::app(store, health.clone(), metrics, answer_time);
        Self {
            url: listen(routes).await,
            client: Client::new(),
            health,
            directory,
        }
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.url))
    }

    /// A request that reads. A stream's asks for a place, which takes a look into the store.
    fn read(&self, path: &str) -> RequestBuilder {
        self.get(path).header("last-event-id", NOBODY)
    }

    fn post(&self, body: String) -> RequestBuilder {
        let post = self.client.post(format!("{}/log", self.url));
        post.header("content-type", "application/json").body(body)
    }

    /// Its file, opened by somebody else.
    async fn file(&self) -> SqliteConnection {
        let file = self.directory.path().join("entries.db");
        let options = SqliteConnectOptions::new().filename(file);
        options.connect().await.unwrap()
    }
}

async fn listen(routes: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    url
}

fn entry(message: &str) -> Value {
    json!({
        "id": Uuid::now_v7(), "time": "2026-11-22T12:00:00Z", "level": "info",
        "message": message, "source": "test",
    })
}

/// What was provoked, by operation and error.
#[derive(Default)]
struct Provoked(BTreeMap<String, Answer>);

impl Provoked {
    async fn add(&mut self, name: &str, request: RequestBuilder) {
        let answer = Answer::of(request.send().await.unwrap()).await;
        self.0.insert(name.to_owned(), answer);
    }

    async fn add_reads(&mut self, name: &str, agent: &Agent) {
        for (operation, path) in READS {
            self.add(&format!("{operation} {name}"), agent.read(path))
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_it_describes_is_given() {
    let mut provoked = Provoked::default();
    let (one, two) = (&mut Provoked::default(), &mut Provoked::default());
    let (three, four) = (&mut Provoked::default(), &mut Provoked::default());
    tokio::join!(
        requests(&mut provoked),
        stores(one),
        waits(two),
        crowds(three),
        ends(four)
    );
    for part in [one, two, three, four] {
        provoked.0.append(&mut part.0);
    }
    document().errors_are(provoked.0);
}

/// Errors of the request alone.
async fn requests(provoked: &mut Provoked) {
    let agent = Agent::start(PATIENT, None).await;
    let mut loud = entry("hello");
    loud["level"] = json!("loud");
    let plain = agent
        .client
        .post(format!("{}/log", agent.url))
        .body("hello");
    for (name, request) in [
        ("not-json", agent.post("hello".to_owned())),
        ("level", agent.post(json!([loud]).to_string())),
        ("id", agent.post("{}".to_owned())),
        ("no-entry", agent.post("[]".to_owned())),
        ("large-body", agent.post("x".repeat(4 * 1024 * 1024 + 1))),
        ("other-than-json", plain),
    ] {
        provoked
            .add(&format!("appendEntries {name}"), request)
            .await;
    }
    for (name, query) in [
        ("limit", "limit=0".to_owned()),
        ("parameter", "colour=red".to_owned()),
        ("id-alone", format!("id={NOBODY}&level=info")),
        ("after", format!("after={NOBODY}")),
    ] {
        let ask = agent.get(&format!("/logs?{query}"));
        provoked.add(&format!("listEntries {name}"), ask).await;
    }
    let from_nowhere = agent.read("/logs/stream");
    provoked.add("followEntries gone", from_nowhere).await;
    let no_cursor = agent.get("/logs/stream").header("last-event-id", "a b");
    provoked.add("followEntries no-cursor", no_cursor).await;
    provoked.add("NotFound any", agent.get("/nowhere")).await;
    let delete = agent.client.delete(format!("{}/log", agent.url));
    provoked.add("MethodNotAllowed any", delete).await;
    let slow = Answer::to_slow_body(&agent.url, "/log").await;
    provoked
        .0
        .insert("appendEntries slow-body".to_owned(), slow);
}

/// A store that always gives this error: those that take a PostgreSQL server that fails (away.rs lets one), or more
/// searches than a quick machine can be given.
#[derive(Clone)]
struct Failing(StoreError, watch::Sender<Position>);

impl Store for Failing {
    async fn append(&self, _: Vec<Entry>) -> Result<Vec<Receipt>, StoreError> {
        Err(self.0.clone())
    }

    async fn page(&self, _: LogQuery) -> Result<Page, StoreError> {
        Err(self.0.clone())
    }

    async fn position(&self, _: &Cursor) -> Result<Position, StoreError> {
        Err(self.0.clone())
    }

    async fn following(&self, _: Position) -> Result<Following, StoreError> {
        Err(self.0.clone())
    }

    fn end(&self) -> watch::Receiver<Position> {
        self.1.subscribe()
    }
}

impl Failing {
    /// An agent whose store gives this error.
    async fn agent(error: StoreError) -> Agent {
        let made = |store: SqliteStore| Self(error, watch::Sender::new(*store.end().borrow()));
        Agent::with(PATIENT, None, made).await
    }
}

/// Errors of a store that is full, locked by somebody else, broken, or asked too much.
async fn stores(provoked: &mut Provoked) {
    let full = Agent::start(PATIENT, Some(200_000)).await;
    let many: Vec<Value> = (0..100).map(|_| entry(&"x".repeat(10_000))).collect();
    provoked
        .add("appendEntries full", full.post(json!(many).to_string()))
        .await;

    let locked = Agent::start(PATIENT, None).await;
    let mut other = locked.file().await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    let post = locked.post(entry("hello").to_string());
    provoked.add("appendEntries unwritable", post).await;

    let broken = Agent::start(PATIENT, None).await;
    let mut other = broken.file().await;
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let tables: Vec<String> = sqlx::query_scalar(tables)
        .fetch_all(&mut other)
        .await
        .unwrap();
    for table in tables {
        let rename = format!("ALTER TABLE {table} RENAME TO {table}_elsewhere");
        sqlx::query(sqlx::AssertSqlSafe(rename))
            .execute(&mut other)
            .await
            .unwrap();
    }
    provoked.add_reads("unreadable", &broken).await;

    let crowded = Failing::agent(StoreError::Busy).await;
    provoked
        .add("listEntries searches", crowded.get("/logs?q=hello"))
        .await;
    let away = Failing::agent(StoreError::Away(String::new())).await;
    provoked.add_reads("away", &away).await;
    let post = away.post(entry("hello").to_string());
    provoked.add("appendEntries away", post).await;
    let unsettled = Failing::agent(StoreError::Unsettled(String::new())).await;
    let post = unsettled.post(entry("hello").to_string());
    provoked.add("appendEntries unsettled", post).await;
}

/// Errors of a service that gives itself no time. A store may once be as quick; then it is asked again.
async fn waits(provoked: &mut Provoked) {
    let agent = Agent::start(Duration::ZERO, None).await;
    let post = ("appendEntries", agent.post(entry("hello").to_string()));
    let reads = READS.map(|(operation, path)| (operation, agent.read(path)));
    for (operation, request) in reads.into_iter().chain([post]) {
        let late = eventually("an answer comes too late", async || {
            let answer = request.try_clone().unwrap().send().await.unwrap();
            (answer.status() == 504).then_some(answer)
        });
        let late = Answer::of(late.await).await;
        provoked.0.insert(format!("{operation} unanswered"), late);
    }
}

/// Errors of one request too many: as many are under way as there may be, as long as their bodies may take.
async fn crowds(provoked: &mut Provoked) {
    let agent = Agent::start(PATIENT, None).await;
    let address = agent.url.trim_start_matches("http://");
    let all = eventually(
        "all are refused while the others are under way",
        async || {
            let mut crowd = Vec::new();
            for _ in 0..256 {
                crowd.push(slow_body(address, "/log").await);
            }
            let full = eventually("all are under way", async || {
                let answer = agent.get("/log").send().await.unwrap();
                (answer.status() == 503).then_some(())
            });
            full.await;
            let mut answers = Provoked::default();
            answers.add_reads("busy", &agent).await;
            let post = agent.post(entry("hello").to_string());
            answers.add("appendEntries busy", post).await;
            let busy = answers.0.values().all(|answer| answer.status() == 503);
            busy.then_some(answers)
        },
    );
    provoked.0.append(&mut all.await.0);
}

/// Errors of a service that ends, or has a defect.
async fn ends(provoked: &mut Provoked) {
    let agent = Agent::start(PATIENT, None).await;
    agent.health.drain();
    provoked.add("ready draining", agent.get("/readyz")).await;
    let ended = tokio::spawn(async {});
    agent.health.depends_on("store", &ended);
    ended.await.unwrap();
    provoked.add("live stopped", agent.get("/healthz")).await;

    let routes = Router::new().route("/", get(async || -> &str { panic!("on purpose") }));
    let limits = Limits {
        body_bytes: 1,
        body_time: PATIENT,
        answer_time: PATIENT,
        in_flight: 1,
    };
    let metrics = Metrics::install().unwrap();
    let url = listen(http::service(
        routes,
        "",
        &limits,
        Health::default(),
        metrics,
    ))
    .await;
    provoked
        .add("InternalServerError any", agent.client.get(url))
        .await;
}
