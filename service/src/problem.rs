//! The one error a caller sees: an RFC 9457 problem. What went wrong inside goes to the log, not
//! to the caller.

use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

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

    /// What a person reads.
    pub fn detail(&self) -> &str {
        &self.detail
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

#[derive(Serialize)]
struct Document<'a> {
    r#type: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            r#type: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        let mut response = (self.status, axum::Json(document)).into_response();
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
