//! `POST /log`.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use faultline_service::api::Acceptance;
use faultline_service::body::JsonBody;
use faultline_service::context::RequestContext;
use faultline_service::entry::Entry;
use faultline_service::openapi::Problems;
use faultline_service::problem::Problem;
use faultline_service::sqlite::WriteError;
use jiff::Timestamp;
use serde::Serialize;
use utoipa::openapi::{RefOr, Response};
use utoipa::{IntoResponses, ToSchema};
use uuid::Uuid;

use super::App;
use crate::LIMITS;
use crate::draft::{Draft, entry_id};
use crate::key::{IDEMPOTENCY_KEY, IdempotencyKey};
use crate::outbox::{Asker, Delivery, Fate, Full, RETRY_AFTER, Refusal, Standing, Usage};

/// How long a client's retry waits for an entry that is on disk here. The answer is known: 202. A
/// delivery that nothing delays ends within this time and makes it 201.
const RETRY_WAIT: Duration = Duration::from_millis(100);

/// The answer: the entry as it was accepted first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Accepted {
    entry: Entry,
}

/// What is known of an entry, for its caller.
enum Known {
    /// The log agent has it.
    Stored(Acceptance),
    /// It is on disk here.
    Accepted(Acceptance),
    /// The log agent refused it; it is kept here.
    Refused,
    /// Its key names another one.
    Conflict,
    /// A newer version of this program knows it.
    Unreadable,
}

/// Accepts an entry.
///
/// Then waits a while for the log agent to have it: 201 when it has, 202 when that is still to come.
#[utoipa::path(
    post, path = "/log", operation_id = "appendEntry",
    params(IdempotencyKey),
    request_body = Draft,
    responses(
        (status = CREATED, description = "The log agent has it on disk", body = Accepted,
            links(("entry" = (operation_id = "listEntries", parameters(("id" = "$response.body#/entry/id")))))),
        (status = ACCEPTED, description = "It is on this instance's disk; the log agent has not confirmed it yet", body = Accepted),
        NotAppended,
    )
)]
pub(super) async fn append(
    State(app): State<App>,
    context: RequestContext,
    key: Option<IdempotencyKey>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    // From here to `offer` nothing waits: a caller who goes away cannot stop an entry half-way.
    let draft: Draft = body.parse_object()?;
    let id = entry_id(key.as_ref(), &context.id, body.bytes());
    let entry = draft.into_entry(id, Timestamp::now(), app.source.as_ref().clone());
    let ticket = app.outbox.offer(&entry, &context).map_err(not_accepted)?;
    let standing = ticket.standing().await.map_err(not_accepted)?;
    let known = match key {
        Some(_) => known_anywhere(&app, &entry, &context, standing).await,
        None => known_here(standing, app.wait_limit).await,
    };
    answer(entry, known)
}

/// What this instance knows, waiting for the log agent's word on an entry that is on its way.
async fn known_here(standing: Standing, wait_limit: Duration) -> Known {
    match standing {
        Standing::Waiting {
            acceptance,
            asker,
            delivery,
        } => {
            let limit = match asker {
                Asker::SameRequest => wait_limit,
                Asker::AnotherRequest => wait_limit.min(RETRY_WAIT),
            };
            waited(delivery, limit, acceptance).await
        }
        Standing::Refused => Known::Refused,
        Standing::Conflicting => Known::Conflict,
        Standing::Unreadable => Known::Unreadable,
    }
}

async fn waited(delivery: Delivery, limit: Duration, acceptance: Acceptance) -> Known {
    match delivery.within(limit).await {
        Some(Fate::Delivered(first)) => Known::Stored(first.unwrap_or(acceptance)),
        Some(Fate::Refused) => Known::Refused,
        Some(Fate::Conflict) => Known::Conflict,
        None => Known::Accepted(acceptance),
    }
}

/// What anybody knows of an entry with a key. It may be a retry of one that another instance, or an
/// earlier life of this one, has delivered: the log agent is asked, on a path that is not delayed,
/// and its word counts. Else every retry would wait for a delivery of its own.
async fn known_anywhere(
    app: &App,
    entry: &Entry,
    context: &RequestContext,
    standing: Standing,
) -> Known {
    let stored = async {
        let found = app.log_agent.find(entry.id, &context.trace).await?;
        let same = (found.level, &found.message) == (entry.level, &entry.message);
        Some(if same {
            Known::Stored((&found).into())
        } else {
            Known::Conflict
        })
    };
    let here = known_here(standing, app.wait_limit);
    tokio::pin!(stored, here);
    tokio::select! {
        biased;
        known = &mut stored => match known {
            Some(known) => known,
            None => here.await,
        },
        known = &mut here => match known {
            Known::Stored(_) | Known::Accepted(_) => known,
            // What is here may not be the one that is stored.
            _ => stored.await.unwrap_or(known),
        },
    }
}

fn answer(entry: Entry, known: Known) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let id = entry.id;
    let accepted = |Acceptance { time, source }| {
        let entry = Entry {
            time,
            source,
            ..entry
        };
        Json(Accepted { entry })
    };
    match known {
        Known::Stored(first) => Ok((StatusCode::CREATED, accepted(first))),
        Known::Accepted(first) => Ok((StatusCode::ACCEPTED, accepted(first))),
        Known::Refused => Err(refused(id)),
        Known::Conflict => Err(conflict()),
        Known::Unreadable => Err(unreadable()),
    }
}

fn refused(id: Uuid) -> Problem {
    let detail =
        format!("the log agent refused entry {id}; it is kept here, not lost, and offered again");
    Problem::new(StatusCode::BAD_GATEWAY, detail)
}

fn conflict() -> Problem {
    let detail = format!(
        "{IDEMPOTENCY_KEY}: names an entry with another level or message, which stays; give each entry a key of its own"
    );
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail).about(IDEMPOTENCY_KEY.as_str())
}

fn unreadable() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "a newer version keeps an entry of this key here; nothing was accepted now",
    )
    .about(IDEMPOTENCY_KEY.as_str())
    .retry_after(RETRY_AFTER)
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

struct NotAppended;

impl IntoResponses for NotAppended {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let level = JsonBody::from(r#"{"message":"hello","level":"loud"}"#);
        let message = JsonBody::from("{}");
        let key = IdempotencyKey::try_from(&HeaderValue::from_static("a b"));
        let full = Refusal::Full(Full(Usage::default()));
        let unwritable = Refusal::Write(WriteError::Unwritable(String::new()));
        Problems::limited()
            .reading(&LIMITS)
            .waiting(&LIMITS)
            .refused("level", level.parse_object::<Draft>())
            .refused("message", message.parse_object::<Draft>())
            .refused("key", key.map_err(IdempotencyKey::refusal))
            .with("key-in-use", conflict())
            .with("refused", refused(Uuid::nil()))
            .with("full", not_accepted(full))
            .with("unwritable", not_accepted(unwritable))
            .with("newer", unreadable())
            .responses()
    }
}
