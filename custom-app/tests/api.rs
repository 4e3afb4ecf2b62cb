//! The application's API in front of a real log agent, over real sockets and real SQLite files.
#![cfg(test)]

use std::time::Duration;

use axum::Router;
use custom_app::delivery::Courier;
use custom_app::log_agent::LogAgent;
use custom_app::outbox::{Limits, Outbox};
use custom_app::routes::App;
use faultline_service::health::Health;
use faultline_service::metrics::Metrics;
use faultline_service_testing::hop::{Hop, Mode};
use log_agent::retain::Retain;
use log_agent::sqlite_store::SqliteStore;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

/// An application and a log agent, with a hop between them.
struct Pair {
    url: String,
    client: Client,
    hop: Hop,
    _directories: [TempDir; 2],
}

async fn listen(routes: Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, routes).await });
    address
}

impl Pair {
    async fn start() -> Self {
        let metrics = Metrics::install().unwrap();
        let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];

        let health = Health::default();
        let store = SqliteStore::open(directories[0].path(), None, Retain::default(), &health)
            .await
            .unwrap();
        let routes = log_agent::app(store, health, metrics.clone(), Duration::from_secs(30));
        let hop = Hop::start(Mode::Pass(listen(routes).await)).await;

        let health = Health::default();
        let limits = Limits {
            entries: 100,
            bytes: 1_000_000,
        };
        let outbox = Outbox::open(directories[1].path(), limits, &health)
            .await
            .unwrap();
        let log_agent_url = hop.url().parse().unwrap();
        let read_timeout = Duration::from_secs(5);
        let log_agent =
            LogAgent::new(&log_agent_url, Duration::from_secs(10), read_timeout).unwrap();
        tokio::spawn(Courier::new(outbox.clone(), log_agent.clone(), health.clone()).run());
        let source = "test-instance".parse().unwrap();
        let app = App::new(outbox, log_agent, source, Duration::from_secs(60), health);
        let routes = custom_app::app(app, Duration::from_secs(120), metrics);
        let url = format!("http://{}", listen(routes).await);
        Self {
            url,
            client: Client::new(),
            hop,
            _directories: directories,
        }
    }

    fn post(&self) -> RequestBuilder {
        self.client.post(format!("{}/log", self.url))
    }

    async fn get(&self, path: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap()
    }
}

async fn json(response: Response, status: u16) -> Value {
    assert_eq!(response.status(), status);
    response.json().await.unwrap()
}

#[tokio::test]
async fn an_entry_is_stored_and_told_back() {
    let pair = Pair::start().await;
    let posted = pair
        .post()
        .json(&json!({"message": "nul \0 ☃", "level": "warn"}))
        .send()
        .await
        .unwrap();
    let entry = json(posted, 201).await["entry"].clone();
    assert_eq!(entry["message"], "nul \0 ☃");
    assert_eq!(entry["level"], "warn");
    assert_eq!(entry["source"], "test-instance");
    assert_eq!(
        json(pair.get("/log").await, 200).await,
        json!({"entry": entry})
    );
    let found = json(pair.get("/logs?q=%00&level=warn&limit=1").await, 200).await;
    assert_eq!(found, json!({"entries": [entry], "next": null}));
    let status = json(pair.get("/status").await, 200).await;
    assert_eq!(status["status"], "ok");
    assert_eq!(
        status["outbox"],
        json!({"pending": 0, "refused": 0, "bytes": 0})
    );
}

#[tokio::test]
async fn a_retry_is_one_entry_and_another_body_another() {
    let pair = Pair::start().await;
    let send = async |message: &str| {
        let post = pair
            .post()
            .header("x-request-id", "r-1")
            .json(&json!({"message": message}));
        json(post.send().await.unwrap(), 201).await["entry"]["id"].clone()
    };
    let first = send("one").await;
    assert_eq!(send("one").await, first);
    assert_ne!(send("two").await, first);
    let all = json(pair.get("/logs").await, 200).await;
    assert_eq!(all["entries"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_no_entry_is_refused_by_field() {
    let pair = Pair::start().await;
    for (body, field) in [
        (r#"{}"#, "message"),
        (r#"{"message":""}"#, "message"),
        (r#"{"message":["a"]}"#, "message"),
        (r#"{"message":"a","message":"b"}"#, "message"),
        (r#"{"message":"a","level":"fatal"}"#, "level"),
        (r#"{"message":"a","level":null}"#, "level"),
        (r#"{"message":"a","id":"1"}"#, "id"),
    ] {
        let post = pair
            .post()
            .header("content-type", "application/json")
            .body(body);
        let problem = json(post.send().await.unwrap(), 400).await;
        assert_eq!(problem["field"], field, "{body}: {problem}");
    }
    let longest = json!({"message": "x".repeat(60 * 1024)});
    json(pair.post().json(&longest).send().await.unwrap(), 201).await;
    let longer = json!({"message": "x".repeat(60 * 1024 + 1)});
    json(pair.post().json(&longer).send().await.unwrap(), 400).await;
    let longest_body = json!({"message": "x".repeat(64 * 1024)});
    json(pair.post().json(&longest_body).send().await.unwrap(), 413).await;
    for (content_type, body, status) in [
        ("application/json", "{", 400),
        ("application/json", "[\"a\",\"warn\"]", 400),
        ("text/plain", "{\"message\":\"a\"}", 415),
        ("application/json", "{\"message\":\"\\ud800\"}", 400),
    ] {
        let post = pair.post().header("content-type", content_type).body(body);
        json(post.send().await.unwrap(), status).await;
    }
    let stored = json(pair.get("/logs").await, 200).await;
    assert_eq!(stored["entries"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn questions_are_checked_here_and_there() {
    let pair = Pair::start().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("after=018f0000-0000-7000-8000-000000000001", "after"),
        ("level=x", "level"),
        ("q=", "q"),
        ("x=1", "x"),
    ] {
        let problem = json(pair.get(&format!("/logs?{query}")).await, 400).await;
        assert_eq!(problem["field"], field, "{problem}");
    }
}

#[tokio::test]
async fn a_log_agent_that_fails_is_no_500() {
    let pair = Pair::start().await;
    pair.hop.set(Mode::Down);
    for path in ["/log", "/logs"] {
        let problem = json(pair.get(path).await, 502).await;
        assert_eq!(problem["type"], "about:blank");
    }
    // Something listens and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    pair.hop.set(Mode::Pass(silent.local_addr().unwrap()));
    json(pair.get("/log").await, 504).await;
    // Something answers that is no log agent.
    let other = Router::new().fallback(async || "<html>hello</html>");
    pair.hop.set(Mode::Pass(listen(other).await));
    json(pair.get("/logs").await, 502).await;
}

#[tokio::test]
async fn the_front_page_is_for_who_asks() {
    let pair = Pair::start().await;
    let plain = pair.get("/").await;
    assert_eq!(plain.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(plain.text().await.unwrap().contains("POST /log"));
    let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    let page = pair
        .client
        .get(&pair.url)
        .header("accept", browser)
        .send()
        .await
        .unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert!(page.text().await.unwrap().starts_with("<!doctype html>"));
}

/// A log agent that refuses one kind of message and keeps note of what it was sent.
#[tokio::test]
async fn one_entry_that_is_refused_does_not_hold_up_the_others() {
    let pair = Pair::start().await;
    let (sent, mut received) = tokio::sync::mpsc::unbounded_channel();
    let picky = axum::routing::post(async move |axum::Json(entries): axum::Json<Vec<Value>>| {
        let size = entries.len();
        let bad = entries.iter().any(|entry| entry["message"] == "bad");
        let _ = sent.send((size, bad));
        let receipts = entries
            .iter()
            .map(|entry| json!({"id": entry["id"], "outcome": "stored"}));
        if bad {
            (
                axum::http::StatusCode::BAD_REQUEST,
                axum::Json(json!({"detail": "no bad ones"})),
            )
        } else {
            let receipts: Vec<Value> = receipts.collect();
            (
                axum::http::StatusCode::CREATED,
                axum::Json(json!({"entries": receipts})),
            )
        }
    });
    // While nobody is there they gather, to become one batch.
    pair.hop.set(Mode::Down);
    let posts = ["a", "b", "bad", "c", "d"].map(|message| {
        let post = pair.post().json(&json!({"message": message}));
        tokio::spawn(async move { post.send().await.unwrap().status().as_u16() })
    });
    faultline_service_testing::eventually("all are accepted", async || {
        let status = json(pair.get("/status").await, 200).await;
        (status["outbox"]["pending"] == 5).then_some(())
    })
    .await;
    pair.hop
        .set(Mode::Pass(listen(Router::new().route("/log", picky)).await));
    let mut statuses = Vec::new();
    for post in posts {
        statuses.push(post.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 201, 201, 201, 502]);
    let status = json(pair.get("/status").await, 200).await;
    assert_eq!(
        (&status["outbox"]["pending"], &status["outbox"]["refused"]),
        (&json!(0), &json!(1))
    );
    let mut alone = 0;
    while let Ok((size, bad)) = received.try_recv() {
        alone += usize::from(bad && size == 1);
    }
    assert_eq!(alone, 1, "refused alone, once, and then left");
}
