//! What the log agent asks of a store, in words of no engine.

use std::time::Duration;

use axum::http::StatusCode;
use faultline_service::api::{Page, Receipt};
use faultline_service::cursor::Cursor;
use faultline_service::entry::Entry;
use faultline_service::problem::Problem;
use faultline_service::query::{Limit, LogQuery};
use tokio::sync::watch;

/// A place in the order in which entries were stored. Its number is the store's own: positions
/// grow, and not always by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub(crate) i64);

impl Position {
    /// Before the first entry.
    pub(crate) const START: Self = Self(0);

    /// Behind the last entry.
    pub(crate) const END: Self = Self(i64::MAX);

    /// The one that follows.
    pub(crate) const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The number of entries that a follower reads at once.
pub(crate) const FOLLOWED: u16 = 100;

/// Entries that a follower reads at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Following {
    /// The number of entries that would have come first, and were removed before they were read.
    pub removed: u64,
    /// Oldest first; none when there are none.
    pub entries: Vec<(Position, Entry)>,
    /// The follower goes on from here: all that comes before is among these, or was removed.
    pub through: Position,
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No place in this store: not of its making, or an entry that is not there, or not any more.
    #[error("{} is neither the next of a page nor the id of an entry that is there", .0.as_str())]
    Unknown(Cursor),
    /// Too many searches were before this one.
    #[error("too many searches at once")]
    Busy,
    /// No room is left; nothing of what was sent is stored.
    #[error("no space left")]
    Full,
    /// Nothing of what was sent is stored. The text is for the log.
    #[error("cannot write: {0}")]
    Unwritable(String),
    /// What was sent is stored whole or not at all, and nobody could say which in time. The text is
    /// for the log.
    #[error("cannot tell whether it was written: {0}")]
    Unsettled(String),
    /// What is stored cannot be read now. The text is for the log.
    #[error("cannot read: {0}")]
    Unreadable(String),
    /// The store cannot be reached, and was not asked. The text is for the log.
    #[error("not there: {0}")]
    Away(String),
}

/// Keeps entries in the order in which they were stored; clones share one store.
pub trait Store: Clone + Send + Sync + 'static {
    /// Stores all of these, or none. Once this returns they are on disk.
    fn append(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<Vec<Receipt>, StoreError>> + Send;

    /// The entry stored last.
    fn newest(&self) -> impl Future<Output = Result<Option<Entry>, StoreError>> + Send {
        let query = LogQuery {
            limit: Limit::ONE,
            ..LogQuery::default()
        };
        async { Ok(self.page(query).await?.entries.pop()) }
    }

    /// The entries a query asks for, newest first. A page may end before its limit, lest it be
    /// larger than a caller can take or longer in the making than others can wait; its `next` says
    /// where to go on, also when nothing was found so far.
    fn page(&self, query: LogQuery) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// The position that a cursor says; its entry may be gone.
    fn position(
        &self,
        cursor: &Cursor,
    ) -> impl Future<Output = Result<Position, StoreError>> + Send;

    /// Some entries after a position.
    fn following(
        &self,
        position: Position,
    ) -> impl Future<Output = Result<Following, StoreError>> + Send;

    /// The position of the entry stored last, now and as it changes.
    fn end(&self) -> watch::Receiver<Position>;
}

/// As the caller sees it, who sent nothing wrong unless it named an entry that is not there; who
/// knows the parameter that did, says so instead.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "store");
        match error {
            StoreError::Unknown(_) => Self::new(StatusCode::BAD_REQUEST, error.to_string()),
            StoreError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many searches at once; nothing was looked for",
            )
            .retry_after(Duration::from_secs(1)),
            StoreError::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "the store is full; nothing was stored",
            )
            .retry_after(Duration::from_secs(5)),
            StoreError::Unwritable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot be written; nothing was stored",
            )
            .retry_after(Duration::from_secs(5)),
            StoreError::Unsettled(_) => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the store did not answer in time; whether it was stored is not known: send it again with the same ids",
            )
            .retry_after(Duration::from_secs(1)),
            StoreError::Away(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot be reached now; nothing was done",
            )
            .retry_after(Duration::from_secs(1)),
            StoreError::Unreadable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot be read now",
            )
            .retry_after(Duration::from_secs(1)),
        }
    }
}

/// Tells followers of entries up to this position, unless they know of later ones.
pub(crate) fn advance(end: &watch::Sender<Position>, last: Position) {
    end.send_if_modified(|end| {
        let moved = last > *end;
        *end = last.max(*end);
        moved
    });
}
