//! The one error a caller sees: an RFC 9457 problem. What went wrong inside goes to the log, not
//! to the caller.

use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::{Serialize, Serializer};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// An RFC 9457 problem of type `about:blank`: its status says what kind of problem it is, its
/// detail what to do, and `field` which part of the request is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    field: Option<String>,
    retry_after: Option<Duration>,
}

impl Problem {
    /// A problem that no single part of the request caused.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: shortened(detail.into()),
            field: None,
            retry_after: None,
        }
    }

    /// A 400: the named part of the request is not what it must be.
    pub fn bad_field(field: impl Into<String>, reason: impl fmt::Display) -> Self {
        let field = shortened(field.into());
        Self {
            detail: shortened(format!("{field}: {reason}")),
            field: Some(field),
            ..Self::new(StatusCode::BAD_REQUEST, "")
        }
    }

    /// The same problem, naming the part of the request that is meant.
    #[must_use]
    pub fn about(self, field: impl Into<String>) -> Self {
        Self {
            field: Some(field.into()),
            ..self
        }
    }

    /// The same problem, saying when to try again (rounded up to whole seconds).
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self {
            retry_after: Some(wait),
            ..self
        }
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The status in words.
    pub fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    /// What a person reads.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Whether the answer says when to try again.
    pub fn says_when(&self) -> bool {
        self.retry_after.is_some()
    }

    fn document(&self) -> Document<'_> {
        Document {
            r#type: "about:blank",
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
        }
    }
}

/// A caller's own text comes back in a problem, but never at length.
fn shortened(mut text: String) -> String {
    const MAX: usize = 300;
    if text.len() > MAX {
        text.truncate(text.floor_char_boundary(MAX));
        text.push('…');
    }
    text
}

/// An RFC 9457 problem.
#[derive(Serialize, ToSchema)]
struct Document<'a> {
    /// `about:blank`: the status says what kind of problem it is.
    r#type: &'a str,
    /// The status in words.
    title: &'a str,
    /// The status of the answer.
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    /// What is wrong, and what to do.
    detail: &'a str,
    /// The part of the request that is meant: a JSON path, a parameter of the query or a header.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    field: Option<&'a str>,
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.document().serialize(serializer)
    }
}

impl ToSchema for Problem {}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Document::schema()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_text_is_cut_at_a_character() {
        let problem = Problem::bad_field("ä".repeat(40_000), "unknown");
        assert!(problem.detail.len() < 310 && problem.detail.ends_with('…'));
    }

    #[test]
    fn retry_after_is_rounded_up() {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "later")
            .retry_after(Duration::from_millis(1));
        assert_eq!(problem.into_response().headers()[header::RETRY_AFTER], "1");
    }
}
