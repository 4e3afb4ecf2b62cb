//! A log entry. What cannot be stored cannot be built: each part is a type whose constructor
//! validates, so an [`Entry`] that exists is one that every part of Faultline takes.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

use crate::openapi::text;

/// One log entry; its JSON form is the same on every wire and in the outbox.
///
/// A field that this version does not know is ignored: the other service may be newer.
// Callers from outside are read strictly, before there is an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The same id twice is one entry.
    pub id: Uuid,
    /// When it was accepted, RFC 3339 in UTC.
    pub time: Timestamp,
    /// How grave it is.
    pub level: Level,
    /// What it says.
    pub message: Message,
    /// Who accepted it: the instance's name.
    pub source: Source,
}

/// How grave an entry is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub enum Level {
    /// Finest detail.
    Trace,
    /// For whoever debugs.
    Debug,
    /// What an entry is when it does not say.
    #[default]
    Info,
    /// Needs a look.
    Warn,
    /// Something failed.
    Error,
}

impl Level {
    /// Its name in JSON, in queries and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl TryFrom<String> for Level {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        name.parse()
    }
}

impl FromStr for Level {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        [
            Self::Trace,
            Self::Debug,
            Self::Info,
            Self::Warn,
            Self::Error,
        ]
        .into_iter()
        .find(|level| level.as_str() == name)
        .ok_or(Invalid("expected one of trace, debug, info, warn, error"))
    }
}

/// Why a value was refused, as a sentence for whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);

/// What an entry says: 1 to [`Message::MAX_BYTES`] bytes of any text, NUL included.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Message(String);

impl Message {
    /// The longest message, in bytes of UTF-8.
    pub const MAX_BYTES: usize = 60 * 1024;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Message {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        match text.len() {
            0 => Err(Invalid("must not be empty")),
            1..=Self::MAX_BYTES => Ok(Self(text)),
            _ => Err(Invalid("must be at most 61440 bytes")),
        }
    }
}

impl From<Message> for String {
    fn from(message: Message) -> Self {
        message.0
    }
}

impl ToSchema for Message {}

impl PartialSchema for Message {
    fn schema() -> RefOr<Schema> {
        text(Self::MAX_BYTES, "; any characters, NUL included").into()
    }
}

/// Shows the length instead of the text: what callers log is theirs, and long.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({} bytes)", self.0.len())
    }
}

/// Who accepted an entry: 1 to [`Source::MAX_BYTES`] bytes without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source(String);

impl Source {
    /// The longest name, in bytes: as long as a host's name may be.
    pub const MAX_BYTES: usize = 253;

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A process that knows no better name.
impl Default for Source {
    fn default() -> Self {
        Self("localhost".to_owned())
    }
}

impl TryFrom<String> for Source {
    type Error = Invalid;

    fn try_from(name: String) -> Result<Self, Invalid> {
        if name.is_empty() {
            Err(Invalid("must not be empty"))
        } else if name.len() > Self::MAX_BYTES {
            Err(Invalid("must be at most 253 bytes"))
        } else if name.chars().any(char::is_control) {
            Err(Invalid("must not contain control characters"))
        } else {
            Ok(Self(name))
        }
    }
}

impl FromStr for Source {
    type Err = Invalid;

    fn from_str(name: &str) -> Result<Self, Invalid> {
        name.to_owned().try_into()
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.0
    }
}

impl ToSchema for Source {}

impl PartialSchema for Source {
    fn schema() -> RefOr<Schema> {
        text(Self::MAX_BYTES, ", without control characters")
            .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]+$"))
            .into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_message_says_its_own_limit() {
        let refusal = Message::try_from("x".repeat(Message::MAX_BYTES + 1)).unwrap_err();
        assert!(refusal.0.contains(&Message::MAX_BYTES.to_string()));
        assert!(Message::try_from("x".repeat(Message::MAX_BYTES)).is_ok());
        assert_eq!(
            Message::try_from(String::new()).unwrap_err().0,
            "must not be empty"
        );
    }

    #[test]
    fn the_source_says_its_own_limit() {
        let refusal = Source::try_from("x".repeat(Source::MAX_BYTES + 1)).unwrap_err();
        assert!(refusal.0.contains(&Source::MAX_BYTES.to_string()));
        assert!(Source::try_from("a\nb".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn an_entry_survives_json(
            id: u128,
            seconds in -62_135_596_800_i64..253_402_207_200,
            nanos in 0..1_000_000_000_i32,
            level in prop::sample::select(vec!["trace", "debug", "info", "warn", "error"]),
            message in "(?s).{1,200}",
            source in "[^\\p{C}]{1,60}",
        ) {
            let entry = Entry {
                id: Uuid::from_u128(id),
                time: Timestamp::new(seconds, nanos).unwrap(),
                level: level.parse().unwrap(),
                message: message.try_into().unwrap(),
                source: source.parse().unwrap(),
            };
            let json = serde_json::to_string(&entry).unwrap();
            prop_assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
        }

        #[test]
        fn any_text_is_a_level_only_by_its_exact_name(text in ".{0,8}") {
            if let Ok(level) = text.parse::<Level>() {
                prop_assert_eq!(level.as_str(), text);
            }
        }
    }
}
