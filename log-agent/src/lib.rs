//! Keeps log entries, each exactly once, on disk before it answers.
//!
//! [`routes`] turn requests into calls of a [`store::Store`]; the one there is keeps a SQLite file.

pub mod place;
pub mod retain;
pub mod routes;
pub mod sqlite_store;
pub mod store;

use std::io;
use std::path::PathBuf;
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

use crate::retain::{Retain, RetainAge, RetainBytes};
use crate::sqlite_store::SqliteStore;
use crate::store::Store;

/// Keeps log entries, each exactly once, on disk before it answers.
///
/// Every flag can be given in the environment instead; a flag wins.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "log-agent", version)]
pub struct Config {
    /// Where the entries are kept; must exist and be writable, and belong to this instance alone
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/log-agent")]
    pub data_dir: PathBuf,

    /// Remove entries this long after they were stored, such as 30d or 12h; none: at no age
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub retain_age: RetainAge,

    /// Remove the oldest entries when the store holds more bytes, such as 512MiB; none: at no size
    #[arg(long, value_name = "BYTES", default_value = "512MiB")]
    pub retain_bytes: RetainBytes,

    /// Refuse entries with 507 when the store's file would be larger, in bytes; without it, the disk
    /// is the limit
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
    let (max_bytes, retain) = (config.max_store_bytes, config.retain());
    if let (Some(max), Some(bytes)) = (max_bytes, retain.bytes.0)
        && max <= bytes
    {
        tracing::warn!(
            max_store_bytes = max,
            retain_bytes = bytes,
            "the store is full before the oldest entries go; lower --retain-bytes"
        );
    }
    let store = SqliteStore::open(&config.data_dir, max_bytes, retain, &health).await?;
    let listener = config.server.bind().await?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, data_dir = %config.data_dir.display(), "listening");
    }
    let routes = app(store, health.clone(), metrics, config.answer_time);
    server::serve(listener, routes, &health, signals, config.server.drain()).await;
    tracing::info!("drained");
    Ok(())
}
