//! The filter's own answers, as RFC 9457 problems.

use crate::{annotate, method::Methods};
use alloc::{vec, vec::Vec};

/// A response the filter writes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem<'m> {
    /// The HTTP status.
    pub status: u32,
    /// Headers, without `:status`.
    pub headers: Vec<(&'static str, &'m str)>,
    /// The body, one JSON object.
    pub body: &'static str,
}

const CONTENT_TYPE: (&str, &str) = ("content-type", "application/problem+json");

/// 404: no route matches the path.
pub fn unknown_route() -> Problem<'static> {
    Problem {
        status: 404,
        headers: vec![CONTENT_TYPE, ("proxy-status", annotate::UNKNOWN_ROUTE)],
        body: concat!(
            r#"{"type":"about:blank","title":"Not Found","status":404,"#,
            r#""detail":"no route matches this path"}"#
        ),
    }
}

/// 405: the route exists, but takes only `methods`.
pub fn method_not_allowed(methods: &Methods) -> Problem<'_> {
    Problem {
        status: 405,
        headers: vec![
            CONTENT_TYPE,
            ("allow", methods.allow()),
            ("proxy-status", annotate::METHOD_NOT_ALLOWED),
        ],
        body: concat!(
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"#,
            r#""detail":"this route does not take this method"}"#
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn bodies_are_json_that_agrees_with_the_status() {
        let methods = Methods::new(["GET"]);
        for problem in [unknown_route(), method_not_allowed(&methods)] {
            let body: Value = serde_json::from_str(problem.body).unwrap();
            assert_eq!(body["status"], problem.status);
            assert_eq!(body["type"], "about:blank");
        }
        let refused = method_not_allowed(&methods);
        assert!(refused.headers.contains(&("allow", "GET, HEAD")));
    }
}
