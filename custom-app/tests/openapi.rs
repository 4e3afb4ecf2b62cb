//! The OpenAPI document says what the service does: its routes, and each error, provoked.
#![cfg(test)]

mod pair;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use custom_app::outbox::{Amount, Limits};
use custom_app::routes::openapi;
use faultline_service::health::Health;
use faultline_service::http;
use faultline_service::metrics::Metrics;
use faultline_service::problem::Problem;
use faultline_service_testing::hop::Mode;
use faultline_service_testing::openapi::{Answer, Document};
use faultline_service_testing::process::Service;
use faultline_service_testing::{eventually, process};
use reqwest::{Client, Response};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket};
use tokio::task::JoinSet;

use self::pair::{Agent, Instance, Setup, file, json, listen, newer, refusing};

/// Waits for nobody.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Outlasts the test.
const FOR_EVER: &str = "1h";

fn document() -> Document {
    let file = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../docs/openapi/custom-app.json"
    );
    Document::current(Path::new(file), openapi::document())
}

#[tokio::test]
async fn the_document_is_that_of_the_types_and_is_served() {
    let document = document();
    document.well_formed();
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    let routes = [
        include_str!("../src/routes.rs"),
        include_str!("../../service/src/http.rs"),
    ];
    document.describes(&routes, &instance.url).await;
    let served = instance.get("/openapi.json").await;
    assert_eq!(served.headers()["content-type"], "application/json");
    assert_eq!(served.text().await.unwrap(), openapi::SERVED);
}

/// What was provoked, by operation and error.
#[derive(Default)]
struct Provoked(BTreeMap<String, Answer>);

impl Provoked {
    async fn add(&mut self, name: &str, answer: Response) {
        self.0.insert(name.to_owned(), Answer::of(answer).await);
    }

    /// The errors of this name of both reading operations.
    async fn add_reads(&mut self, name: &str, instance: &Instance) {
        for (operation, path) in [("newestEntry", "/log"), ("listEntries", "/logs")] {
            let answer = instance.get(path).await;
            self.add(&format!("{operation} {name}"), answer).await;
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
        log_agents(one),
        outboxes(two),
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
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    let post = |body: String| {
        let post = instance.post().header("content-type", "application/json");
        post.body(body)
    };
    let long = "x".repeat(64 * 1024 + 1);
    for (name, request) in [
        ("not-json", post("hello".to_owned())),
        (
            "level",
            post(r#"{"message":"hello","level":"loud"}"#.to_owned()),
        ),
        ("message", post("{}".to_owned())),
        ("large-body", post(long)),
        ("other-than-json", instance.post().body("hello")),
        (
            "key",
            post(r#"{"message":"hello"}"#.to_owned()).header("idempotency-key", "a b"),
        ),
    ] {
        let answer = request.send().await.unwrap();
        provoked.add(&format!("appendEntry {name}"), answer).await;
    }
    json(instance.keyed("k", "one").await, 201).await;
    let other = instance.keyed("k", "another").await;
    provoked.add("appendEntry key-in-use", other).await;
    let slow = Answer::to_slow_body(&instance.url, "/log").await;
    provoked.0.insert("appendEntry slow-body".to_owned(), slow);
    for (name, query) in [
        ("limit", "limit=0"),
        ("parameter", "colour=red"),
        (
            "id-alone",
            "id=018f0000-0000-7000-8000-000000000000&level=info",
        ),
        ("after", "after=018f0000-0000-7000-8000-000000000000"),
    ] {
        let answer = instance.get(&format!("/logs?{query}")).await;
        provoked.add(&format!("listEntries {name}"), answer).await;
    }
    provoked
        .add("NotFound any", instance.get("/nowhere").await)
        .await;
    let deleted = Client::new().delete(format!("{}/log", instance.url));
    provoked
        .add("MethodNotAllowed any", deleted.send().await.unwrap())
        .await;
}

/// Errors of a log agent that is away, silent or something else.
async fn log_agents(provoked: &mut Provoked) {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    agent.down();
    provoked.add_reads("broken", &instance).await;
    agent
        .replaced_by(Router::new().fallback(async || "<html>hello</html>"))
        .await;
    provoked.add_reads("nonsense", &instance).await;
    agent
        .replaced_by(Router::new().fallback(async || StatusCode::FORBIDDEN))
        .await;
    provoked.add_reads("unexpected", &instance).await;
    let unreadable = async || {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "the store cannot be read now",
        )
    };
    agent.replaced_by(Router::new().fallback(unreadable)).await;
    provoked.add_reads("unavailable", &instance).await;
    agent
        .replaced_by(refusing("bad", StatusCode::BAD_REQUEST))
        .await;
    let refused = instance.post().json(&json!({"message": "bad"}));
    provoked
        .add("appendEntry refused", refused.send().await.unwrap())
        .await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    agent.hop.set(Mode::Pass(silent.local_addr().unwrap()));
    let impatient = Setup {
        answer_time: AT_ONCE,
        ..Setup::default()
    };
    let impatient = Instance::start(&agent, impatient).await;
    provoked.add_reads("unanswered", &impatient).await;
    let post = impatient.post().json(&json!({"message": "hello"}));
    provoked
        .add("appendEntry unanswered", post.send().await.unwrap())
        .await;
    provoked.add_reads("silent", &instance).await;
}

/// Errors of an outbox that is full, locked by somebody else, or of a newer version.
async fn outboxes(provoked: &mut Provoked) {
    let agent = Agent::start().await;
    agent.down();
    let message = |instance: &Instance| instance.post().json(&json!({"message": "hello"})).send();
    let none = Amount {
        entries: 0,
        bytes: 0,
    };
    let limits = Limits {
        pending: none,
        aside: none,
    };
    let full = Instance::start(
        &agent,
        Setup {
            limits,
            ..Setup::default()
        },
    )
    .await;
    provoked
        .add("appendEntry full", message(&full).await.unwrap())
        .await;

    let locked = Instance::start(&agent, Setup::default()).await;
    let mut other = file(locked.data()).await;
    sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut other)
        .await
        .unwrap();
    provoked
        .add("appendEntry unwritable", message(&locked).await.unwrap())
        .await;

    let newer = Instance::with(&agent, Setup::default(), newer().await).await;
    let retry = newer.post().header("x-request-id", "fixture-pending-0");
    let retry = retry.header("content-type", "application/json");
    // An id is made of the very bytes.
    let retry = retry.body(r#"{"message": "pending 0", "level": "warn"}"#);
    provoked
        .add("appendEntry newer", retry.send().await.unwrap())
        .await;
}

/// Errors of a log agent that nobody is, and of one request too many: as many wait for a log agent as there may be.
async fn crowds(provoked: &mut Provoked) {
    // A port of which nobody listens, and which nobody else can take.
    let port = TcpSocket::new_v4().unwrap();
    port.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = format!("http://{}", port.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let mut command = process::command(env!("CARGO_BIN_EXE_custom-app"));
    command.args(["--listen", "127.0.0.1:0", "--log-agent-url", &nobody]);
    command.args(["--wait-limit", FOR_EVER, "--answer-time", FOR_EVER]);
    command.arg("--data-dir").arg(directory.path());
    let service = Service::start(command).await;
    let instance = Instance::of(&service);
    provoked.add_reads("unreachable", &instance).await;
    let mut crowd = JoinSet::new();
    let client = Client::new();
    for _ in 0..512 {
        let post = client
            .post(service.url("/log"))
            .json(&json!({"message": "hello"}));
        crowd.spawn(post.send());
    }
    let one_too_many = eventually("all are under way", async || {
        let answer = instance.get("/status").await;
        (answer.status() == 503).then_some(answer)
    });
    provoked.add("status busy", one_too_many.await).await;
    provoked.add("home busy", instance.get("/").await).await;
    provoked.add_reads("busy", &instance).await;
    let post = instance.post().json(&json!({"message": "hello"}));
    provoked
        .add("appendEntry busy", post.send().await.unwrap())
        .await;
}

/// Errors of a service that ends, or has a defect.
async fn ends(provoked: &mut Provoked) {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    instance.health.drain();
    provoked
        .add("ready draining", instance.get("/readyz").await)
        .await;
    let ended = tokio::spawn(async {});
    instance.health.depends_on("store", &ended);
    ended.await.unwrap();
    provoked
        .add("live stopped", instance.get("/healthz").await)
        .await;

    let routes = Router::new().route("/", get(async || -> &str { panic!("on purpose") }));
    let limits = faultline_service::limits::Limits {
        body_bytes: 1,
        body_time: AT_ONCE,
        answer_time: Duration::from_secs(60),
        in_flight: 1,
    };
    let metrics = Metrics::install().unwrap();
    let address = listen(http::service(
        routes,
        "",
        &limits,
        Health::default(),
        metrics,
    ))
    .await;
    let answer = reqwest::get(format!("http://{address}/")).await.unwrap();
    provoked.add("InternalServerError any", answer).await;
}
