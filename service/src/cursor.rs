//! Where a page of entries ended: text that only the log agent makes and reads.

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema, SchemaFormat};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::entry::Invalid;
use crate::openapi::text;

/// A place among the entries, in the log agent's own words: 1 to [`Cursor::MAX_BYTES`] letters,
/// digits and `-`, `.`, `_`, `~`, which a URL carries as they are. Everybody else hands it on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cursor(String);

impl Cursor {
    /// The longest cursor, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Cursor {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        let unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(unreserved) {
            Ok(Self(text))
        } else {
            Err(Invalid("expected the next of a page, or an entry's id"))
        }
    }
}

impl From<Cursor> for String {
    fn from(cursor: Cursor) -> Self {
        cursor.0
    }
}

impl ToSchema for Cursor {}

/// Its form; only what a page, an event or an entry said is a place. The format's name says so.
impl PartialSchema for Cursor {
    fn schema() -> RefOr<Schema> {
        text(
            Self::MAX_BYTES,
            ": opaque, as this store said it; or an entry's id",
        )
        .pattern(Some("^[A-Za-z0-9._~-]+$"))
        .format(Some(SchemaFormat::Custom("cursor".to_owned())))
        .into()
    }
}

/// An entry's id stands for the entry's place.
impl From<Uuid> for Cursor {
    fn from(id: Uuid) -> Self {
        Self(id.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_text_that_a_url_carries_as_it_is() {
        let cursor = |text: &str| Cursor::try_from(text.to_owned());
        for text in [
            "x",
            "newest",
            "018f0000-0000-7000-8000-000000000000",
            "a.b_c~d",
        ] {
            assert_eq!(cursor(text).unwrap().as_str(), text);
        }
        for text in ["", "a b", "a&b", "a%20", "naïve", "\0"] {
            assert!(cursor(text).is_err(), "{text}");
        }
        assert!(cursor(&"x".repeat(Cursor::MAX_BYTES)).is_ok());
        assert!(cursor(&"x".repeat(Cursor::MAX_BYTES + 1)).is_err());
    }
}
