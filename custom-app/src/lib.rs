//! The application behind the gateway: takes log entries and hands each over exactly once.
//!
//! An entry goes one way: [`draft`] makes it of a request, [`outbox`] puts it on disk (from then on
//! it is accepted, whatever happens to the caller or to this process), [`delivery`] hands it to the
//! [`log_agent`] until that confirms it.

pub mod config;
pub mod delivery;
pub mod draft;
pub mod key;
pub mod log_agent;
mod metrics;
pub mod outbox;
pub mod routes;

use std::io;
use std::time::Duration;

use axum::Router;
use faultline_service::health::Health;
use faultline_service::http;
use faultline_service::limits::Limits;
use faultline_service::metrics::Metrics;
use faultline_service::server::{self, Signals};
use faultline_service::sqlite::OpenError;
use faultline_service::startup::BindError;

pub use crate::config::Config;
use crate::delivery::Courier;
use crate::log_agent::LogAgent;
use crate::outbox::{EntryState, Outbox};
use crate::routes::App;

/// Why the application stopped, other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The outbox cannot be opened.
    #[error(transparent)]
    Outbox(#[from] OpenError),
    /// The outbox' content cannot be read.
    #[error("cannot read the outbox: {0}")]
    Read(#[from] sqlx::Error),
    /// No client for the log agent can be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(#[from] reqwest::Error),
    /// The address cannot be had.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The system does not deliver signals.
    #[error("cannot take over signals: {0}")]
    Signals(io::Error),
}

/// The limits of one request, as long as no flag says otherwise.
pub(crate) const LIMITS: Limits = Limits {
    body_bytes: 64 * 1024,
    body_time: Duration::from_secs(10),
    answer_time: Duration::from_secs(30),
    in_flight: 512,
};

/// The application's routes, complete.
pub fn app(app: App, answer_time: Duration, metrics: Metrics) -> Router {
    let limits = Limits {
        answer_time,
        ..LIMITS
    };
    let health = app.health.clone();
    let routes = routes::router(app);
    http::service(routes, routes::openapi::SERVED, &limits, health, metrics)
}

/// Opens the outbox, hands over what is in it, and serves until a signal; then hands over what is
/// left as far as the grace allows.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(config: Config, metrics: Metrics) -> Result<(), ServeError> {
    self::metrics::describe();
    let health = Health::default();
    let signals = Signals::install().map_err(ServeError::Signals)?;
    let outbox = Outbox::open(&config.data_dir, config.outbox_limits(), &health).await?;
    let log_agent = LogAgent::new(
        &config.log_agent_url,
        config.delivery_timeout,
        config.read_timeout,
    )?;
    let courier = Courier::new(outbox.clone(), log_agent.clone(), health.clone());
    health.depends_on("delivery", &tokio::spawn(courier.run()));
    let listener = config.server.bind().await?;
    let source = config.source();
    if let Ok(address) = listener.local_addr() {
        let waiting = outbox.usage().of(EntryState::Pending).entries;
        let data_dir = config.data_dir.display();
        tracing::info!(%address, %data_dir, source = source.as_str(), waiting, "listening");
    }
    let state = App::new(
        outbox.clone(),
        log_agent,
        source,
        config.wait_limit,
        health.clone(),
    );
    let routes = app(state, config.answer_time, metrics);
    let deadline = server::serve(listener, routes, &health, signals, config.server.drain()).await;
    match outbox.emptied(deadline).await {
        0 => tracing::info!(remaining = 0, "drained"),
        remaining => tracing::warn!(
            remaining,
            "the grace is over; these entries stay in the outbox for the next start"
        ),
    }
    Ok(())
}
