//! `Idempotency-Key`: the name that a caller gives an entry (draft-ietf-httpapi-idempotency-key-header).

use axum::extract::OptionalFromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use faultline_service::entry::Invalid;
use faultline_service::openapi::{optional_header, text};
use faultline_service::problem::Problem;
use sfv::{Item, Parser};
use utoipa::openapi::path::{Parameter, ParameterIn};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema};

/// The header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A key: 1 to [`IdempotencyKey::MAX_BYTES`] visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The longest key, in characters. The quotes and escapes of the header's form do not count.
    pub const MAX_BYTES: usize = 255;

    /// Both forms of the header. Parameters after the quoted one are read too, and mean nothing.
    const PATTERN: &str = r#"^([!#-~][!-~]{0,254}|"([!#-\[\]-~]|\\["\\]){1,255}")$"#;

    /// The characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads the header, if there is one.
    ///
    /// # Errors
    /// A 400 about `idempotency-key` for a header that is there twice or is no key.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(IDEMPOTENCY_KEY).into_iter();
        match (values.next(), values.next()) {
            (None, _) => Ok(None),
            (Some(value), None) => Self::try_from(value).map(Some).map_err(Self::refusal),
            (Some(_), Some(_)) => Err(Self::refusal(Invalid("given more than once"))),
        }
    }

    /// What the caller is told of a header that is no key.
    pub(crate) fn refusal(Invalid(reason): Invalid) -> Problem {
        Problem::bad_field(IDEMPOTENCY_KEY.as_str(), reason)
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

impl PartialSchema for IdempotencyKey {
    fn schema() -> RefOr<Schema> {
        // The longest form has quotes around it and an escape before each character.
        text(
            2 * Self::MAX_BYTES + 2,
            format!(
                ": 1 to {} visible ASCII characters, bare or as a Structured Field string",
                Self::MAX_BYTES
            ),
        )
        .pattern(Some(Self::PATTERN))
        .into()
    }
}

impl IntoParams for IdempotencyKey {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description =
            "The entry's name: sent again with it, and the same body, it is one entry";
        vec![optional_header::<Self>(
            IDEMPOTENCY_KEY.as_str(),
            description,
        )]
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

    /// What follows a quoted text; none where no quotes are closed.
    fn after_the_quotes(text: &str) -> Option<&str> {
        let inside = text.strip_prefix('"')?;
        let mut characters = inside.char_indices();
        while let Some((at, character)) = characters.next() {
            match character {
                '\\' => drop(characters.next()),
                '"' => return inside.get(at + 1..),
                _ => {}
            }
        }
        None
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
        fn a_key_is_what_its_schema_says(text in "[ -~]{0,12}|\"[!-~]{0,12}\"|[!-~]{250,257}|\"[a\\\\]{250,514}\"") {
            let schema = serde_json::to_value(IdempotencyKey::schema()).unwrap();
            let allowed = jsonschema::draft202012::new(&schema).unwrap().is_valid(&text.as_str().into());
            // Parameters are read too.
            let has_parameters = after_the_quotes(&text).is_some_and(|rest| rest.starts_with(';'));
            let taken = read(&[text.as_bytes()]).is_ok() && !has_parameters;
            prop_assert_eq!(allowed, taken, "{}", text);
        }

        #[test]
        fn the_quotes_add_nothing(key in "[!#-\\[\\]-~]{1,60}") {
            let quoted = format!("\"{key}\"");
            prop_assert_eq!(read(&[quoted.as_bytes()]), read(&[key.as_bytes()]));
        }
    }
}
