//! Searches: bounded, given up with their callers, and in nobody's way.
#![cfg(test)]

mod engines;

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use engines::Engine;
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::metrics::Metrics;
use faultline_service::query::LogQuery;
use faultline_service_testing::eventually;
use faultline_service_testing::process::Service;
use log_agent::retain::Retain;
use log_agent::store::Store;
use reqwest::Client;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

/// More entries than one search looks at.
const ENTRIES: usize = 70_000;

/// The most entries that one search looks at, and one statement's more.
const BOUND: f64 = 65_536.0 + 4_096.0;

/// The entry of this number, which is its text; every tenth is a warning.
fn entry(number: usize) -> Entry {
    let level = if number.is_multiple_of(10) {
        "warn"
    } else {
        "info"
    };
    Entry {
        id: Uuid::new_v4(),
        time: "2026-11-22T12:00:00Z".parse().unwrap(),
        level: level.parse().unwrap(),
        message: format!("number {number}.").try_into().unwrap(),
        source: "test".parse().unwrap(),
    }
}

/// Those to fill a store with, as many as one request takes at once.
fn batches() -> impl Iterator<Item = Vec<Entry>> {
    let entries: Vec<Entry> = (1..=ENTRIES).map(entry).collect();
    let batches: Vec<_> = entries.chunks(10_000).map(<[Entry]>::to_vec).collect();
    batches.into_iter()
}

async fn agent(engine: &Engine) -> Service {
    let mut command = Command::new(env!("CARGO_BIN_EXE_log-agent"));
    command
        .args(["--listen", "127.0.0.1:0", "--drain-delay", "0s"])
        .args(["--retain-bytes", "none", "--store", &engine.url()]);
    let agent = Service::start(command).await;
    for batch in batches() {
        let post = Client::new().post(agent.url("/log")).json(&batch);
        assert_eq!(post.send().await.unwrap().status(), 201);
    }
    agent
}

/// The value of a metric without labels.
async fn metric(url: String, name: &str) -> f64 {
    let metrics = reqwest::get(url).await.unwrap().text().await.unwrap();
    let line = |line: &str| line.strip_prefix(name)?.trim().parse().ok();
    metrics.lines().find_map(line).unwrap_or(0.0)
}

const SEARCHED: &str = "log_agent_entries_searched_total";

async fn get(url: String) -> Value {
    let answer = reqwest::get(&url).await.unwrap();
    assert_eq!(answer.status(), 200, "{url}");
    answer.json().await.unwrap()
}

#[tokio::test]
async fn a_search_ends_at_its_bound_and_goes_on_from_there() {
    for engine in Engine::each().await {
        println!("on {}", engine.name());
        ends_at_its_bound(&agent(&engine).await).await;
    }
}

async fn ends_at_its_bound(agent: &Service) {
    for (query, expected) in [
        ("q=number 7.", vec!["number 7."]),
        ("q=nowhere", vec![]),
        ("level=warn&q=number 50.", vec!["number 50."]),
        ("level=warn&q=number 7.", vec![]),
        ("level=error&q=number", vec![]),
    ] {
        let (mut found, mut pages, mut after) = (Vec::new(), 0, String::new());
        loop {
            let before = metric(agent.url("/metrics"), SEARCHED).await;
            let page = get(agent.url(&format!("/logs?{query}{after}"))).await;
            let searched = metric(agent.url("/metrics"), SEARCHED).await - before;
            assert!(searched <= BOUND, "{searched} for one page of {query}");
            for entry in page["entries"].as_array().unwrap() {
                found.push(entry["message"].as_str().unwrap().to_owned());
            }
            pages += 1;
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        assert_eq!(found, expected, "{query}");
        assert!(
            query.contains("level") || pages > 1,
            "{query} took one page"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_reads_go_past_searches_that_wait() {
    for engine in Engine::each().await {
        println!("on {}", engine.name());
        go_past_searches(Arc::new(agent(&engine).await)).await;
    }
}

async fn go_past_searches(agent: Arc<Service>) {
    const SEARCHES: usize = 60;
    let ended = Arc::new(AtomicUsize::new(0));
    let mut searches = JoinSet::new();
    for _ in 0..SEARCHES {
        let (agent, ended) = (agent.clone(), ended.clone());
        searches.spawn(async move {
            let answer = reqwest::get(agent.url("/logs?q=nowhere")).await.unwrap();
            ended.fetch_add(1, Ordering::Relaxed);
            // One whose turn does not come is told so.
            assert!([200, 503].contains(&answer.status().as_u16()));
        });
    }
    eventually("most of them wait", async || {
        let waiting = metric(agent.url("/metrics"), "http_requests_in_flight").await;
        (waiting as usize >= SEARCHES / 2).then_some(())
    })
    .await;
    let newest = get(agent.url("/log")).await["entry"]["id"].clone();
    let ended = ended.load(Ordering::Relaxed);
    assert!(ended < SEARCHES, "all searches came first");
    let id = newest.as_str().unwrap();
    for path in [
        "/logs?limit=10".to_owned(),
        "/logs?level=warn".to_owned(),
        format!("/logs?id={id}"),
        format!("/logs?after={id}"),
    ] {
        get(agent.url(&path)).await;
    }
    searches.join_all().await;
}

#[tokio::test]
async fn a_search_ends_with_its_caller() {
    for engine in Engine::each().await {
        println!("on {}", engine.name());
        let health = Health::default();
        let retain = Retain::default();
        if let Some(store) = engine.sqlite_store(retain, &health).await {
            ends_with_its_caller(store, health).await;
        } else if let Some(store) = engine.postgres_store(retain, &health).await {
            ends_with_its_caller(store, health).await;
        }
    }
}

async fn ends_with_its_caller(store: impl Store, health: Health) {
    for batch in batches() {
        store.append(batch).await.unwrap();
    }
    let metrics = Metrics::install().unwrap();
    let routes = log_agent::app(store.clone(), health, metrics, Duration::from_secs(30));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metrics", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, routes).await });
    let searched = async || metric(url.clone(), SEARCHED).await;

    let query = |text| LogQuery::parse(text).unwrap();
    let when_it_went = eventually("a caller goes before its search ends", async || {
        let before = searched().await;
        let mut search = pin!(store.page(query("q=nowhere")));
        loop {
            let polled =
                poll_fn(|context| Poll::Ready(search.as_mut().poll(context).is_ready())).await;
            let now = searched().await;
            if polled {
                return None;
            } else if now > before {
                assert!(now - before < BOUND, "{now} after {before}");
                return Some(now);
            }
        }
    })
    .await;
    // Both connections are free again, and nothing was looked at meanwhile.
    let nothing = || store.page(query("q=nowhere&level=trace"));
    let (one, two) = tokio::join!(nothing(), nothing());
    assert!(one.unwrap().entries.is_empty() && two.unwrap().entries.is_empty());
    assert_eq!(searched().await, when_it_went);
}
