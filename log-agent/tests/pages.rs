//! Walking pages while entries come and go: each that stays is shown once.
#![cfg(test)]

mod engines;

use std::collections::BTreeSet;

use engines::Engine;
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::query::LogQuery;
use log_agent::retain::{Retain, RetainAge, RetainBytes};
use log_agent::store::Store;
use proptest::prelude::*;
use uuid::Uuid;

/// About 25 of these are within the bound.
const TEXT: usize = 40_000;

fn entry(number: usize) -> Entry {
    Entry {
        id: Uuid::new_v4(),
        time: "2026-11-22T12:00:00Z".parse().unwrap(),
        level: ["info", "warn"][number % 2].parse().unwrap(),
        message: format!("{number} {}", "x".repeat(TEXT)).try_into().unwrap(),
        source: "test".parse().unwrap(),
    }
}

/// Every id that a query finds, a page after the other; `meanwhile` comes before each page.
async fn walk(store: &impl Store, query: &str, mut meanwhile: impl AsyncFnMut()) -> Vec<Uuid> {
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        meanwhile().await;
        let query = LogQuery::parse(&format!("{query}{after}")).unwrap();
        let page = store.page(query).await.unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.id));
        match page.next {
            Some(next) => after = format!("&after={}", next.as_str()),
            None => return seen,
        }
    }
}

/// A store that is bounded, with so many entries stored one by one.
async fn check(
    store: impl Store,
    before: usize,
    meanwhile: Vec<usize>,
    query: &str,
) -> Result<(), TestCaseError> {
    let (mut ids, mut ends) = (Vec::new(), vec![*store.end().borrow()]);
    let mut append = async |count| {
        for _ in 0..count {
            let entry = entry(ids.len());
            ids.push(entry.id);
            store.append(vec![entry]).await.unwrap();
            ends.push(*store.end().borrow());
        }
    };
    append(before).await;
    let mut meanwhile = meanwhile.into_iter();
    let seen = walk(&store, query, async || {
        append(meanwhile.next().unwrap_or(0)).await;
    })
    .await;
    let kept: BTreeSet<Uuid> = walk(&store, query, async || {}).await.into_iter().collect();

    let once: BTreeSet<&Uuid> = seen.iter().collect();
    prop_assert_eq!(once.len(), seen.len(), "an entry is shown twice");
    let rank = |id: &Uuid| ids.iter().position(|known| known == id);
    prop_assert!(seen.iter().rev().is_sorted_by_key(rank), "newest first");
    for id in ids.iter().take(before).filter(|id| kept.contains(id)) {
        prop_assert!(once.contains(id), "an entry that stays is not shown");
    }
    let grow = ends.is_sorted_by(|one, next| one < next);
    prop_assert!(grow, "positions do not come back, whatever went: {ends:?}");
    Ok(())
}

/// On a store of this kind, if there is one.
async fn check_on(
    engine: Option<Engine>,
    before: usize,
    meanwhile: Vec<usize>,
    query: &str,
) -> Result<(), TestCaseError> {
    let retain = Retain {
        age: RetainAge(None),
        bytes: RetainBytes(Some(RetainBytes::LEAST)),
    };
    let Some(engine) = engine else {
        return Ok(());
    };
    let health = Health::default();
    if let Some(store) = engine.sqlite_store(retain, &health).await {
        check(store, before, meanwhile, query).await
    } else {
        let store = engine.postgres_store(retain, &health).await.unwrap();
        check(store, before, meanwhile, query).await
    }
}

fn run(check: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(check)
}

const FILTERS: [&str; 4] = ["", "&level=warn", "&q=x", "&level=info&q=1"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_that_stays_in_sqlite_is_shown_once(
        before in 1..40_usize,
        meanwhile in prop::collection::vec(0..8_usize, 0..20),
        limit in 1..12_u16,
        filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let query = format!("limit={limit}{filter}");
        run(async { check_on(Some(Engine::sqlite()), before, meanwhile, &query).await })?;
    }
}

proptest! {
    // A database is slower made than a file.
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_entry_that_stays_in_postgresql_is_shown_once(
        before in 1..40_usize,
        meanwhile in prop::collection::vec(0..8_usize, 0..20),
        limit in 1..12_u16,
        filter in prop::sample::select(FILTERS.to_vec()),
    ) {
        let query = format!("limit={limit}{filter}");
        run(async { check_on(Engine::postgres().await, before, meanwhile, &query).await })?;
    }
}
