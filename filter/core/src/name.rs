//! The proxy's name in `proxy-status` and `server-timing`.

use alloc::{borrow::ToOwned, string::String};

/// The longest name, in bytes.
const MAX: usize = 64;

/// A name that tells this proxy from others on the way of a response, with the texts that are
/// always the same for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    text: String,
    unknown_route: String,
    method_not_allowed: String,
    not_configured: String,
}

impl Name {
    /// A name: a letter, then letters, digits, `.`, `_` and `-`, in all at most 64. So it is a token
    /// of RFC 9651, as `proxy-status` needs it, and one of RFC 9110, as `server-timing` does.
    pub fn new(text: &str) -> Option<Self> {
        let starts_well = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        let is_spelt_well = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        (starts_well && is_spelt_well && text.len() <= MAX).then(|| Self::of(text))
    }

    fn of(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            unknown_route: refusal(text, "destination_not_found", "unknown_route"),
            method_not_allowed: refusal(text, "http_request_denied", "method_not_allowed"),
            not_configured: refusal(text, "proxy_configuration_error", "not_configured"),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The `proxy-status` of an answer to an unknown path.
    pub fn unknown_route(&self) -> &str {
        &self.unknown_route
    }

    /// The `proxy-status` of an answer to a method that the route does not take.
    pub fn method_not_allowed(&self) -> &str {
        &self.method_not_allowed
    }

    /// The `proxy-status` of an answer of a filter that has no configuration.
    pub fn not_configured(&self) -> &str {
        &self.not_configured
    }
}

/// `faultline`.
impl Default for Name {
    fn default() -> Self {
        Self::of("faultline")
    }
}

fn refusal(name: &str, error: &str, outcome: &str) -> String {
    [
        name,
        "; error=",
        error,
        "; details=\"outcome=",
        outcome,
        "\"",
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_token() {
        for text in ["faultline", "a", "Edge-1.b_c", &"a".repeat(64)] {
            assert_eq!(Name::new(text).unwrap().as_str(), text);
        }
        for text in ["", "1a", "-a", "a b", "a;b", "a\"", "é", &"a".repeat(65)] {
            assert_eq!(Name::new(text), None, "{text}");
        }
    }

    #[test]
    fn refusals_carry_the_name() {
        assert_eq!(
            Name::new("edge").unwrap().unknown_route(),
            r#"edge; error=destination_not_found; details="outcome=unknown_route""#
        );
        assert_eq!(
            Name::default().method_not_allowed(),
            r#"faultline; error=http_request_denied; details="outcome=method_not_allowed""#
        );
    }
}
