//! `Idempotency-Key`: the name that a caller gives an entry (draft-ietf-httpapi-idempotency-key-header).

use axum::extract::OptionalFromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use faultline_service::entry::Invalid;
use faultline_service::problem::Problem;
use sfv::{Item, Parser};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A key: 1 to [`IdempotencyKey::MAX_BYTES`] visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The longest key, in characters. The quotes and escapes of the header's form do not count.
    pub const MAX_BYTES: usize = 255;

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the header, if there is one.
    ///
    /// # Errors
    /// A 400 about `idempotency-key` for a header that is there twice or is no key.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let bad = |Invalid(reason)| Problem::bad_field(IDEMPOTENCY_KEY.as_str(), reason);
        let mut values = headers.get_all(IDEMPOTENCY_KEY).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::try_from(value).map(Some).map_err(bad),
            (Some(_), Some(_)) => Err(bad(Invalid("given more than once"))),
        }
    }
}

/// The draft's form is a Structured Field string, `"8e03978e"`. Most clients send the bare
/// characters; both name the same entry.
impl TryFrom<&HeaderValue> for IdempotencyKey {
    type Error = Invalid;

    fn try_from(value: &HeaderValue) -> Result<Self, Invalid> {
        let bytes = value.as_bytes();
        let key = if bytes.starts_with(b"\"") {
            quoted(bytes)
        } else {
            std::str::from_utf8(bytes).ok().map(str::to_owned)
        };
        let key = key.ok_or(Invalid(
            "expected visible ASCII characters, bare or as \"…\"",
        ))?;
        if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid("must be visible ASCII characters"));
        }
        match key.len() {
            0 => Err(Invalid("must not be empty")),
            1..=Self::MAX_BYTES => Ok(Self(key)),
            _ => Err(Invalid("must be at most 255 characters")),
        }
    }
}

/// The characters of a Structured Field string. Its parameters mean nothing yet.
fn quoted(bytes: &[u8]) -> Option<String> {
    let item: Item = Parser::new(bytes).parse().ok()?;
    Some(item.bare_item.as_string()?.as_str().to_owned())
}

impl<S: Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::from_headers(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(values: &[&[u8]]) -> Result<Option<IdempotencyKey>, Problem> {
        let value = |bytes: &&[u8]| (IDEMPOTENCY_KEY, HeaderValue::from_bytes(bytes).unwrap());
        IdempotencyKey::from_headers(&values.iter().map(value).collect())
    }

    fn key(value: &[u8]) -> String {
        read(&[value]).unwrap().unwrap().0
    }

    #[test]
    fn both_forms_name_the_same() {
        assert_eq!(read(&[]), Ok(None));
        for (quoted, bare) in [
            (
                &br#""8e03978e-40d5-43dd-bc93-6894a57f9324""#[..],
                &b"8e03978e-40d5-43dd-bc93-6894a57f9324"[..],
            ),
            (br#""a\"b\\c""#, br#"a"b\c"#),
            (br#""a";from=1"#, b"a"),
        ] {
            assert_eq!(key(quoted), key(bare));
        }
        assert_eq!(key(b"x".repeat(255).as_slice()).len(), 255);
    }

    #[test]
    fn no_other_header_is_a_key() {
        for values in [
            &[&b""[..]][..],
            &[b"\"\""],
            &[b"a b"],
            &[b"\"a b\""],
            &[b"\"a"],
            &[b"\"a\" x"],
            &[b"\"a\", \"b\""],
            &["ä".as_bytes()],
            &[b"\xff"],
            &[b"x".repeat(256).as_slice()],
            &[b"a", b"a"],
        ] {
            let problem = read(values).expect_err(&format!("{values:?}"));
            assert_eq!(problem, problem.clone().about("idempotency-key"));
            assert_eq!(problem.status(), 400);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_key_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let headers = [(IDEMPOTENCY_KEY, value)].into_iter().collect();
                if let Ok(Some(IdempotencyKey(key))) = IdempotencyKey::from_headers(&headers) {
                    prop_assert!((1..=255).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
                }
            }
        }

        #[test]
        fn the_quotes_add_nothing(key in "[!#-\\[\\]-~]{1,60}") {
            let quoted = format!("\"{key}\"");
            prop_assert_eq!(read(&[quoted.as_bytes()]), read(&[key.as_bytes()]));
        }
    }
}
