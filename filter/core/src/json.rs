//! Reading a JSON value by hand, so that every error can name the key and the value it is about.

use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
};
use core::fmt;
use serde_json::{Map, Value};

/// How much of an offending value an error shows, in characters.
const SHOWN: usize = 80;

/// What is wrong with a configuration, where, and with which value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where, e.g. `routes[2].methods[0]`; `configuration` for the whole.
    pub key: String,
    /// The offending value, shortened, or its kind; `None` if the key is missing.
    pub value: Option<String>,
    /// What is wrong with it and what is expected.
    pub problem: String,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value}: {}", self.key, self.problem),
            None => write!(f, "{}: {}", self.key, self.problem),
        }
    }
}

impl core::error::Error for ConfigError {}

/// A place in the configuration: a chain of borrowed steps, spelt out only when an error needs it.
#[derive(Clone, Copy)]
pub(crate) enum Key<'a> {
    Root,
    Field(&'a Key<'a>, &'a str),
    Item(&'a Key<'a>, usize),
}

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("configuration"),
            Self::Field(Self::Root, name) => f.write_str(name),
            Self::Field(parent, name) => write!(f, "{parent}.{name}"),
            Self::Item(parent, index) => write!(f, "{parent}[{index}]"),
        }
    }
}

/// A value and the place it was found at.
#[derive(Clone, Copy)]
pub(crate) struct Node<'a> {
    pub(crate) key: Key<'a>,
    pub(crate) value: &'a Value,
}

impl<'a> Node<'a> {
    /// An error about this value.
    pub(crate) fn error(&self, problem: impl Into<String>) -> ConfigError {
        ConfigError {
            key: self.key.to_string(),
            value: Some(shown(self.value)),
            problem: problem.into(),
        }
    }

    /// This value as an object with no other keys than `known`.
    pub(crate) fn object(&self, known: &[&str]) -> Result<&'a Map<String, Value>, ConfigError> {
        let map = self
            .value
            .as_object()
            .ok_or_else(|| self.error("must be an object"))?;
        match map.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, value)) => Err(Node {
                key: Key::Field(&self.key, &printable_name(name)),
                value,
            }
            .error(format!("unknown key; known are {}", known.join(", ")))),
            None => Ok(map),
        }
    }

    /// This value as a list of at least one and at most `most` items.
    pub(crate) fn list(&self, most: usize) -> Result<&'a [Value], ConfigError> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.error("must be a list"))?;
        if items.is_empty() {
            return Err(self.error("must not be empty"));
        }
        if items.len() > most {
            let found = items.len();
            return Err(self.error(format!("has {found} items; at most {most} are allowed")));
        }
        Ok(items)
    }

    /// This value as a string.
    pub(crate) fn text(&self) -> Result<&'a str, ConfigError> {
        self.value
            .as_str()
            .ok_or_else(|| self.error("must be a string"))
    }

    /// This value as a boolean.
    pub(crate) fn boolean(&self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.error("must be true or false"))
    }
}

/// A value as an error may show it: a short scalar as JSON, of anything else its kind.
fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => whole.to_string(),
            None => "a number".to_owned(),
        },
        Value::String(text) => format!("\"{}\"", printable(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A key's name as an error may show it: an empty one can be seen.
fn printable_name(name: &str) -> String {
    match name {
        "" => "\"\"".to_owned(),
        _ => printable(name),
    }
}

/// Text as an error may show it: shortened, and on one line whatever it holds.
///
/// By hand, since the standard library's escapes bring its Unicode tables into the module.
fn printable(text: &str) -> String {
    let mut shown = String::new();
    for character in text.chars().take(SHOWN) {
        match character {
            '"' | '\\' => shown.extend(['\\', character]),
            control if control.is_control() => shown.push('?'),
            plain => shown.push(plain),
        }
    }
    if text.chars().nth(SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_key_is_spelt_as_in_the_file() {
        let routes = Key::Field(&Key::Root, "routes");
        let third = Key::Item(&routes, 2);
        assert_eq!(Key::Field(&third, "path").to_string(), "routes[2].path");
        assert_eq!(Key::Root.to_string(), "configuration");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let text = shown(&json!("é".repeat(200)));
        assert_eq!(text, format!("\"{}…\"", "é".repeat(SHOWN)));
    }

    #[test]
    fn an_error_is_one_line() {
        let value = json!({"a\nb": "c\nd\"e"});
        let node = Node {
            key: Key::Root,
            value: &value,
        };
        let error = node.object(&["routes"]).unwrap_err().to_string();
        assert_eq!(error, r#"a?b = "c?d\"e": unknown key; known are routes"#);
    }
}
