//! Request bodies: bytes in, a type out, or a problem that names the field.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use crate::limits::Limits;
use crate::problem::Problem;

/// A body that says it is JSON, read completely.
#[derive(Clone, Debug)]
pub struct JsonBody(Bytes);

/// A body that has not come from anybody.
impl From<&'static str> for JsonBody {
    fn from(text: &'static str) -> Self {
        Self(Bytes::from_static(text.as_bytes()))
    }
}

impl JsonBody {
    /// The bytes as they came.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the body is an array, if it is JSON at all.
    pub fn is_array(&self) -> bool {
        self.begins_with(b'[')
    }

    fn begins_with(&self, byte: u8) -> bool {
        self.0.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&byte)
    }

    /// The body, an object, as a `T`.
    ///
    /// # Errors
    /// As [`JsonBody::parse`]; and a 400 for anything but an object. (serde would take an array of
    /// a struct's fields in their order, too.)
    pub fn parse_object<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let parsed = self.parse();
        if parsed.is_ok() && !self.begins_with(b'{') {
            return Err(Problem::new(
                StatusCode::BAD_REQUEST,
                "the body must be a JSON object",
            ));
        }
        parsed
    }

    /// The body as a `T`.
    ///
    /// # Errors
    /// A 400 naming the field that is missing, unknown, given twice or not what it must be.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let mut json = serde_json::Deserializer::from_slice(&self.0);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            refusal(&path, error.inner())
        })?;
        json.end().map_err(|error| refusal(".", &error))?;
        Ok(value)
    }
}

fn refusal(path: &str, error: &serde_json::Error) -> Problem {
    let reason = error.to_string();
    if !error.is_data() {
        return Problem::new(
            StatusCode::BAD_REQUEST,
            format!("the body is not JSON: {reason}"),
        );
    }
    let path = if path == "." { "" } else { path };
    match (path, field_in(&reason)) {
        ("", None) => Problem::new(StatusCode::BAD_REQUEST, reason),
        ("", Some(name)) => Problem::bad_field(name, &reason),
        (path, Some(name)) => Problem::bad_field(format!("{path}.{name}"), &reason),
        (path, None) => Problem::bad_field(path, &reason),
    }
}

/// The field that serde names only in its text: for one that is missing or given twice, the path
/// ends at the object around it.
fn field_in(reason: &str) -> Option<&str> {
    let rest = ["missing field `", "duplicate field `"]
        .into_iter()
        .find_map(|start| reason.strip_prefix(start))?;
    rest.split_once('`').map(|(name, _)| name)
}

impl<S: Send + Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !says_json(request.headers()) {
            return Err(other_than_json());
        }
        // `crate::http` puts them on every request.
        let limits: Limits = request.extensions().get().copied().unwrap_or(Limits::NONE);
        match tokio::time::timeout(limits.body_time, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Self(bytes)),
            Ok(Err(rejection)) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                Err(limits.large_body())
            }
            Ok(Err(rejection)) => Err(Problem::new(rejection.status(), rejection.body_text())),
            Err(_) => Err(limits.slow_body()),
        }
    }
}

pub(crate) fn other_than_json() -> Problem {
    let detail = "content-type: must be application/json";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail).about(header::CONTENT_TYPE.as_str())
}

fn says_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::{Entry, Level, Message};
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only what is refused is looked at")]
    struct Draft {
        message: Message,
        #[serde(default)]
        level: Level,
    }

    fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Problem> {
        JsonBody(Bytes::from(text.to_owned())).parse()
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, field) in [
            (r#"{}"#, "message"),
            (r#"{"message":""}"#, "message"),
            (r#"{"message":7}"#, "message"),
            (r#"{"message":null}"#, "message"),
            (r#"{"message":"a","message":"b"}"#, "message"),
            (r#"{"message":"a","level":"loud"}"#, "level"),
            (r#"{"message":"a","level":3}"#, "level"),
            (r#"{"message":"a","colour":1}"#, "colour"),
        ] {
            let problem = parse::<Draft>(body).expect_err(body);
            assert_eq!(problem, problem.clone().about(field), "{body}");
            assert!(problem.detail().contains(field), "{problem:?}");
        }
        let entry = r#"{"id":"018f0000-0000-7000-8000-000000000000","time":"2026-11-22T00:00:00Z","level":"info","message":"a","source":"s"}"#;
        let second = entry.replace(r#""level":"info","#, "");
        let problem = parse::<Vec<Entry>>(&format!("[{entry},{second}]")).unwrap_err();
        assert_eq!(problem, problem.clone().about("[1].level"));
    }

    #[test]
    fn what_is_no_json_is_said_to_be_none() {
        for body in ["", "{", "[", "hello", "{\"message\":\"a\"} x", "\u{feff}{}"] {
            let problem = parse::<Draft>(body).expect_err(body);
            assert_eq!(problem.status(), StatusCode::BAD_REQUEST);
            assert!(
                problem.detail().starts_with("the body is not JSON"),
                "{problem:?}"
            );
        }
    }

    #[test]
    fn fields_in_their_order_are_no_object() {
        let body = JsonBody(Bytes::from_static(br#" ["a","warn"]"#));
        assert!(body.is_array());
        assert!(
            body.parse_object::<Draft>()
                .unwrap_err()
                .detail()
                .contains("object")
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = JsonBody(bytes.into()).parse::<Draft>();
        }

        #[test]
        fn no_json_panics(depth in 0..300_usize, inner in ".{0,20}") {
            let text = format!("{}{inner}{}", "[".repeat(depth), "]".repeat(depth));
            let _ = parse::<Draft>(&text);
        }
    }
}
