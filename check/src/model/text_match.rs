//! Istio's `StringMatch`, and which texts one covers.

use super::field::{Field, Read, Tree};

/// A condition on a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextMatch {
    /// This text.
    Exact(String),
    /// A text that starts so.
    Prefix(String),
    /// A path whose first segments are these: Gateway API's and Ingress's `PathPrefix`.
    Segments(String),
    /// A text that as a whole matches this RE2 expression.
    Regex(String),
    /// Any text, but it must be there: no condition, or the regex `*`.
    Present,
}

impl Field for TextMatch {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let exact = tree.maybe("exact")?.map(Self::Exact);
        let prefix = tree.maybe("prefix")?.map(Self::Prefix);
        let regex = tree.maybe("regex")?.map(|regex: String| match &*regex {
            "*" => Self::Present,
            _ => Self::Regex(regex),
        });
        Ok(exact.or(prefix).or(regex).unwrap_or(Self::Present))
    }
}

impl std::fmt::Display for TextMatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "exact {text}"),
            Self::Prefix(text) => write!(f, "prefix {text}"),
            Self::Segments(text) => write!(f, "path prefix {text}"),
            Self::Regex(text) => write!(f, "regex {text}"),
            Self::Present => f.write_str("any"),
        }
    }
}
