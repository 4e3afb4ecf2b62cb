//! The filter's own answers, as RFC 9457 problems.

use crate::{method::Methods, name::Name};
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
pub fn unknown_route(name: &Name) -> Problem<'_> {
    Problem {
        status: 404,
        headers: vec![CONTENT_TYPE, ("proxy-status", name.unknown_route())],
        body: concat!(
            r#"{"type":"about:blank","title":"Not Found","status":404,"#,
            r#""detail":"no route matches this path"}"#
        ),
    }
}

/// 405: the route exists, but takes only `methods`.
pub fn method_not_allowed<'m>(name: &'m Name, methods: &'m Methods) -> Problem<'m> {
    Problem {
        status: 405,
        headers: vec![
            CONTENT_TYPE,
            ("allow", methods.allow()),
            ("proxy-status", name.method_not_allowed()),
        ],
        body: concat!(
            r#"{"type":"about:blank","title":"Method Not Allowed","status":405,"#,
            r#""detail":"this route does not take this method"}"#
        ),
    }
}

/// 503: the filter has no configuration, and was told to refuse requests then.
pub fn not_configured(name: &Name) -> Problem<'_> {
    Problem {
        status: 503,
        headers: vec![CONTENT_TYPE, ("proxy-status", name.not_configured())],
        body: concat!(
            r#"{"type":"about:blank","title":"Service Unavailable","status":503,"#,
            r#""detail":"this proxy's filter has no valid configuration"}"#
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
        let name = Name::default();
        for problem in [
            unknown_route(&name),
            method_not_allowed(&name, &methods),
            not_configured(&name),
        ] {
            let body: Value = serde_json::from_str(problem.body).unwrap();
            assert_eq!(body["status"], problem.status);
            assert_eq!(body["type"], "about:blank");
        }
        let refused = method_not_allowed(&name, &methods);
        assert!(refused.headers.contains(&("allow", "GET, HEAD")));
    }
}
