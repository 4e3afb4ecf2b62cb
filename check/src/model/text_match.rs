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

/// Whether letters of different case are different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// They are.
    Sensitive,
    /// They are not.
    Ignored,
}

impl TextMatch {
    /// True where this text matches; none where that cannot be told.
    #[must_use]
    pub fn matches(&self, text: &str) -> Option<bool> {
        Some(match self {
            Self::Exact(own) => own == text,
            Self::Prefix(own) => text.starts_with(own),
            Self::Segments(own) => text
                .strip_prefix(own.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
            Self::Regex(own) => regex::Regex::new(&format!("^(?:{own})$"))
                .ok()?
                .is_match(text),
            Self::Present => true,
        })
    }

    /// True where every text that `narrow` matches is one that this matches. In doubt false.
    #[must_use]
    pub fn covers(&self, narrow: &Self) -> bool {
        if self == narrow || *self == Self::Present {
            return true;
        }
        match narrow {
            Self::Exact(text) => self.matches(text) == Some(true),
            Self::Prefix(start) => self.takes_all_from(start),
            // `start` itself and what is below it.
            Self::Segments(start) => match self {
                Self::Segments(own) => own.is_empty() || below(own, start),
                _ => self.takes_all_from(start),
            },
            Self::Regex(expression) => {
                literal_start(expression).is_some_and(|start| self.takes_all_from(&start))
            }
            Self::Present => false,
        }
    }

    /// True where every text that starts so is matched.
    fn takes_all_from(&self, start: &str) -> bool {
        match self {
            Self::Prefix(own) => start.starts_with(own),
            Self::Segments(own) => own.is_empty() || start.starts_with(&format!("{own}/")),
            Self::Regex(own) => all_from(own).is_some_and(|own| start.starts_with(&own)),
            Self::Present => true,
            Self::Exact(_) => false,
        }
    }

    /// The same condition where case does not count.
    #[must_use]
    pub fn lower(&self) -> Self {
        match self {
            Self::Exact(text) => Self::Exact(text.to_lowercase()),
            Self::Prefix(text) => Self::Prefix(text.to_lowercase()),
            Self::Segments(text) => Self::Segments(text.to_lowercase()),
            // Envoy's expressions are sensitive to case whatever the route says.
            Self::Regex(_) | Self::Present => self.clone(),
        }
    }
}

fn below(own: &str, start: &str) -> bool {
    start
        .strip_prefix(own)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

const SPECIAL: [char; 14] = [
    '.', '*', '+', '?', '(', ')', '[', ']', '{', '}', '|', '^', '$', '\\',
];

/// The text with which everything starts that the expression matches, if there is such a text.
fn literal_start(expression: &str) -> Option<String> {
    let expression = expression.strip_prefix('^').unwrap_or(expression);
    if expression.contains('|') {
        return None;
    }
    let end = expression.find(SPECIAL).unwrap_or(expression.len());
    let (literal, rest) = expression.split_at_checked(end)?;
    let mut literal = literal.to_owned();
    // What may be there any number of times belongs to the rest.
    if rest.starts_with(['*', '?', '{', '+']) {
        literal.pop();
    }
    (!literal.is_empty()).then_some(literal)
}

/// The text of an expression that takes all that starts with it: `/api.*`, `.*`.
fn all_from(expression: &str) -> Option<String> {
    let expression = expression.strip_prefix('^').unwrap_or(expression);
    let expression = expression.strip_suffix('$').unwrap_or(expression);
    let literal = expression.strip_suffix(".*")?;
    (!literal.contains(SPECIAL)).then(|| literal.to_owned())
}

#[cfg(test)]
mod tests {
    use super::TextMatch;

    fn parse(text: &str) -> TextMatch {
        let (kind, value) = text.split_once(' ').unwrap();
        let value = value.to_owned();
        match kind {
            "exact" => TextMatch::Exact(value),
            "prefix" => TextMatch::Prefix(value),
            "segments" => TextMatch::Segments(value),
            "regex" => TextMatch::Regex(value),
            _ => TextMatch::Present,
        }
    }

    #[test]
    fn one_covers_another_only_entirely() {
        for (wide, narrow) in [
            ("prefix /", "exact /a"),
            ("prefix /", "regex /a/.*"),
            ("prefix /", "segments /a"),
            ("prefix /foo", "prefix /foobar"),
            ("prefix /foo", "exact /foo"),
            ("prefix /foo", "regex ^/foo/[0-9]+$"),
            ("prefix /fo", "regex /foo?"),
            ("segments /foo", "exact /foo/x"),
            ("segments /foo", "segments /foo"),
            ("segments /foo", "prefix /foo/"),
            ("regex .*", "prefix /a"),
            ("regex /api/.*", "prefix /api/v1"),
            ("regex /api/[0-9]+", "exact /api/17"),
            ("present *", "exact x"),
            ("exact x", "exact x"),
        ] {
            assert!(parse(wide).covers(&parse(narrow)), "{wide}, {narrow}");
        }
        for (wide, narrow) in [
            ("prefix /foo/", "prefix /foo"),
            ("prefix /foo/", "exact /foo"),
            ("segments /foo", "prefix /foo"),
            ("segments /foo", "exact /foobar"),
            ("prefix /foo", "regex /foo|/bar"),
            ("prefix /foo", "regex /foo?"),
            ("exact /a", "prefix /a"),
            ("regex /api/[0-9]+", "exact /api/17/x"),
            ("regex /api/.*", "prefix /api"),
            ("regex (", "exact ("),
            ("exact x", "present *"),
        ] {
            assert!(!parse(wide).covers(&parse(narrow)), "{wide}, {narrow}");
        }
    }
}
