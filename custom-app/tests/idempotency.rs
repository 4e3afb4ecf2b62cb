//! `Idempotency-Key`: one key is one entry, at one instance and at two, whatever the log agent does.
#![cfg(test)]

mod pair;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use reqwest::Response;
use serde_json::{Value, json};

use tokio::task::JoinHandle;

use self::pair::{Agent, Instance, Setup, json};

const KEY: &str = "8e03978e-40d5-43dd-bc93-6894a57f9324";

async fn start(agent: &Agent, source: &'static str) -> Instance {
    let setup = Setup {
        source,
        ..Setup::default()
    };
    Instance::start(agent, setup).await
}

/// A post with [`KEY`] that waits for its answer.
fn waiting(instance: &Instance, message: &str) -> JoinHandle<Response> {
    let post = instance.post().header("idempotency-key", KEY);
    let post = post.json(&json!({"message": message}));
    tokio::spawn(async { post.send().await.unwrap() })
}

fn is_about_the_key(problem: &Value) {
    assert_eq!(problem["field"], "idempotency-key", "{problem}");
}

#[tokio::test]
async fn a_key_is_one_entry_in_either_form_with_any_white_space_at_any_instance() {
    let agent = Agent::start().await;
    let (one, two) = (start(&agent, "one").await, start(&agent, "two").await);
    let first = json(one.keyed(KEY, "hello").await, 201).await;
    assert_eq!(first["entry"]["source"], "one");
    let quoted = format!("\"{KEY}\"");
    for (instance, key, body) in [
        (&one, KEY, r#"{"message":"hello"}"#),
        (
            &one,
            &quoted,
            r#"{ "level": "info",  "message": "hell\u006f" }"#,
        ),
        (&two, &quoted, r#"{"message":"hello","level":"info"}"#),
    ] {
        let post = instance
            .post()
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .body(body);
        // The first acceptance's time and source, whoever is asked.
        assert_eq!(json(post.send().await.unwrap(), 201).await, first, "{body}");
    }
    assert_eq!(agent.stored().await, [first["entry"].clone()]);
}

#[tokio::test]
async fn without_a_key_too_the_first_acceptance_is_told() {
    let agent = Agent::start().await;
    let (one, two) = (start(&agent, "one").await, start(&agent, "two").await);
    let send = async |instance: &Instance| {
        let post = instance.post().header("x-request-id", "r-1");
        let post = post.json(&json!({"message": "hello"}));
        json(post.send().await.unwrap(), 201).await
    };
    let first = send(&one).await;
    assert_eq!(send(&two).await, first);
    assert_eq!(agent.stored().await, [first["entry"].clone()]);
}

#[tokio::test]
async fn what_is_no_key_is_refused_by_name() {
    let agent = Agent::start().await;
    let instance = start(&agent, "one").await;
    let long = "x".repeat(256);
    for keys in [
        &[""][..],
        &["\"\""],
        &["a b"],
        &["\"a"],
        &[&long],
        &["a", "a"],
    ] {
        let mut post = instance.post().json(&json!({"message": "hello"}));
        for key in keys {
            post = post.header("idempotency-key", *key);
        }
        is_about_the_key(&json(post.send().await.unwrap(), 400).await);
    }
    assert!(agent.stored().await.is_empty());
    json(instance.keyed(&"x".repeat(255), "hello").await, 201).await;
}

#[tokio::test]
async fn another_text_under_a_stored_key_changes_nothing() {
    let agent = Agent::start().await;
    let (one, two) = (start(&agent, "one").await, start(&agent, "two").await);
    let first = json(one.keyed(KEY, "first").await, 201).await;
    for instance in [&one, &two] {
        is_about_the_key(&json(instance.keyed(KEY, "second").await, 422).await);
        let louder = instance.post().header("idempotency-key", KEY);
        let louder = louder.json(&json!({"message": "first", "level": "error"}));
        is_about_the_key(&json(louder.send().await.unwrap(), 422).await);
        // Nobody was told that these were accepted: nothing is kept of them.
        instance.holds(json!({})).await;
        assert_eq!(json(instance.keyed(KEY, "first").await, 201).await, first);
    }
    assert_eq!(agent.stored().await, [first["entry"].clone()]);
}

#[tokio::test]
async fn a_retry_of_what_waits_here_is_told_at_once_what_is_known() {
    let agent = Agent::start().await;
    agent.down();
    // It would wait for minutes; the retry does not.
    let instance = start(&agent, "one").await;
    let first = waiting(&instance, "first");
    instance.holds(json!({"pending": 1})).await;
    let retry = json(instance.keyed(KEY, "first").await, 202).await;
    is_about_the_key(&json(instance.keyed(KEY, "second").await, 422).await);
    agent.up();
    assert_eq!(json(first.await.unwrap(), 201).await, retry);
    assert_eq!(json(instance.keyed(KEY, "first").await, 201).await, retry);
    assert_eq!(agent.stored().await, [retry["entry"].clone()]);
}

#[tokio::test]
async fn the_tries_of_one_request_wait_together() {
    let agent = Agent::start().await;
    agent.down();
    let instance = start(&agent, "one").await;
    let tries = [(); 3].map(|()| {
        let post = instance.post().header("idempotency-key", KEY);
        let post = post
            .header("x-request-id", "r-1")
            .json(&json!({"message": "first"}));
        tokio::spawn(async { post.send().await.unwrap().status().as_u16() })
    });
    instance.holds(json!({"pending": 1})).await;
    agent.up();
    for one in tries {
        assert_eq!(one.await.unwrap(), 201);
    }
    assert_eq!(agent.messages().await, ["first"]);
}

/// Two bodies under one key, accepted by two instances while the log agent is away.
#[tokio::test]
async fn of_two_texts_at_two_instances_one_is_stored_and_the_other_is_answered_so() {
    let agent = Agent::start().await;
    agent.down();
    let (one, two) = (start(&agent, "one").await, start(&agent, "two").await);
    let posts = [waiting(&one, "first"), waiting(&two, "second")];
    one.holds(json!({"pending": 1})).await;
    two.holds(json!({"pending": 1})).await;
    agent.up();
    let mut told = Vec::new();
    for post in posts {
        told.push(post.await.unwrap().status().as_u16());
    }
    one.holds(json!({})).await;
    two.holds(json!({})).await;
    let stored = agent.messages().await;
    match told.as_slice() {
        [201, 422] => assert_eq!(stored, ["first"]),
        [422, 201] => assert_eq!(stored, ["second"]),
        other => panic!("told {other:?}, stored {stored:?}"),
    }
}

#[tokio::test]
async fn of_two_texts_that_were_both_told_202_the_one_that_is_not_stored_is_kept_aside() {
    let agent = Agent::start().await;
    agent.down();
    let (one, two) = (start(&agent, "one").await, start(&agent, "two").await);
    let posts = [waiting(&one, "first"), waiting(&two, "second")];
    for (instance, message) in [(&one, "first"), (&two, "second")] {
        instance.holds(json!({"pending": 1})).await;
        json(instance.keyed(KEY, message).await, 202).await;
    }
    agent.up();
    let told = posts.map(async |post| post.await.unwrap().status().as_u16());
    let [first, second] = told;
    let (winner, loser, stored, lost) = match (first.await, second.await) {
        (201, 422) => (&one, &two, "first", "second"),
        (422, 201) => (&two, &one, "second", "first"),
        other => panic!("told {other:?}"),
    };
    for _ in 0..2 {
        winner.holds(json!({})).await;
        loser.holds(json!({"conflicting": 1})).await;
        assert_eq!(agent.messages().await, [stored]);
        for instance in [winner, loser] {
            is_about_the_key(&json(instance.keyed(KEY, lost).await, 422).await);
            let again = json(instance.keyed(KEY, stored).await, 201).await;
            assert_eq!(again["entry"], agent.stored().await[0]);
        }
    }
}

#[tokio::test]
async fn where_another_text_waits_the_one_that_is_stored_is_known_all_the_same() {
    let agent = Agent::start().await;
    let one = start(&agent, "one").await;
    // Its deliveries fail, and its questions do not: the mesh leads them on different ways.
    let reads_only = Agent::start().await;
    let (address, other) = (agent.address, StatusCode::SERVICE_UNAVAILABLE);
    let ask = async move |uri: axum::http::Uri| {
        let answer = reqwest::get(format!("http://{address}{uri}"))
            .await
            .unwrap();
        answer.text().await.unwrap()
    };
    let routes = Router::new().route("/log", post(async move || other));
    reads_only
        .replaced_by(routes.route("/logs", get(ask)))
        .await;
    let two = start(&reads_only, "two").await;

    let second = waiting(&two, "second");
    two.holds(json!({"pending": 1})).await;
    is_about_the_key(&json(two.keyed(KEY, "first").await, 422).await);
    let first = json(one.keyed(KEY, "first").await, 201).await;
    assert_eq!(json(two.keyed(KEY, "first").await, 201).await, first);
    is_about_the_key(&json(two.keyed(KEY, "second").await, 422).await);
    drop(second);
}
