//! The log agent's own routes.

mod log;
mod logs;
pub mod openapi;
mod stream;

use axum::Router;
use axum::routing::get;
use faultline_service::health::Health;
use faultline_service::openapi::Problems;

use crate::LIMITS;
use crate::store::{Store, StoreError};

/// The routes on a store; streams end when `health` drains.
pub(crate) fn router<S: Store>(store: S, health: Health) -> Router {
    let streams = get(stream::follow::<S>).with_state((store.clone(), health));
    Router::new()
        .route("/log", get(log::newest::<S>).post(log::append::<S>))
        .route("/logs", get(logs::page::<S>))
        .with_state(store)
        .route("/logs/stream", streams)
}

/// The errors of an operation that reads the store.
fn reading() -> Problems {
    Problems::limited()
        .waiting(&LIMITS)
        .with("unreadable", StoreError::Unreadable(String::new()).into())
        .with("away", StoreError::Away(String::new()).into())
}
