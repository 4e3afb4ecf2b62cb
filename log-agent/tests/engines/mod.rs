//! The stores that there are, for tests of what each of them does.
#![allow(dead_code, reason = "each file of tests uses its own part")]

use std::time::Duration;

use axum::Router;
use faultline_service::health::Health;
use faultline_service::metrics::Metrics;
use faultline_service_testing::postgres::Postgres;
use log_agent::postgres_store::{PostgresStore, Source};
use log_agent::retain::Retain;
use log_agent::sqlite_store::SqliteStore;
use tempfile::TempDir;

/// A store of its own, empty at first.
pub(crate) enum Engine {
    Sqlite(TempDir),
    Postgres {
        server: &'static Postgres,
        database: String,
    },
}

impl Engine {
    pub(crate) fn sqlite() -> Self {
        Self::Sqlite(tempfile::tempdir().unwrap())
    }

    /// None where there is no PostgreSQL; that is said.
    pub(crate) async fn postgres() -> Option<Self> {
        let server = Postgres::shared().await?;
        let database = server.database().await;
        Some(Self::Postgres { server, database })
    }

    /// One of each kind that can be had.
    pub(crate) async fn each() -> Vec<Self> {
        let mut engines = vec![Self::sqlite()];
        engines.extend(Self::postgres().await);
        engines
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres { .. } => "PostgreSQL",
        }
    }

    /// What `--store` is to be given.
    pub(crate) fn url(&self) -> String {
        match self {
            Self::Sqlite(directory) => format!("sqlite:{}", directory.path().display()),
            Self::Postgres { server, database } => server.url(database),
        }
    }

    pub(crate) async fn sqlite_store(
        &self,
        retain: Retain,
        health: &Health,
    ) -> Option<SqliteStore> {
        let Self::Sqlite(directory) = self else {
            return None;
        };
        let store = SqliteStore::open(directory.path(), None, retain, health).await;
        Some(store.unwrap())
    }

    pub(crate) async fn postgres_store(
        &self,
        retain: Retain,
        health: &Health,
    ) -> Option<PostgresStore> {
        let Self::Postgres { server, database } = self else {
            return None;
        };
        let source = Source::url(&server.url(database));
        let store = PostgresStore::open(source, retain, health).await;
        assert_eq!(health.ready(), Ok(()));
        Some(store)
    }

    /// The log agent's routes on the store.
    pub(crate) async fn routes(&self, health: &Health) -> Router {
        let (metrics, answer_time) = (Metrics::install().unwrap(), Duration::from_secs(30));
        let retain = Retain::default();
        if let Some(store) = self.sqlite_store(retain, health).await {
            log_agent::app(store, health.clone(), metrics, answer_time)
        } else {
            let store = self.postgres_store(retain, health).await.unwrap();
            log_agent::app(store, health.clone(), metrics, answer_time)
        }
    }
}
