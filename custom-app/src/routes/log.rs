//! `POST /log`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use faultline_service::body::JsonBody;
use faultline_service::context::RequestContext;
use faultline_service::entry::Entry;
use faultline_service::problem::Problem;
use jiff::Timestamp;
use serde::Serialize;
use tokio::time::timeout;

use super::App;
use crate::draft::{Draft, entry_id};
use crate::outbox::{Fate, RETRY_AFTER, Refusal};

/// The answer: the entry as it was accepted.
#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    entry: Entry,
}

/// Accepts an entry, then waits a while for the log agent to have it: 201 when it has, 202 when
/// that is still to come.
pub(super) async fn append(
    State(app): State<App>,
    context: RequestContext,
    body: JsonBody,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    // From here to `offer` nothing waits: a caller who goes away cannot stop an entry half-way.
    let draft: Draft = body.parse_object()?;
    let id = entry_id(&context.id, body.bytes());
    let entry = draft.into_entry(id, Timestamp::now(), app.source.as_ref().clone());
    let ticket = app.outbox.offer(&entry, &context).map_err(not_accepted)?;

    let delivery = ticket.accepted().await.map_err(not_accepted)?;
    let status = match timeout(app.wait_limit, delivery.fate()).await {
        Ok(Some(Fate::Delivered)) => StatusCode::CREATED,
        Ok(Some(Fate::Refused(_))) => {
            let detail =
                format!("the log agent refused entry {id}; it is kept aside here and not lost");
            return Err(Problem::new(StatusCode::BAD_GATEWAY, detail));
        }
        Ok(None) | Err(_) => StatusCode::ACCEPTED,
    };
    Ok((status, Json(Accepted { entry })))
}

fn not_accepted(refusal: Refusal) -> Problem {
    tracing::warn!(%refusal, "entry not accepted");
    let reason = match refusal {
        Refusal::Full(full) => full.to_string(),
        Refusal::Busy => Refusal::Busy.to_string(),
        Refusal::Write(_) => "the outbox cannot be written".to_owned(),
    };
    let detail = format!("{reason}; the entry was not accepted");
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(RETRY_AFTER)
}
