//! The answers the two services exchange and hand on.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::cursor::Cursor;
use crate::entry::{Entry, Source};

/// `GET /log`: the newest entry, or none while there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Newest {
    /// The entry stored last; null while there is none.
    // It may not be left out: any object would do otherwise.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    pub entry: Option<Entry>,
}

/// `GET /logs`: some entries, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Page {
    /// Newest first; at most as many as asked for.
    pub entries: Vec<Entry>,
    /// What to give as `after` for the page that follows; `null` on the last one.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required = true)]
    pub next: Option<Cursor>,
}

/// `POST /log` at the log agent: the outcome for each entry, in the order sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipts {
    /// One for each entry sent.
    pub entries: Vec<Receipt>,
}

/// The outcome for one entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The entry's id.
    pub id: Uuid,
    /// Whether it was new.
    pub outcome: Outcome,
    /// The first acceptance of a duplicate; left out for an entry that was new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub first: Option<Acceptance>,
}

/// When and by whom an entry was accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Acceptance {
    /// When, RFC 3339 in UTC.
    pub time: Timestamp,
    /// By which instance.
    pub source: Source,
}

impl From<&Entry> for Acceptance {
    fn from(entry: &Entry) -> Self {
        Self {
            time: entry.time,
            source: entry.source.clone(),
        }
    }
}

/// Whether an entry was new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It is on disk now.
    Stored,
    /// The same level and message were on disk already; their first time and source stay.
    Duplicate,
    /// Another level or message is on disk under this id, and stays. What was sent is not stored,
    /// and never will be.
    Conflict,
    /// A newer log agent says something that this version does not know.
    #[serde(other)]
    Unknown,
}

impl ToSchema for Outcome {}

/// What this version says; [`Outcome::Unknown`] is said by none.
impl PartialSchema for Outcome {
    fn schema() -> RefOr<Schema> {
        let said = [Self::Stored, Self::Duplicate, Self::Conflict];
        let said = said.map(|outcome| serde_json::to_value(outcome).ok());
        ObjectBuilder::new()
            .schema_type(utoipa::openapi::Type::String)
            .enum_values(Some(said))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_of_an_older_and_a_newer_log_agent_are_read() {
        let id = "018f0000-0000-7000-8000-000000000000";
        let older = format!(r#"{{"entries":[{{"id":"{id}","outcome":"duplicate"}}]}}"#);
        let read: Receipts = serde_json::from_str(&older).unwrap();
        assert_eq!(read.entries[0].outcome, Outcome::Duplicate);
        assert_eq!(read.entries[0].first, None);
        let newer =
            format!(r#"{{"entries":[{{"id":"{id}","outcome":"moved","to":"x"}}],"more":1}}"#);
        let read: Receipts = serde_json::from_str(&newer).unwrap();
        assert_eq!(read.entries[0].outcome, Outcome::Unknown);
    }
}
