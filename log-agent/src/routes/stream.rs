//! `GET /logs/stream`: server-sent events, one per entry, in the order stored.
//!
//! A stream reads from the store when its consumer can take more, so a slow one holds one reading
//! in memory and loses nothing, but what is removed from the store before it comes to it: that, an
//! event says.

use std::collections::{BTreeMap, VecDeque};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use faultline_service::cursor::Cursor;
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::openapi::optional_header;
use faultline_service::problem::Problem;
use futures_util::{Stream, StreamExt, stream};
use serde_json::json;
use tokio::sync::watch;
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{ObjectBuilder, RefOr, Response, Schema, Type};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::store::{Following, Position, Store, StoreError};

const RESUME: &str = "last-event-id";

/// One event of a stream.
enum News {
    /// An entry, and its position.
    Entry(Position, Entry),
    /// So many entries were removed before they were read.
    Removed(u64),
}

impl News {
    /// An event's id is a cursor: it is good for resuming also when the entry is gone.
    fn event(&self) -> Result<Event, axum::Error> {
        match self {
            Self::Entry(position, entry) => Event::default()
                .id(String::from(Cursor::from(*position)))
                .json_data(entry),
            Self::Removed(entries) => Event::default()
                .event("removed")
                .json_data(json!({"entries": entries})),
        }
    }
}

/// Follows what is stored from now on, or after the event or the entry that `Last-Event-ID` names.
///
/// Server-sent events in the order stored. The `data` of one is an entry as `GET /log` shows it, its
/// `id` a cursor to resume after it. Entries that were removed before the stream came to them are
/// counted by an event `removed`, `{"entries":12}`. The stream ends when the service drains or the
/// store cannot be read: resume.
#[utoipa::path(
    get, path = "/logs/stream", operation_id = "followEntries",
    params(Resume),
    responses(
        (status = OK, description = "A stream that does not end by itself", body = inline(Streamed), content_type = "text/event-stream"),
        NotFollowed,
    )
)]
pub(super) async fn follow<S: Store>(
    State((store, health)): State<(S, Health)>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    let end = store.end();
    let position = match headers.get(RESUME) {
        None => *end.borrow(),
        Some(value) => {
            let text = value.to_str().unwrap_or_default().to_owned();
            let cursor: Cursor = text.try_into().map_err(|_| no_cursor())?;
            store.position(&cursor).await.map_err(no_position)?
        }
    };
    let follower = Follower {
        store,
        end,
        position,
        read: VecDeque::new(),
    };
    let events = stream::unfold(follower, |mut follower| async {
        let news = follower.next().await?;
        Some((news.event(), follower))
    });
    Ok(Sse::new(events.take_until(health.drained())).keep_alive(KeepAlive::default()))
}

fn no_cursor() -> Problem {
    Problem::bad_field(RESUME, "expected an event's id")
}

fn no_position(error: StoreError) -> Problem {
    match error {
        StoreError::Unknown(_) => Problem::bad_field(RESUME, error),
        error => error.into(),
    }
}

/// The header that says where a stream goes on.
struct Resume;

impl IntoParams for Resume {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "The `id` of the last event that came, or an entry's id";
        vec![optional_header::<Cursor>(RESUME, description)]
    }
}

/// One event, as a client of server-sent events sees it.
struct Streamed;

impl ToSchema for Streamed {}

impl PartialSchema for Streamed {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let data = text()
            .content_media_type("application/json")
            .description(Some("An entry; of an event `removed`, how many entries"));
        let event = text().description(Some("`removed`, or none"));
        ObjectBuilder::new()
            .property("id", Cursor::schema())
            .property("event", event)
            .property("data", data)
            .required("data")
            .description(Some("One of the events; not the body as a whole"))
            .into()
    }
}

struct NotFollowed;

impl IntoResponses for NotFollowed {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        super::reading()
            .with("no-cursor", no_cursor())
            .with("gone", no_position(StoreError::Unknown(Uuid::nil().into())))
            .responses()
    }
}

struct Follower<S> {
    store: S,
    end: watch::Receiver<Position>,
    position: Position,
    read: VecDeque<News>,
}

impl<S: Store> Follower<S> {
    /// The next event, once there is one; none when the store cannot be read: the consumer then
    /// comes again and resumes.
    async fn next(&mut self) -> Option<News> {
        while self.read.is_empty() {
            let position = self.position;
            self.end.wait_for(|end| *end > position).await.ok()?;
            match self.store.following(position).await {
                Ok(Following {
                    removed,
                    entries,
                    through,
                }) => {
                    let removed = (removed > 0).then_some(News::Removed(removed));
                    let entries = entries.into_iter();
                    let entries = entries.map(|(position, entry)| News::Entry(position, entry));
                    self.read.extend(removed.into_iter().chain(entries));
                    if through == position {
                        // The end that was told is not there, as after a failover that lost it.
                        self.end.changed().await.ok()?;
                    }
                    self.position = through;
                }
                Err(error) => {
                    tracing::warn!(%error, "a stream ends early");
                    return None;
                }
            }
        }
        self.read.pop_front()
    }
}
