//! A file that an earlier version wrote is read and added to.
#![cfg(test)]

use std::path::Path;
use std::time::Duration;

use faultline_service::health::Health;
use faultline_service::metrics::Metrics;
use log_agent::retain::Retain;
use log_agent::sqlite_store::SqliteStore;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A log agent over a copy of a file of schema version 1.
async fn serve(directory: &Path) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/earlier/entries-1.db");
    std::fs::copy(file, directory.join("entries.db")).unwrap();
    let health = Health::default();
    let store = SqliteStore::open(directory, None, Retain::default(), &health)
        .await
        .unwrap();
    let metrics = Metrics::install().unwrap();
    let routes = log_agent::app(store, health, metrics, Duration::from_secs(30));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    url
}

async fn entries(url: &str, query: &str) -> Vec<Value> {
    let answer = reqwest::get(format!("{url}/logs{query}")).await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    let page: Value = answer.json().await.unwrap();
    page["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn what_an_earlier_version_stored_is_read_known_and_added_to() {
    let directory = tempfile::tempdir().unwrap();
    let url = serve(directory.path()).await;
    let stored = entries(&url, "").await;
    let told: Vec<_> = stored
        .iter()
        .map(|entry| (entry["level"].as_str(), entry["message"].as_str()))
        .collect();
    let long = "x".repeat(3000);
    let expected = [
        ("trace", "last"),
        ("error", &long),
        ("warn", "nul \0 and snow ☃"),
        ("info", "stored by the earlier version"),
    ];
    assert_eq!(
        told,
        expected.map(|(level, message)| (Some(level), Some(message)))
    );
    for entry in &stored {
        assert_eq!(entry["source"], "custom-app-7d9f-old");
        let id = entry["id"].as_str().unwrap();
        assert_eq!(
            entries(&url, &format!("?id={id}")).await,
            std::slice::from_ref(entry)
        );
    }

    let [last, ..] = stored.as_slice() else {
        panic!("nothing is stored");
    };
    let with = |id: Value, message: &str| json!({"id": id, "time": "2026-11-26T00:00:00Z", "level": "trace", "message": message, "source": "today"});
    let fresh = with(json!("018f0000-0000-7000-8000-000000000001"), "fresh");
    let sent = json!([
        with(last["id"].clone(), "last"),
        with(last["id"].clone(), "another text"),
        fresh
    ]);
    let append = Client::new().post(format!("{url}/log")).json(&sent);
    let receipts: Value = append.send().await.unwrap().json().await.unwrap();
    let first = json!({"time": last["time"], "source": "custom-app-7d9f-old"});
    let id = &last["id"];
    assert_eq!(
        receipts["entries"],
        json!([
            {"id": id, "outcome": "duplicate", "first": first},
            {"id": id, "outcome": "conflict", "first": first},
            {"id": fresh["id"], "outcome": "stored"},
        ])
    );
    let all = [&[fresh][..], &stored].concat();
    assert_eq!(entries(&url, "").await, all);
}
