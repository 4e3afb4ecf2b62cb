//! `GET /logs/stream`: server-sent events, one per entry, in the order stored.
//!
//! A stream reads from the store when its consumer can take more, so a slow one holds one reading
//! in memory and loses nothing.

use std::collections::VecDeque;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use faultline_service::entry::Entry;
use faultline_service::health::Health;
use faultline_service::problem::Problem;
use futures_util::{Stream, StreamExt, stream};
use tokio::sync::watch;
use uuid::Uuid;

use crate::store::{Position, Store, StoreError};

const RESUME: &str = "last-event-id";

/// Follows what is stored from now on, or from the entry that `Last-Event-ID` names.
pub(super) async fn follow<S: Store>(
    State((store, health)): State<(S, Health)>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, axum::Error>>>, Problem> {
    let end = store.end();
    let position = match headers.get(RESUME) {
        None => *end.borrow(),
        Some(value) => {
            let id = value
                .to_str()
                .ok()
                .and_then(|text| Uuid::try_parse(text).ok());
            let id = id.ok_or_else(|| Problem::bad_field(RESUME, "expected an entry's id"))?;
            store.position(id).await.map_err(|error| match error {
                StoreError::Unknown(_) => Problem::bad_field(RESUME, error),
                error => error.into(),
            })?
        }
    };
    let follower = Follower {
        store,
        end,
        position,
        read: VecDeque::new(),
    };
    let events = stream::unfold(follower, |mut follower| async {
        let entry = follower.next().await?;
        let event = Event::default().id(entry.id.to_string()).json_data(&entry);
        Some((event, follower))
    });
    Ok(Sse::new(events.take_until(health.drained())).keep_alive(KeepAlive::default()))
}

struct Follower<S> {
    store: S,
    end: watch::Receiver<Position>,
    position: Position,
    read: VecDeque<(Position, Entry)>,
}

impl<S: Store> Follower<S> {
    /// The entry that follows, once there is one; none when the store cannot be read: the consumer
    /// then comes again and resumes.
    async fn next(&mut self) -> Option<Entry> {
        while self.read.is_empty() {
            let position = self.position;
            self.end.wait_for(|end| *end > position).await.ok()?;
            match self.store.following(position).await {
                Ok(entries) => self.read = entries.into(),
                Err(error) => {
                    tracing::warn!(%error, "a stream ends early");
                    return None;
                }
            }
        }
        let (position, entry) = self.read.pop_front()?;
        self.position = position;
        Some(entry)
    }
}
