//! The log agent's API, over real sockets, on each of the stores.
#![cfg(test)]

mod engines;

use engines::Engine;
use faultline_service::health::Health;
use faultline_service_testing::events::Events;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use uuid::Uuid;

struct Agent {
    url: String,
    client: Client,
    health: Health,
    _engine: Engine,
}

/// Runs a test on each of the stores.
async fn on_each_store(test: impl AsyncFn(Agent)) {
    for engine in Engine::each().await {
        println!("on {}", engine.name());
        test(Agent::start(engine).await).await;
    }
}

impl Agent {
    async fn start(engine: Engine) -> Self {
        let health = Health::default();
        let routes = engine.routes(&health).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async { axum::serve(listener, routes).await });
        Self {
            url,
            client: Client::new(),
            health,
            _engine: engine,
        }
    }

    async fn post(&self, body: &Value) -> Response {
        self.client
            .post(format!("{}/log", self.url))
            .json(body)
            .send()
            .await
            .unwrap()
    }

    /// Stores these and returns what became of each.
    async fn store(&self, body: &Value) -> Vec<String> {
        let response = self.post(body).await;
        assert_eq!(response.status(), 201);
        let receipts: Value = response.json().await.unwrap();
        let receipts = receipts["entries"].as_array().unwrap();
        receipts
            .iter()
            .map(|receipt| receipt["outcome"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn get(&self, path: &str) -> Value {
        let response = self
            .client
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    /// The messages of one page, and its `next`.
    async fn page(&self, query: &str) -> (Vec<String>, Option<String>) {
        let page = self.get(&format!("/logs?{query}")).await;
        let entries = page["entries"].as_array().unwrap();
        let messages = entries
            .iter()
            .map(|entry| entry["message"].as_str().unwrap().to_owned());
        (messages.collect(), page["next"].as_str().map(str::to_owned))
    }
}

fn entry(message: &str) -> Value {
    entry_of(message, "info")
}

fn entry_of(message: &str, level: &str) -> Value {
    json!({
        "id": Uuid::now_v7(), "time": "2026-11-22T12:00:00Z", "level": level,
        "message": message, "source": "test",
    })
}

#[tokio::test]
async fn an_id_is_one_entry_however_often_it_comes() {
    on_each_store(async |agent| {
        assert_eq!(agent.get("/log").await, json!({"entry": null}));
        let (one, two) = (entry("one"), entry("two"));
        assert_eq!(agent.store(&one).await, ["stored"]);
        assert_eq!(
            agent.store(&json!([one, two, two])).await,
            ["duplicate", "stored", "duplicate"]
        );
        assert_eq!(agent.get("/log").await, json!({"entry": two}));
        assert_eq!(
            agent.get("/logs").await,
            json!({"entries": [two, one], "next": null})
        );
    })
    .await;
}

#[tokio::test]
async fn an_array_is_stored_whole_or_not_at_all() {
    on_each_store(async |agent| {
        let mut bad = entry("bad");
        bad["message"] = json!("");
        let response = agent.post(&json!([entry("good"), bad])).await;
        assert_eq!(response.status(), 400);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["field"], "[1].message");
        assert_eq!(agent.get("/log").await, json!({"entry": null}));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_entry_is_refused_by_field() {
    on_each_store(async |agent| {
        let without = |field: &str| {
            let mut entry = entry("x");
            entry.as_object_mut().unwrap().remove(field);
            entry
        };
        let with = |field: &str, value: Value| {
            let mut entry = entry("x");
            entry[field] = value;
            entry
        };
        for (body, field) in [
            (without("id"), "id"),
            (without("time"), "time"),
            (without("level"), "level"),
            (without("message"), "message"),
            (without("source"), "source"),
            (with("id", json!("1")), "id"),
            (with("time", json!("yesterday")), "time"),
            (with("level", json!("loud")), "level"),
            (with("message", json!("x".repeat(60 * 1024 + 1))), "message"),
            (with("source", json!("a\u{0}b")), "source"),
        ] {
            let response = agent.post(&body).await;
            assert_eq!(response.status(), 400, "{field}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["field"], field, "{problem}");
        }
        for body in [json!([]), json!("text"), json!(7), json!(null), json!({})] {
            assert_eq!(agent.post(&body).await.status(), 400, "{body}");
        }
        assert_eq!(agent.get("/log").await, json!({"entry": null}));
    })
    .await;
}

#[tokio::test]
async fn a_field_of_a_newer_custom_app_refuses_nothing() {
    on_each_store(async |agent| {
        let mut newer = entry("x");
        newer["colour"] = json!("red");
        assert_eq!(agent.store(&newer).await, ["stored"]);
        assert_eq!(agent.get("/log").await["entry"]["message"], "x");
    })
    .await;
}

#[tokio::test]
async fn another_text_under_a_known_id_conflicts_and_changes_nothing() {
    on_each_store(async |agent| {
        let first = entry("first");
        let mut other = first.clone();
        other["message"] = json!("other");
        let mut again = first.clone();
        again["source"] = json!("elsewhere");
        assert_eq!(
            agent.store(&json!([first, other, again])).await,
            ["stored", "conflict", "duplicate"]
        );
        let found = agent
            .get(&format!("/logs?id={}", first["id"].as_str().unwrap()))
            .await;
        assert_eq!(found, json!({"entries": [first], "next": null}));
    })
    .await;
}

#[tokio::test]
async fn pages_hold_every_entry_once_newest_first() {
    on_each_store(async |agent| {
        let entries: Vec<Value> = (0..250).map(|number| entry(&number.to_string())).collect();
        agent.store(&json!(entries)).await;
        let mut seen = Vec::new();
        let mut query = "limit=100".to_owned();
        for expected in [100, 100, 50] {
            let (messages, next) = agent.page(&query).await;
            assert_eq!(messages.len(), expected);
            seen.extend(messages);
            // What comes in meanwhile is newer, and moves nothing.
            agent.store(&entry("late")).await;
            match next {
                Some(id) => query = format!("limit=100&after={id}"),
                None => query.clear(),
            }
        }
        assert!(query.is_empty(), "the last page says it is the last");
        let expected: Vec<String> = (0..250).rev().map(|number| number.to_string()).collect();
        assert_eq!(seen, expected);
        let (exactly, next) = agent.page("limit=253").await;
        assert_eq!((exactly.len(), next), (253, None));
    })
    .await;
}

#[tokio::test]
async fn a_page_of_long_messages_ends_early_and_says_so() {
    on_each_store(async |agent| {
        for batch in 0..2 {
            let entries: Vec<Value> = (0..30)
                .map(|n| entry(&format!("{batch}-{n:060000}")))
                .collect();
            agent.store(&json!(entries)).await;
        }
        let (mut query, mut seen, mut pages) = ("limit=1000".to_owned(), 0, 0);
        loop {
            let (messages, next) = agent.page(&query).await;
            let bytes: usize = messages.iter().map(String::len).sum();
            assert!(bytes < 1024 * 1024 + 60 * 1024, "{bytes}");
            (seen, pages) = (seen + messages.len(), pages + 1);
            match next {
                Some(id) => query = format!("limit=1000&after={id}"),
                None => break,
            }
        }
        assert_eq!(seen, 60);
        assert!(pages > 2, "{pages}");
    })
    .await;
}

#[tokio::test]
async fn a_text_is_looked_for_as_it_is() {
    on_each_store(async |agent| {
        let texts = [
            "100%",
            "100 percent",
            "a_b",
            "axb",
            "nul \0 inside",
            "NUL",
            "naïve ☃",
            "back\\slash",
            "'quoted'",
        ];
        for text in texts {
            agent.store(&entry(text)).await;
        }
        for (query, found) in [
            ("q=%25", vec!["100%"]),
            ("q=_", vec!["a_b"]),
            ("q=%00", vec!["nul \0 inside"]),
            ("q=inside", vec!["nul \0 inside"]),
            ("q=NUL", vec!["NUL"]),
            ("q=%E2%98%83", vec!["naïve ☃"]),
            ("q=%5C", vec!["back\\slash"]),
            ("q='", vec!["'quoted'"]),
            ("q=100", vec!["100 percent", "100%"]),
            ("q=1+OR+1", vec![]),
        ] {
            assert_eq!(agent.page(query).await.0, found, "{query}");
        }
    })
    .await;
}

#[tokio::test]
async fn filters_hold_together_with_the_cursor() {
    on_each_store(async |agent| {
        for number in 0..30 {
            let level = ["info", "warn", "error"][number % 3];
            agent
                .store(&entry_of(&format!("{level} {}", number % 2), level))
                .await;
        }
        let (first, next) = agent.page("level=warn&q=1&limit=3").await;
        assert_eq!(first, ["warn 1"; 3]);
        let (second, next) = agent
            .page(&format!("level=warn&q=1&limit=3&after={}", next.unwrap()))
            .await;
        assert_eq!((second, next), (vec!["warn 1".to_owned(); 2], None));
        assert_eq!(agent.page("level=debug").await, (vec![], None));
    })
    .await;
}

#[tokio::test]
async fn what_is_no_query_is_refused_by_name() {
    on_each_store(async |agent| {
        let unknown = format!("after={}", Uuid::now_v7());
        for (query, field) in [
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            (unknown.as_str(), "after"),
            ("after=x", "after"),
            ("level=loud", "level"),
            ("q=", "q"),
            ("q=%FF", "q"),
            ("page=2", "page"),
        ] {
            let ask = agent.client.get(format!("{}/logs?{query}", agent.url));
            let response = ask.send().await.unwrap();
            assert_eq!(response.status(), 400, "{query}");
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["field"], field, "{problem}");
        }
    })
    .await;
}

/// The next events: id and message of each.
async fn next(events: &mut Events, count: usize) -> (Vec<String>, Vec<String>) {
    let (mut ids, mut messages) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let (id, entry) = events.next().await.expect("the stream goes on");
        ids.push(id);
        messages.push(entry["message"].as_str().unwrap().to_owned());
    }
    (ids, messages)
}

#[tokio::test]
async fn a_stream_tells_what_comes_and_resumes_where_it_ended() {
    on_each_store(async |agent| {
        agent.store(&entry("before")).await;
        let ask = agent.client.get(format!("{}/logs/stream", agent.url));
        let mut events = Events::of(ask.try_clone().unwrap().send().await.unwrap());
        agent
            .store(&json!([entry("one"), entry("two\r\nlines")]))
            .await;
        agent.store(&entry("three")).await;
        let (ids, messages) = next(&mut events, 3).await;
        assert_eq!(messages, ["one", "two\r\nlines", "three"]);
        drop(events);

        agent.store(&entry("four")).await;
        let resumed = ask.header("last-event-id", &ids[0]).send().await.unwrap();
        let mut resumed = Events::of(resumed);
        agent.store(&entry("five")).await;
        let (_, messages) = next(&mut resumed, 4).await;
        assert_eq!(messages, ["two\r\nlines", "three", "four", "five"]);

        agent.health.drain();
        assert_eq!(resumed.next().await, None, "a drain ends streams");
    })
    .await;
}

#[tokio::test]
async fn a_stream_resumes_only_from_an_entry() {
    on_each_store(async |agent| {
        for id in ["x".to_owned(), Uuid::now_v7().to_string()] {
            let ask = agent.client.get(format!("{}/logs/stream", agent.url));
            let response = ask.header("last-event-id", id).send().await.unwrap();
            assert_eq!(response.status(), 400);
            let problem: Value = response.json().await.unwrap();
            assert_eq!(problem["field"], "last-event-id");
        }
    })
    .await;
}

#[tokio::test]
async fn a_hundred_at_once_are_all_stored_once() {
    on_each_store(async |agent| {
        let entries: Vec<Value> = (0..100).map(|number| entry(&number.to_string())).collect();
        // Each twice, from two callers.
        let posts = entries
            .iter()
            .chain(&entries)
            .map(|entry| agent.store(entry));
        let mut outcomes: Vec<String> = futures_util::future::join_all(posts).await.concat();
        outcomes.sort();
        assert_eq!(
            outcomes,
            [vec!["duplicate"; 100], vec!["stored"; 100]].concat()
        );
        let (mut messages, _) = agent.page("limit=1000").await;
        messages.sort_by_key(|message| message.parse::<u32>().unwrap());
        let expected: Vec<String> = (0..100).map(|number| number.to_string()).collect();
        assert_eq!(messages, expected);
    })
    .await;
}
