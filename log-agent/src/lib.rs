//! Keeps log entries, each exactly once, on disk before it answers.
//!
//! [`routes`] turn requests into calls of a [`store::Store`]: a SQLite file, or a PostgreSQL database
//! that several log agents share.

pub mod choice;
mod marks;
pub mod place;
pub mod postgres_store;
mod reading;
mod receipts;
mod removals;
pub mod retain;
pub mod routes;
mod search;
pub mod sqlite_store;
pub mod store;

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use faultline_service::health::Health;
use faultline_service::http;
use faultline_service::limits::Limits;
use faultline_service::metrics::Metrics;
use faultline_service::server::{self, Signals};
use faultline_service::sqlite::OpenError;
use faultline_service::startup::{BindError, ServerArgs, duration};

use metrics::describe_counter;

use crate::choice::{Choice, NoStore, StoreArgs};
use crate::postgres_store::PostgresStore;
use crate::retain::{Retain, RetainAge, RetainBytes};
use crate::sqlite_store::SqliteStore;
use crate::store::Store;

/// Keeps log entries, each exactly once, on disk before it answers.
///
/// Every flag can be given in the environment instead; a flag wins.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "log-agent", version)]
pub struct Config {
    /// The store that is kept.
    #[command(flatten)]
    pub store: StoreArgs,

    /// Where SQLite keeps the entries; must exist and be writable, and belong to this instance alone
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/log-agent")]
    pub data_dir: PathBuf,

    /// Remove entries this long after they were stored, such as 30d or 12h; none: at no age
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub retain_age: RetainAge,

    /// Remove the oldest entries when the store holds more bytes, such as 512MiB; none: at no size
    #[arg(long, value_name = "BYTES", default_value = "512MiB")]
    pub retain_bytes: RetainBytes,

    /// Refuse entries with 507 when SQLite's file would be larger, in bytes; without it, the disk is
    /// the limit
    #[arg(long, value_name = "BYTES")]
    pub max_store_bytes: Option<u64>,

    /// How long an answer may take before it becomes a 504
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub answer_time: Duration,

    /// What every service has.
    #[command(flatten)]
    pub server: ServerArgs,
}

impl Config {
    /// The bounds of what the store keeps.
    pub const fn retain(&self) -> Retain {
        Retain {
            age: self.retain_age,
            bytes: self.retain_bytes,
        }
    }
}

/// Why the log agent stopped, other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// No store is chosen that there is.
    #[error(transparent)]
    Choice(#[from] NoStore),
    /// A flag of SQLite's alone.
    #[error("--max-store-bytes is for SQLite; what PostgreSQL may take is the server's to say")]
    MaxStoreBytes,
    /// The store cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store's content cannot be read.
    #[error("cannot read the store: {0}")]
    Read(#[from] sqlx::Error),
    /// The address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not deliver signals.
    #[error("cannot take over signals: {0}")]
    Signals(io::Error),
}

/// The limits of one request, as long as no flag says otherwise. The largest body is what custom-app
/// hands over at once (1 MiB and one entry), and room beyond.
pub(crate) const LIMITS: Limits = Limits {
    body_bytes: 4 * 1024 * 1024,
    body_time: Duration::from_secs(10),
    answer_time: Duration::from_secs(30),
    in_flight: 256,
};

/// The log agent's routes on a store, complete.
pub fn app(store: impl Store, health: Health, metrics: Metrics, answer_time: Duration) -> Router {
    let limits = Limits {
        answer_time,
        ..LIMITS
    };
    http::service(
        routes::router(store, health.clone()),
        routes::openapi::SERVED,
        &limits,
        health,
        metrics,
    )
}

/// Opens the store and serves it until a signal.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(config: Config, metrics: Metrics) -> Result<(), ServeError> {
    describe_counter!(
        "log_agent_entries_total",
        "Entries received, by whether they were new."
    );
    describe_counter!(
        "log_agent_entries_searched_total",
        "Entries that searches for a text have looked at."
    );
    let health = Health::default();
    let signals = Signals::install().map_err(ServeError::Signals)?;
    let started = Started {
        health,
        signals,
        metrics,
        config,
    };
    match started.config.store.choice()? {
        Choice::Sqlite(directory) => {
            let directory = directory.unwrap_or_else(|| started.config.data_dir.clone());
            let store = started.sqlite(&directory).await?;
            started.serve(store, &directory.display()).await
        }
        Choice::Postgres(_) if started.config.max_store_bytes.is_some() => {
            Err(ServeError::MaxStoreBytes)
        }
        Choice::Postgres(source) => {
            let kept = started.config.retain();
            let store = PostgresStore::open(source.clone(), kept, &started.health).await;
            started.serve(store, &source).await
        }
    }
}

/// A process that can be told to end, and has no store yet.
struct Started {
    health: Health,
    signals: Signals,
    metrics: Metrics,
    config: Config,
}

impl Started {
    async fn sqlite(&self, directory: &Path) -> Result<SqliteStore, ServeError> {
        let (max_bytes, retain) = (self.config.max_store_bytes, self.config.retain());
        if let (Some(max), Some(bytes)) = (max_bytes, retain.bytes.0)
            && max <= bytes
        {
            tracing::warn!(
                max_store_bytes = max,
                retain_bytes = bytes,
                "the store is full before the oldest entries go; lower --retain-bytes"
            );
        }
        SqliteStore::open(directory, max_bytes, retain, &self.health).await
    }

    async fn serve(self, store: impl Store, kept_in: &impl Display) -> Result<(), ServeError> {
        let listener = self.config.server.bind().await?;
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, store = %kept_in, "listening");
        }
        let (health, answer_time) = (self.health, self.config.answer_time);
        let routes = app(store, health.clone(), self.metrics, answer_time);
        let drain = self.config.server.drain();
        server::serve(listener, routes, &health, self.signals, drain).await;
        tracing::info!("drained");
        Ok(())
    }
}
