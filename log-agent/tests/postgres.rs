//! What is PostgreSQL's alone: several log agents on one database.
#![cfg(test)]

use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service_testing::postgres::Postgres;
use log_agent::postgres_store::{PostgresStore, Source};
use log_agent::retain::Retain;
use log_agent::store::Store;
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

async fn open(server: &Postgres, database: &str) -> (PostgresStore, Health) {
    let health = Health::default();
    let source = Source::url(&server.url(database));
    let store = PostgresStore::open(source, Retain::default(), &health).await;
    assert_eq!(health.ready(), Ok(()));
    (store, health)
}

#[tokio::test(flavor = "multi_thread")]
async fn smoke() {
    let Some(server) = Postgres::shared().await else {
        return;
    };
    let database = server.database().await;
    let (store, _health) = open(server, &database).await;
    let one = entry("one \0 ☃".to_owned());
    println!("{:?}", store.append(vec![one.clone()]).await.unwrap());
    println!("{:?}", store.append(vec![one.clone(), entry("two".to_owned())]).await.unwrap());
    assert_eq!(store.newest().await.unwrap().unwrap().message.as_str(), "two");
}
