//! The log agent's own routes.

mod log;
mod logs;
mod stream;

use axum::Router;
use axum::routing::get;
use faultline_service::health::Health;

use crate::store::Store;

/// The routes on a store; streams end when `health` drains.
pub(crate) fn router<S: Store>(store: S, health: Health) -> Router {
    let streams = get(stream::follow::<S>).with_state((store.clone(), health));
    Router::new()
        .route("/log", get(log::newest::<S>).post(log::append::<S>))
        .route("/logs", get(logs::page::<S>))
        .with_state(store)
        .route("/logs/stream", streams)
}
