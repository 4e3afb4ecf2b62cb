//! The tree.

/// A place in a file: one line, and the columns on it that are meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The line, from 1.
    pub line: u32,
    /// The first column, in characters, from 1.
    pub column: u32,
    /// How many characters, at least 1.
    pub width: u32,
}

/// A value and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// `key: value` for a scalar beside its key; the key alone for anything longer.
    pub span: Span,
    /// What is there.
    pub value: Value,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text as written. Quoted text is a string; plain text may also be a number, a boolean or null.
    Scalar {
        /// The text after YAML's escapes.
        text: Box<str>,
        /// True where quotes or a block make it a string.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<Entry>),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Box<str>,
    /// Where the key itself stands.
    pub span: Span,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// The value under this key, `null` counting as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|entry| &*entry.key == key)?;
        (!found.node.is_null()).then_some(&found.node)
    }

    /// The value at the end of these keys.
    #[must_use]
    pub fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The entries of a mapping, else none.
    #[must_use]
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Scalar { .. } | Value::List(_) => &[],
        }
    }

    /// The items of a list, else none.
    #[must_use]
    pub fn items(&self) -> &[Self] {
        match &self.value {
            Value::List(items) => items,
            Value::Scalar { .. } | Value::Map(_) => &[],
        }
    }

    /// True for an empty plain scalar, `~` and `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.plain()
            .is_some_and(|text| matches!(text, "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The text, where YAML takes it for a string.
    #[must_use]
    pub fn string(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, quoted: true } => Some(text),
            Value::Scalar { text, .. } if self.is_string() => Some(text),
            _ => None,
        }
    }

    /// A whole number.
    #[must_use]
    pub fn integer(&self) -> Option<i64> {
        self.plain()?.parse().ok()
    }

    /// A number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        let text = self.plain()?;
        let number = text.parse().ok()?;
        (text.bytes().any(|byte| byte.is_ascii_digit()) && f64::is_finite(number)).then_some(number)
    }

    /// A boolean, YAML 1.1's words included, since Kubernetes' tools take them.
    #[must_use]
    pub fn boolean(&self) -> Option<bool> {
        match self.plain()? {
            "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => Some(true),
            "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => Some(false),
            _ => None,
        }
    }

    /// The scalar's text, whatever its type.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// A word for a message: `a list`, `a number`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar { .. } if self.is_null() => "nothing",
            Value::Scalar { .. } if self.boolean().is_some() => "a boolean",
            Value::Scalar { .. } if self.number().is_some() => "a number",
            Value::Scalar { .. } => "a string",
        }
    }

    fn plain(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar {
                text,
                quoted: false,
            } => Some(text),
            _ => None,
        }
    }

    fn is_string(&self) -> bool {
        !self.is_null() && self.boolean().is_none() && self.number().is_none()
    }
}
