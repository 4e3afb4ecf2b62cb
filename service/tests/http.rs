//! What every route gets, over real sockets: limits, problems, ids, health, and the last resorts.
#![cfg(test)]

use std::time::Duration;

use axum::Router;
use axum::routing::{get, post};
use faultline_service::body::JsonBody;
use faultline_service::context::RequestContext;
use faultline_service::health::Health;
use faultline_service::http::service;
use faultline_service::limits::Limits;
use faultline_service::metrics::Metrics;
use faultline_service::problem::Problem;
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LIMITS: Limits = Limits {
    body_bytes: 100,
    body_time: Duration::from_secs(30),
    answer_time: Duration::from_secs(30),
    in_flight: 64,
};

async fn echo(body: JsonBody) -> Result<String, Problem> {
    body.parse_object::<Value>().map(|value| value.to_string())
}

async fn panics() -> &'static str {
    panic!("on purpose")
}

async fn start(limits: Limits, health: Health) -> String {
    let routes = Router::new()
        .route("/echo", post(echo))
        .route("/panic", get(panics))
        .route("/never", get(std::future::pending::<&'static str>))
        .route(
            "/attempt",
            get(async |context: RequestContext| format!("{:?}", context.attempt)),
        );
    let routes = service(routes, "{}", &limits, health, Metrics::install().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    url
}

/// Checks that an answer is a problem of this status, and returns it.
async fn problem(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    assert!(response.headers().contains_key("x-request-id"));
    let problem: Value = response.json().await.unwrap();
    assert_eq!(problem["type"], "about:blank");
    assert_eq!(problem["status"], status);
    assert!(problem["title"].is_string() && problem["detail"].is_string());
    problem
}

#[tokio::test]
async fn every_refusal_is_a_problem() {
    let url = start(LIMITS, Health::default()).await;
    let client = Client::new();
    let echo = || client.post(format!("{url}/echo"));
    let json = |body: &'static str| echo().header("content-type", "application/json").body(body);

    let fine = json(r#"{"a":1}"#).send().await.unwrap();
    assert_eq!(
        (fine.status().as_u16(), fine.text().await.unwrap().as_str()),
        (200, r#"{"a":1}"#)
    );

    problem(json("{").send().await.unwrap(), 400).await;
    problem(json("").send().await.unwrap(), 400).await;
    problem(json("[]").send().await.unwrap(), 400).await;
    let typeless = problem(echo().body("{}").send().await.unwrap(), 415).await;
    assert_eq!(typeless["field"], "content-type");
    let long = json(
        r#"{"a":"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"}"#,
    );
    problem(long.send().await.unwrap(), 413).await;
    problem(
        client.get(format!("{url}/nowhere")).send().await.unwrap(),
        404,
    )
    .await;
    let wrong = client.delete(format!("{url}/echo")).send().await.unwrap();
    assert_eq!(wrong.headers()["allow"], "POST");
    problem(wrong, 405).await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = Limits {
        body_time: Duration::from_millis(200),
        ..LIMITS
    };
    let url = start(limits, Health::default()).await;
    let mut stream = TcpStream::connect(url.trim_start_matches("http://"))
        .await
        .unwrap();
    let head = "POST /echo HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 50\r\n\r\n{";
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(answer, b"HTTP/1.1 408");
}

#[tokio::test]
async fn an_answer_that_does_not_come_is_not_waited_for() {
    let limits = Limits {
        answer_time: Duration::from_millis(50),
        ..LIMITS
    };
    let url = start(limits, Health::default()).await;
    problem(
        Client::new()
            .get(format!("{url}/never"))
            .send()
            .await
            .unwrap(),
        504,
    )
    .await;
}

#[tokio::test]
async fn too_many_at_once_are_refused_but_health_is_not() {
    let url = start(
        Limits {
            in_flight: 0,
            ..LIMITS
        },
        Health::default(),
    )
    .await;
    let client = Client::new();
    let shed = client.get(format!("{url}/attempt")).send().await.unwrap();
    assert_eq!(shed.headers()["retry-after"], "1");
    problem(shed, 503).await;
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(
            client
                .get(format!("{url}{path}"))
                .send()
                .await
                .unwrap()
                .status(),
            200,
            "{path}"
        );
    }
}

#[tokio::test]
async fn an_id_is_returned_and_an_attempt_is_known() {
    let url = start(LIMITS, Health::default()).await;
    let ask = Client::new().get(format!("{url}/attempt"));
    let ask = ask
        .header("x-request-id", "r-1")
        .header("x-envoy-attempt-count", "3");
    let answer = ask.send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "r-1");
    assert_eq!(answer.text().await.unwrap(), "Some(3)");
}

#[tokio::test]
async fn a_panic_is_a_problem_and_counted() {
    let url = start(LIMITS, Health::default()).await;
    let client = Client::new();
    let answer = problem(
        client.get(format!("{url}/panic")).send().await.unwrap(),
        500,
    )
    .await;
    assert!(
        !answer["detail"].as_str().unwrap().contains("purpose"),
        "the reason is for the log"
    );
    let metrics = client
        .get(format!("{url}/metrics"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(metrics.contains("http_panics_total 1"), "{metrics}");
    let counted = r#"http_requests_total{route="/panic",method="GET",status="500"} 1"#;
    assert!(metrics.contains(counted), "{metrics}");
}

#[tokio::test]
async fn health_says_what_is_wrong() {
    let health = Health::default();
    let url = start(LIMITS, health.clone()).await;
    let client = Client::new();
    let status = async |path: &str| client.get(format!("{url}{path}")).send().await.unwrap();
    assert_eq!(status("/readyz").await.status(), 200);
    health.broken("store", "disk full");
    assert_eq!(
        problem(status("/readyz").await, 503).await["detail"],
        "store: disk full"
    );
    assert_eq!(status("/healthz").await.status(), 200);
    health.mended("store");
    assert_eq!(status("/readyz").await.status(), 200);
    health.drain();
    assert_eq!(
        problem(status("/readyz").await, 503).await["detail"],
        "draining"
    );
    let task = tokio::spawn(async {});
    health.depends_on("worker", &task);
    task.await.unwrap();
    assert_eq!(
        problem(status("/healthz").await, 503).await["detail"],
        "worker has stopped"
    );
}
