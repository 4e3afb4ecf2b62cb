//! The application's own routes.

mod home;
mod log;
mod logs;
pub mod openapi;
mod status;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use faultline_service::entry::Source;
use faultline_service::health::Health;
use faultline_service::openapi::Problems;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use crate::log_agent::LogAgent;
use crate::outbox::Outbox;

/// What the routes work with; clones share it.
#[derive(Clone, Debug)]
pub struct App {
    pub(crate) outbox: Outbox,
    pub(crate) log_agent: LogAgent,
    pub(crate) health: Health,
    source: Arc<Source>,
    wait_limit: Duration,
    started: Instant,
}

impl App {
    /// An application that starts now. `POST /log` waits for the log agent up to `wait_limit`.
    pub fn new(
        outbox: Outbox,
        log_agent: LogAgent,
        source: Source,
        wait_limit: Duration,
        health: Health,
    ) -> Self {
        let source = Arc::new(source);
        Self {
            outbox,
            log_agent,
            health,
            source,
            wait_limit,
            started: Instant::now(),
        }
    }
}

/// The routes.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/", get(home::page))
        .route("/status", get(status::status))
        .route("/log", get(logs::newest).post(log::append))
        .route("/logs", get(logs::page))
        .with_state(app)
}

/// The errors of an operation that waits for nobody.
struct Busy;

impl IntoResponses for Busy {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        Problems::limited().responses()
    }
}
