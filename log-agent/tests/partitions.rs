//! Retention in PostgreSQL: the oldest segments go, their ids and tables with them.
#![cfg(test)]

mod engines;

use std::time::{Duration, Instant};

use engines::Engine;
use faultline_service::api::Outcome;
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::query::LogQuery;
use faultline_service_testing::eventually;
use faultline_service_testing::postgres::Postgres;
use log_agent::postgres_store::PostgresStore;
use log_agent::retain::{Retain, RetainAge, RetainBytes};
use log_agent::store::Store;
use uuid::Uuid;

const MIB: u64 = 1024 * 1024;

fn entry(message: String) -> Entry {
    Entry {
        id: Uuid::new_v4(),
        time: "2026-11-22T12:00:00Z".parse().unwrap(),
        level: "info".parse().unwrap(),
        message: message.try_into().unwrap(),
        source: "test".parse().unwrap(),
    }
}

/// A store, and the database behind it.
struct Kept {
    server: &'static Postgres,
    database: String,
    store: PostgresStore,
}

impl Kept {
    async fn start(retain: Retain) -> Option<Self> {
        let engine = Engine::postgres().await?;
        let store = engine.postgres_store(retain, &Health::default()).await?;
        let Engine::Postgres { server, database } = engine else {
            return None;
        };
        Some(Self {
            server,
            database,
            store,
        })
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let mut connection = self.server.connect(&self.database).await.unwrap();
        sqlx::query_scalar(sql)
            .fetch_one(&mut connection)
            .await
            .unwrap()
    }

    async fn messages(&self) -> Vec<String> {
        let (mut messages, mut after) = (Vec::new(), String::new());
        loop {
            let query = LogQuery::parse(&format!("limit=1000{after}")).unwrap();
            let page = self.store.page(query).await.unwrap();
            let entries = page.entries.iter();
            messages.extend(entries.map(|entry| entry.message.as_str().to_owned()));
            match page.next {
                Some(next) => after = format!("&after={}", next.as_str()),
                None => return messages,
            }
        }
    }

    /// Nothing of what was removed is left: neither ids nor tables.
    async fn is_clear(&self) -> bool {
        let entries = self.number("SELECT count(*) FROM log_agent.entries").await;
        let ids = self.number("SELECT count(*) FROM log_agent.ids").await;
        let kept = self
            .number("SELECT count(*) FROM log_agent.segments WHERE state = 'kept'")
            .await;
        let tables = self
            .number(
                r"SELECT count(*) FROM pg_class WHERE relname ~ '^entries_\d+$' AND relkind = 'r'",
            )
            .await;
        (entries, kept) == (ids, tables)
    }
}

const IDS: &str = "SELECT count(*) FROM log_agent.ids";

#[tokio::test(flavor = "multi_thread")]
async fn entries_go_by_age_with_their_ids_and_tables_and_the_newest_stays() {
    const AGE: Duration = Duration::from_secs(3);
    let retain = Retain {
        age: RetainAge(Some(AGE)),
        bytes: RetainBytes(None),
    };
    let Some(kept) = Kept::start(retain).await else {
        return;
    };
    let first: Vec<Entry> = (0..20)
        .map(|number| entry(format!("first {number}")))
        .collect();
    let stored = Instant::now();
    kept.store.append(first.clone()).await.unwrap();
    // The segment is closed, and another takes this one.
    eventually("there is another segment", async || {
        let segments = kept
            .number("SELECT max(segment) FROM log_agent.segments")
            .await;
        (segments > 0).then_some(())
    })
    .await;
    kept.store
        .append(vec![entry("second".to_owned())])
        .await
        .unwrap();
    eventually("the first go", async || {
        let messages = kept.messages().await;
        if messages.len() == 1 {
            return Some(());
        }
        assert_eq!(messages.len(), 21, "all of a segment at once");
        None
    })
    .await;
    assert!(stored.elapsed() >= AGE, "{:?}", stored.elapsed());
    assert_eq!(kept.messages().await, ["second"], "the newest stays");
    eventually("nothing else is left of them", async || {
        kept.is_clear().await.then_some(())
    })
    .await;
    // Their ids are new again, and what is there is known.
    let again = kept.store.append(first).await.unwrap();
    assert!(
        again
            .iter()
            .all(|receipt| receipt.outcome == Outcome::Stored)
    );
    assert_eq!(kept.messages().await.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_new_as_soon_as_its_entry_is_removed_and_stays_with_the_new_one() {
    let Some(kept) = Kept::start(Retain::default()).await else {
        return;
    };
    let one = entry("one".to_owned());
    kept.store
        .append(vec![one.clone(), entry("two".to_owned())])
        .await
        .unwrap();
    // As retention does, before it comes to the ids.
    kept.server
        .execute(
            &kept.database,
            "SET search_path = log_agent;
            CREATE TABLE entries_1 (LIKE entries INCLUDING ALL);
            ALTER TABLE entries ATTACH PARTITION entries_1 FOR VALUES FROM (4294967296) TO (8589934592);
            INSERT INTO segments (segment, before) VALUES (1, 2);
            UPDATE tail SET segment = 1;
            ALTER TABLE entries DETACH PARTITION entries_0;",
        )
        .await;
    assert_eq!(kept.messages().await, [""; 0]);
    assert_eq!(kept.number(IDS).await, 2);
    let receipts = kept
        .store
        .append(vec![one.clone(), entry("three".to_owned())])
        .await
        .unwrap();
    assert!(
        receipts
            .iter()
            .all(|receipt| receipt.outcome == Outcome::Stored)
    );
    kept.server
        .execute(
            &kept.database,
            "UPDATE log_agent.segments SET state = 'removed' WHERE segment = 0",
        )
        .await;
    eventually("what is left of them goes", async || {
        kept.is_clear().await.then_some(())
    })
    .await;
    assert_eq!(kept.messages().await, ["three", "one"]);
    let receipts = kept.store.append(vec![one]).await.unwrap();
    assert_eq!(receipts[0].outcome, Outcome::Duplicate);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_is_bounded_and_followers_are_told_what_they_missed() {
    const BOUND: u64 = 4 * MIB;
    const ENTRIES: u64 = 2_000;
    let retain = Retain {
        age: RetainAge(None),
        bytes: RetainBytes(Some(BOUND)),
    };
    let Some(kept) = Kept::start(retain).await else {
        return;
    };
    let start = *kept.store.end().borrow();
    for batch in 0..ENTRIES / 10 {
        // Text that PostgreSQL cannot compress.
        let text = || {
            (0..300)
                .map(|_| Uuid::new_v4().to_string())
                .collect::<String>()
        };
        let of = |index| entry(format!("{} {}", batch * 10 + index, text()));
        kept.store.append((0..10).map(of).collect()).await.unwrap();
    }
    eventually("it is within its bound", async || {
        let bytes = kept
            .number(
                "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class c
                WHERE relname LIKE 'entries_%' AND relkind = 'r'",
            )
            .await;
        let clear = kept.is_clear().await;
        (clear && bytes.unsigned_abs() <= BOUND).then_some(())
    })
    .await;
    let messages = kept.messages().await;
    assert!((100..600).contains(&messages.len()), "{}", messages.len());
    let number = |message: &str| message.split(' ').next().unwrap().parse::<u64>().unwrap();
    let newest: Vec<u64> = messages.iter().map(|message| number(message)).collect();
    let expected: Vec<u64> = (0..ENTRIES).rev().take(newest.len()).collect();
    assert_eq!(newest, expected, "the newest stay");

    let (mut position, mut removed, mut seen) = (start, 0, 0);
    while position < *kept.store.end().borrow() {
        let following = kept.store.following(position).await.unwrap();
        removed += following.removed;
        for (_, entry) in &following.entries {
            assert_eq!(
                number(entry.message.as_str()),
                removed + seen,
                "each is seen or said to be gone"
            );
            seen += 1;
        }
        position = following.through;
    }
    assert_eq!((removed + seen, seen), (ENTRIES, messages.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_takes_long_delays_removal_and_nobody_else() {
    let retain = Retain {
        age: RetainAge(Some(Duration::from_secs(2))),
        bytes: RetainBytes(None),
    };
    let Some(kept) = Kept::start(retain).await else {
        return;
    };
    kept.store
        .append(vec![entry("old".to_owned())])
        .await
        .unwrap();
    let mut dump = kept.server.connect(&kept.database).await.unwrap();
    for statement in ["BEGIN", "LOCK TABLE log_agent.entries IN ACCESS SHARE MODE"] {
        sqlx::query(statement).execute(&mut dump).await.unwrap();
    }
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while started.elapsed() < Duration::from_secs(6) {
        let asked = Instant::now();
        kept.store
            .append(vec![entry("new".to_owned())])
            .await
            .unwrap();
        kept.store.newest().await.unwrap();
        slowest = slowest.max(asked.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("the slowest took {slowest:?}");
    assert!(kept.messages().await.contains(&"old".to_owned()));
    sqlx::query("COMMIT").execute(&mut dump).await.unwrap();
    eventually("it goes", async || {
        (!kept.messages().await.contains(&"old".to_owned())).then_some(())
    })
    .await;
}
