//! Several log agents on one database: one order, each entry once, one schema.
#![cfg(test)]

mod engines;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engines::Engine;
use faultline_service::api::Outcome;
use faultline_service::cursor::Cursor;
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::query::LogQuery;
use faultline_service_testing::postgres::Postgres;
use faultline_service_testing::{DEADLINE, eventually};
use futures_util::future::join_all;
use log_agent::postgres_store::{PostgresStore, Source};
use log_agent::retain::Retain;
use log_agent::store::{Position, Store};
use tokio::task::JoinSet;
use uuid::Uuid;

fn entry(message: String) -> Entry {
    Entry {
        id: Uuid::new_v4(),
        time: "2026-11-22T12:00:00.123456789Z".parse().unwrap(),
        level: "info".parse().unwrap(),
        message: message.try_into().unwrap(),
        source: "test".parse().unwrap(),
    }
}

/// A database and two log agents' stores on it; none where there is no PostgreSQL.
struct Shared {
    server: &'static Postgres,
    database: String,
    stores: [PostgresStore; 2],
    running: AtomicBool,
}

impl Shared {
    async fn start() -> Option<Self> {
        let engine = Engine::postgres().await?;
        let stores = join_all((0..2).map(async |_| {
            let health = Health::default();
            let store = engine.postgres_store(Retain::default(), &health).await;
            store.unwrap()
        }));
        let stores = stores.await.try_into().unwrap();
        let Engine::Postgres { server, database } = engine else {
            return None;
        };
        Some(Self {
            server,
            database,
            stores,
            running: AtomicBool::new(true),
        })
    }

    async fn execute(&self, sql: &str) {
        self.server.execute(&self.database, sql).await;
    }
}

/// Follows a store from a position as a stream does, until it has seen so many entries.
async fn follow(store: PostgresStore, mut position: Position, count: usize) -> Vec<String> {
    let (mut end, mut seen) = (store.end(), Vec::new());
    while seen.len() < count {
        end.wait_for(|end| *end > position).await.unwrap();
        let following = store.following(position).await.unwrap();
        assert_eq!(following.removed, 0, "nothing is removed");
        for (at, entry) in following.entries {
            assert!(at > position, "in order");
            position = at;
            seen.push(entry.message.as_str().to_owned());
        }
        assert!(following.through >= position);
        position = following.through;
    }
    seen
}

/// Sends entries again, as they are, until they are stored.
async fn insist(store: &PostgresStore, entries: Vec<Entry>) {
    let started = Instant::now();
    while let Err(error) = store.append(entries.clone()).await {
        assert!(started.elapsed() < DEADLINE, "{error}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every message, oldest first, as pages show them.
async fn messages(store: &PostgresStore) -> Vec<String> {
    let (mut messages, mut after) = (Vec::new(), String::new());
    loop {
        let query = LogQuery::parse(&format!("limit=1000{after}")).unwrap();
        let page = store.page(query).await.unwrap();
        let entries = page.entries.iter();
        messages.extend(entries.map(|entry| entry.message.as_str().to_owned()));
        match page.next {
            Some(next) => after = format!("&after={}", next.as_str()),
            None => break,
        }
    }
    messages.reverse();
    messages
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn followers_of_all_replicas_see_every_entry_in_one_order() {
    const WRITERS: usize = 6;
    const REQUESTS: usize = 40;
    const ENTRIES: usize = 5;
    let Some(shared) = Shared::start().await else {
        return;
    };
    let count = 2 * WRITERS * REQUESTS * ENTRIES;
    let (mut followers, mut writers) = (JoinSet::new(), JoinSet::new());
    for store in &shared.stores {
        for _ in 0..2 {
            let start = *store.end().borrow();
            followers.spawn(follow(store.clone(), start, count));
        }
    }
    for (replica, store) in shared.stores.iter().enumerate() {
        for writer in 0..WRITERS {
            let store = store.clone();
            writers.spawn(async move {
                for request in 0..REQUESTS {
                    let text = |index| format!("{replica}-{writer}-{request:03}-{index}");
                    let entries = (0..ENTRIES).map(|index| entry(text(index))).collect();
                    store.append(entries).await.unwrap();
                }
            });
        }
    }
    writers.join_all().await;
    let stored = messages(&shared.stores[0]).await;
    assert_eq!(stored.len(), count);
    let followed = tokio::time::timeout(DEADLINE, followers.join_all()).await;
    for seen in followed.expect("a follower skipped an entry") {
        assert!(seen == stored, "a follower saw another order");
    }
    // A writer's own entries are in its order, and each is there once.
    let mut of_writers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for message in &stored {
        let (writer, number) = message.split_at(3);
        of_writers.entry(writer).or_default().push(number);
    }
    for numbers in of_writers.values() {
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_comes_to_two_replicas_at_once_is_one_entry() {
    let Some(shared) = Shared::start().await else {
        return;
    };
    let entries: Vec<Entry> = (0..200).map(|number| entry(number.to_string())).collect();
    let of_each = |store: &PostgresStore, reverse: bool| {
        let (store, mut entries) = (store.clone(), entries.clone());
        if reverse {
            entries.reverse();
        }
        async move {
            let appends = entries.chunks(7).map(|some| store.append(some.to_vec()));
            let receipts = join_all(appends).await;
            receipts
                .into_iter()
                .flat_map(Result::unwrap)
                .collect::<Vec<_>>()
        }
    };
    let [one, two] = &shared.stores;
    let (one, two) = tokio::join!(of_each(one, false), of_each(two, true));
    let count = |outcome| {
        let all = one.iter().chain(&two);
        all.filter(|receipt| receipt.outcome == outcome).count()
    };
    assert_eq!(
        (count(Outcome::Stored), count(Outcome::Duplicate)),
        (200, 200)
    );
    let mut stored = messages(&shared.stores[0]).await;
    stored.sort_by_key(|message| message.parse::<u32>().unwrap());
    let expected: Vec<String> = (0..200).map(|number| number.to_string()).collect();
    assert_eq!(stored, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_tells_another_knows_at_once() {
    let Some(shared) = Shared::start().await else {
        return;
    };
    let [one, two] = &shared.stores;
    for number in 0..50 {
        one.append(vec![entry(number.to_string())]).await.unwrap();
        let position = *one.end().borrow();
        let read = two.position(&Cursor::from(position)).await;
        assert_eq!(read, Ok(position));
        let newest = two.newest().await.unwrap().unwrap();
        assert_eq!(newest.message.as_str(), number.to_string());
    }
    let (mut end, last) = (two.end(), *one.end().borrow());
    end.wait_for(|end| *end == last).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_hears_nothing_asks() {
    let Some(shared) = Shared::start().await else {
        return;
    };
    shared
        .execute(
            "SET search_path = log_agent;
            DO $$ BEGIN EXECUTE replace(pg_get_functiondef('log_agent.append_1'::regproc),
                'PERFORM pg_notify', '-- PERFORM'); END $$",
        )
        .await;
    let [one, two] = &shared.stores;
    let seen = tokio::spawn(follow(two.clone(), *two.end().borrow(), 1));
    one.append(vec![entry("unheard of".to_owned())])
        .await
        .unwrap();
    assert_eq!(seen.await.unwrap(), ["unheard of"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_make_the_schema_once() {
    let Some(server) = Postgres::shared().await else {
        return;
    };
    let database = server.database().await;
    let stores = join_all((0..8).map(async |number| {
        let health = Health::default();
        let source = Source::url(&server.url(&database));
        let store = PostgresStore::open(source, Retain::default(), &health).await;
        assert_eq!(health.ready(), Ok(()), "replica {number}");
        store
    }));
    let stores = stores.await;
    for (number, store) in stores.iter().enumerate() {
        store.append(vec![entry(number.to_string())]).await.unwrap();
    }
    assert_eq!(messages(&stores[3]).await.len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_refused_and_what_runs_already_goes_on() {
    let Some(shared) = Shared::start().await else {
        return;
    };
    shared
        .execute(
            "INSERT INTO log_agent._sqlx_migrations (version, description, success, checksum, execution_time)
            VALUES (1000, 'of tomorrow', true, '', 0)",
        )
        .await;
    let health = Health::default();
    let source = Source::url(&shared.server.url(&shared.database));
    let late = PostgresStore::open(source, Retain::default(), &health).await;
    let refused = health.ready().unwrap_err();
    assert!(
        refused.contains("version 1000, of a newer log agent"),
        "{refused}"
    );
    assert!(late.append(vec![entry("late".to_owned())]).await.is_err());
    assert!(late.newest().await.is_err());
    // A newer version only adds; so one that runs survives the update, and a broken connection in it.
    let [one, _] = &shared.stores;
    shared
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    eventually("it goes on", async || {
        one.append(vec![entry("on".to_owned())]).await.ok()
    })
    .await;
    shared
        .execute("DELETE FROM log_agent._sqlx_migrations WHERE version = 1000")
        .await;
    eventually("the late one is ready", async || health.ready().ok()).await;
    late.append(vec![entry("late".to_owned())]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_cut_under_load_lose_and_double_nothing() {
    const WRITERS: usize = 8;
    const REQUESTS: usize = 50;
    const ENTRIES: i64 = (WRITERS * REQUESTS * 3) as i64;
    let Some(shared) = Shared::start().await else {
        return;
    };
    let shared = Arc::new(shared);
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let store = shared.stores[writer % 2].clone();
        writers.spawn(async move {
            for request in 0..REQUESTS {
                let of = |index| entry(format!("{writer}-{request}-{index}"));
                insist(&store, (0..3).map(of).collect()).await;
            }
        });
    }
    let cuts = tokio::spawn({
        let shared = shared.clone();
        async move {
            let mut connection = shared.server.connect(&shared.database).await.unwrap();
            let (mut cuts, mut last_cut) = (0, i64::MIN);
            while shared.running.load(Ordering::Relaxed) {
                let last: i64 = sqlx::query_scalar("SELECT last FROM log_agent.tail")
                    .fetch_one(&mut connection)
                    .await
                    .unwrap();
                // One that is cut each time it tries would get nowhere.
                if last < last_cut.saturating_add(ENTRIES / 10) {
                    continue;
                }
                let cut: Option<bool> = sqlx::query_scalar(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND query LIKE '%append_1(%'
                        AND pid <> pg_backend_pid() AND state = 'active' LIMIT 1",
                )
                .fetch_optional(&mut connection)
                .await
                .unwrap();
                if cut == Some(true) {
                    (cuts, last_cut) = (cuts + 1, last);
                }
            }
            cuts
        }
    });
    writers.join_all().await;
    shared.running.store(false, Ordering::Relaxed);
    let cuts = cuts.await.unwrap();
    assert!(cuts >= 3, "{cuts}");
    let mut stored = messages(&shared.stores[0]).await;
    assert_eq!(stored.len(), WRITERS * REQUESTS * 3);
    stored.sort();
    stored.dedup();
    assert_eq!(stored.len(), WRITERS * REQUESTS * 3, "one is there twice");
}
