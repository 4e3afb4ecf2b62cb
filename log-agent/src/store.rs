//! What the log agent asks of a store. A second kind of store implements this and nothing else.

use std::time::Duration;

use axum::http::StatusCode;
use faultline_service::api::{Page, Receipt};
use faultline_service::entry::Entry;
use faultline_service::problem::Problem;
use faultline_service::query::LogQuery;
use faultline_service::sqlite::WriteError;
use tokio::sync::watch;
use uuid::Uuid;

/// A place in the order in which entries were stored; [`Position::START`] is before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub i64);

impl Position {
    /// Before the first entry.
    pub const START: Self = Self(0);
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// There is no entry of this id.
    #[error("there is no entry {0}")]
    Unknown(Uuid),
    /// Nothing of what was sent is stored.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// What is stored cannot be read now. The text is for the log.
    #[error("cannot read: {0}")]
    Unreadable(String),
}

/// Keeps entries in the order in which they were stored; clones share one store.
pub trait Store: Clone + Send + Sync + 'static {
    /// Stores all of these, or none. Once this returns they are on disk.
    fn append(
        &self,
        entries: Vec<Entry>,
    ) -> impl Future<Output = Result<Vec<Receipt>, StoreError>> + Send;

    /// The entry stored last.
    fn newest(&self) -> impl Future<Output = Result<Option<Entry>, StoreError>> + Send;

    /// The entries a query asks for, newest first. A page may end before its limit, lest it be
    /// larger than a caller can take; its `next` says whether there is more.
    fn page(&self, query: LogQuery) -> impl Future<Output = Result<Page, StoreError>> + Send;

    /// Where an entry stands.
    fn position(&self, id: Uuid) -> impl Future<Output = Result<Position, StoreError>> + Send;

    /// Some entries after a position, oldest first; none when there are none.
    fn following(
        &self,
        position: Position,
    ) -> impl Future<Output = Result<Vec<(Position, Entry)>, StoreError>> + Send;

    /// The position of the entry stored last, now and as it changes.
    fn end(&self) -> watch::Receiver<Position>;
}

/// As the caller sees it, who sent nothing wrong unless it named an entry that is not there; who
/// knows the parameter that did, says so instead.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "store");
        match error {
            StoreError::Unknown(id) => {
                Self::new(StatusCode::NOT_FOUND, format!("there is no entry {id}"))
            }
            StoreError::Write(WriteError::NoSpace) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "the store is full; nothing was stored",
            )
            .retry_after(Duration::from_secs(5)),
            StoreError::Write(WriteError::Unwritable(_)) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot be written; nothing was stored",
            )
            .retry_after(Duration::from_secs(5)),
            StoreError::Unreadable(_) => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the store cannot be read now",
            )
            .retry_after(Duration::from_secs(1)),
        }
    }
}
