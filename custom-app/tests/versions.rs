//! Old beside new: log agents of other versions, and files that other versions wrote.
#![cfg(test)]

mod pair;

use axum::http::StatusCode;
use axum::{Json, Router};
use serde_json::{Value, json};

use self::pair::{Agent, Instance, Setup, earlier, file, json, newer};

/// Something that answers a delivery with these receipts, made of each entry's id.
fn answering(receipt: impl Fn(&Value) -> Value + Clone + Send + Sync + 'static) -> Router {
    let append = async move |Json(entries): Json<Vec<Value>>| {
        let receipts: Vec<Value> = entries.iter().map(|entry| receipt(&entry["id"])).collect();
        (
            StatusCode::CREATED,
            Json(json!({"entries": receipts, "more": 1})),
        )
    };
    Router::new().route("/log", axum::routing::post(append))
}

#[tokio::test]
async fn receipts_with_more_and_with_less_in_them_confirm() {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    let newer = |id: &Value| json!({"id": id, "outcome": "stored", "shard": 7});
    agent.replaced_by(answering(newer)).await;
    json(instance.keyed("a", "to a newer one").await, 201).await;
    let first = json!({"time": "2026-11-22T12:00:00Z", "source": "first", "zone": "b"});
    let told = first.clone();
    let newer = move |id: &Value| json!({"id": id, "outcome": "duplicate", "first": told});
    agent.replaced_by(answering(newer)).await;
    let entry = json(instance.keyed("b", "known to it").await, 201).await;
    assert_eq!(entry["entry"]["source"], first["source"]);
    assert_eq!(entry["entry"]["time"], first["time"]);
    let older = |id: &Value| json!({"id": id, "outcome": "duplicate"});
    agent.replaced_by(answering(older)).await;
    json(instance.keyed("c", "to an older one").await, 201).await;
}

#[tokio::test]
async fn an_outcome_that_is_not_known_yet_neither_confirms_nor_blocks() {
    let agent = Agent::start().await;
    let instance = Instance::start(&agent, Setup::default()).await;
    let newer = |id: &Value| json!({"id": id, "outcome": "moved"});
    agent.replaced_by(answering(newer)).await;
    json(instance.keyed("a", "moved").await, 502).await;
    instance.holds(json!({"refused": 1})).await;
    agent.up();
    json(instance.keyed("b", "stored").await, 201).await;
    instance.holds(json!({})).await;
    assert_eq!(agent.stored().await.len(), 2);
}

#[tokio::test]
async fn what_an_earlier_version_left_is_delivered_what_it_had_set_aside_too() {
    let agent = Agent::start().await;
    agent.down();
    let directory = earlier("outbox-1.db", "outbox.db");
    let instance = Instance::with(&agent, Setup::default(), directory).await;
    let expected = json!({"pending": 3, "refused": 2, "conflicting": 0, "unreadable": 0});
    assert_eq!(instance.outbox().await, expected);
    // A retry of one of them is that one, with its own time and source.
    let retry = instance
        .post()
        .header("x-request-id", "fixture-pending-0")
        .header("content-type", "application/json");
    let retry = retry.body(r#"{"message": "pending 0", "level": "warn"}"#);
    let retry = tokio::spawn(async { retry.send().await.unwrap() });
    agent.up();
    let told = json(retry.await.unwrap(), 201).await;
    assert_eq!(told["entry"]["source"], "custom-app-7d9f-old");
    instance.holds(json!({})).await;
    let mut messages = agent.messages().await;
    messages.sort_unstable();
    let all = [
        "pending 0",
        "pending 1",
        "pending 2",
        "refused 0",
        "refused 1",
    ];
    assert_eq!(messages, all);
    for entry in agent.stored().await {
        assert_eq!(entry["source"], "custom-app-7d9f-old");
        assert!(
            entry["time"]
                .as_str()
                .unwrap()
                .starts_with("2026-11-25T01:32:4")
        );
    }
}

#[tokio::test]
async fn what_a_newer_version_wrote_waits_for_it_and_holds_nobody_up() {
    let agent = Agent::start().await;
    agent.down();
    let instance = Instance::with(&agent, Setup::default(), newer().await).await;
    let expected = json!({"pending": 2, "refused": 1, "conflicting": 0, "unreadable": 2});
    assert_eq!(instance.outbox().await, expected);
    // A retry of one of them is told neither that it is accepted nor that it is lost.
    let retry = instance
        .post()
        .header("x-request-id", "fixture-pending-0")
        .header("content-type", "application/json")
        .body(r#"{"message": "pending 0", "level": "warn"}"#);
    let told = json(retry.send().await.unwrap(), 503).await;
    assert!(
        told["detail"].as_str().unwrap().contains("newer version"),
        "{told}"
    );
    agent.up();
    instance.holds(json!({"unreadable": 2})).await;
    let mut messages = agent.messages().await;
    messages.sort_unstable();
    assert_eq!(messages, ["pending 1", "pending 2", "refused 0"]);
    let kept: Vec<String> = sqlx::query_scalar("SELECT entry FROM outbox")
        .fetch_all(&mut file(instance.data()).await)
        .await
        .unwrap();
    assert_eq!(kept, ["in another form"; 2]);
}
