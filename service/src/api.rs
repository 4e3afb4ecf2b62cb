//! The answers the two services exchange and hand on.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::entry::Entry;

/// `GET /log`: the newest entry, or none while there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Newest {
    /// The entry stored last. (It may be null but not left out: any object would do otherwise.)
    #[serde(deserialize_with = "Option::deserialize")]
    pub entry: Option<Entry>,
}

/// `GET /logs`: some entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Newest first; at most as many as asked for.
    pub entries: Vec<Entry>,
    /// What to give as `after` for the page that follows; `null` on the last one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub next: Option<Uuid>,
}

/// `POST /log` at the log agent: what became of each entry, in the order sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// One for each entry sent.
    pub entries: Vec<Receipt>,
}

/// What became of one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The entry's id.
    pub id: Uuid,
    /// Whether it was new.
    pub outcome: Outcome,
}

/// Whether an entry was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is on disk now.
    Stored,
    /// It was on disk already; what is there stays as it is.
    Duplicate,
}
