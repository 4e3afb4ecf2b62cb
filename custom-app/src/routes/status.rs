//! `GET /status`.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, Busy};
use crate::outbox::EntryState;

/// How this instance is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// `ok`, or why requests should go elsewhere.
    status: String,
    version: &'static str,
    source: String,
    uptime_seconds: u64,
    outbox: OutboxStatus,
}

/// How many entries there are in the outbox, by state, and how many bytes they take together.
#[derive(Debug, Serialize, ToSchema)]
struct OutboxStatus {
    /// They wait for the log agent.
    pending: u64,
    /// The log agent refused them; they are offered again.
    refused: u64,
    /// Set aside for a person: another text is stored under their id.
    conflicting: u64,
    /// Of a newer version.
    unreadable: u64,
    bytes: u64,
}

/// How this instance is; 200 as long as it can say so.
#[utoipa::path(
    get, path = "/status", operation_id = "status",
    responses((status = OK, description = "How it is", body = Status), Busy)
)]
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
