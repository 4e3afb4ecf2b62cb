//! `GET /status`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::App;
use crate::outbox::EntryState;

/// How this instance is.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    /// `ok`, or why requests should go elsewhere.
    status: String,
    version: &'static str,
    source: String,
    uptime_seconds: u64,
    outbox: OutboxStatus,
}

#[derive(Debug, Serialize)]
struct OutboxStatus {
    pending: u64,
    refused: u64,
    conflicting: u64,
    unreadable: u64,
    bytes: u64,
}

/// How this instance is; 200 as long as it can say so.
pub(super) async fn status(State(app): State<App>) -> Json<Status> {
    let usage = app.outbox.usage();
    Json(Status {
        status: app.health.ready().err().unwrap_or_else(|| "ok".to_owned()),
        version: env!("CARGO_PKG_VERSION"),
        source: app.source.as_str().to_owned(),
        uptime_seconds: app.started.elapsed().as_secs(),
        outbox: OutboxStatus {
            pending: usage.of(EntryState::Pending).entries,
            refused: usage.of(EntryState::Refused).entries,
            conflicting: usage.of(EntryState::Conflicting).entries,
            unreadable: usage.of(EntryState::Unreadable).entries,
            bytes: usage.total().bytes,
        },
    })
}
