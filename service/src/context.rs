//! Who a request belongs to: its id, its attempt, and the trace headers that go on with it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The header that names a request across its retries and its hops.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What ties the hops of one trace together: W3C trace context and both forms of B3.
static TRACE: [HeaderName; 8] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("b3"),
    HeaderName::from_static("x-b3-traceid"),
    HeaderName::from_static("x-b3-spanid"),
    HeaderName::from_static("x-b3-parentspanid"),
    HeaderName::from_static("x-b3-sampled"),
    HeaderName::from_static("x-b3-flags"),
];

/// What [`crate::http`] found out about a request before its handler ran.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// Its id.
    pub id: RequestId,
    /// Which attempt of the proxy's this is, counted from 1 (`x-envoy-attempt-count`).
    pub attempt: Option<u32>,
    /// What goes on with every call made for this request.
    pub trace: TraceHeaders,
}

/// A request's id, and whether the request brought it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestId {
    /// As received: every retry of the request has the same.
    Received(HeaderValue),
    /// Made here, because there was none: nobody else has it.
    Made(HeaderValue),
}

impl RequestId {
    fn from_headers(headers: &HeaderMap) -> Self {
        match headers.get(REQUEST_ID) {
            Some(id) if !id.is_empty() => Self::Received(id.clone()),
            _ => Self::Made(header_value(&Uuid::new_v4().to_string())),
        }
    }

    /// As a header, byte for byte.
    pub const fn header(&self) -> &HeaderValue {
        match self {
            Self::Received(id) | Self::Made(id) => id,
        }
    }

    /// As text, for logs: what is not UTF-8 is replaced.
    pub fn to_text(&self) -> String {
        text(self.header())
    }
}

/// The headers that go from a request to the calls made for it: the trace's and `x-request-id`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceHeaders(Vec<(String, String)>);

impl TraceHeaders {
    /// Longer values are dropped: W3C allows that from 512 characters, and these are stored.
    const MAX_VALUE: usize = 1024;

    fn from_request(headers: &HeaderMap, id: &RequestId) -> Self {
        let request_id = REQUEST_ID;
        let of_trace = TRACE.iter().flat_map(|name| {
            headers
                .get_all(name)
                .into_iter()
                .map(move |value| (name, value))
        });
        Self(
            of_trace
                .chain([(&request_id, id.header())])
                .filter(|(_, value)| value.len() <= Self::MAX_VALUE)
                .filter_map(|(name, value)| {
                    Some((name.to_string(), value.to_str().ok()?.to_owned()))
                })
                .collect(),
        )
    }

    /// The request's id, unless it is no text or longer than what is kept.
    pub fn request_id(&self) -> Option<&str> {
        let id = self.0.iter().find(|(name, _)| REQUEST_ID == name.as_str());
        id.map(|(_, id)| id.as_str())
    }

    /// Puts them on a call. What a header cannot carry is left out: it never came from one.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.0 {
            if let (Ok(name), Ok(value)) =
                (name.parse::<HeaderName>(), HeaderValue::from_str(value))
            {
                headers.append(name, value);
            }
        }
    }
}

impl RequestContext {
    /// Reads a request's headers; whatever is in them, there is a context.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let id = RequestId::from_headers(headers);
        let attempt = headers
            .get("x-envoy-attempt-count")
            .and_then(|count| count.to_str().ok())
            .and_then(|count| count.parse().ok());
        let trace = TraceHeaders::from_request(headers, &id);
        Self { id, attempt, trace }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let known = parts.extensions.get::<Self>().cloned();
        Ok(known.unwrap_or_else(|| Self::from_headers(&parts.headers)))
    }
}

/// A header's value as text, for logs: what is not UTF-8 is replaced.
pub(crate) fn text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn header_value(id: &str) -> HeaderValue {
    HeaderValue::from_str(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(pairs: &[(&str, &[u8])]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    name.parse().unwrap(),
                    HeaderValue::from_bytes(value).unwrap(),
                )
            })
            .collect()
    }

    #[test]
    fn an_id_is_taken_as_it_is_and_made_only_where_there_is_none() {
        let received = RequestContext::from_headers(&headers(&[("x-request-id", b"\xe4 odd")]));
        assert_eq!(
            received.id,
            RequestId::Received(HeaderValue::from_bytes(b"\xe4 odd").unwrap())
        );
        for none in [headers(&[]), headers(&[("x-request-id", b"")])] {
            let made = RequestContext::from_headers(&none);
            assert!(matches!(made.id, RequestId::Made(_)));
            assert_ne!(made.id, RequestContext::from_headers(&none).id);
        }
    }

    #[test]
    fn the_trace_goes_on_whole_and_nothing_else_does() {
        let mut incoming = headers(&[
            (
                "traceparent",
                b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ),
            ("b3", b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"),
            ("x-request-id", b"r-1"),
            ("authorization", b"secret"),
        ]);
        incoming.append("tracestate", HeaderValue::from_static("a=1"));
        incoming.append("tracestate", HeaderValue::from_static("b=2"));
        let mut outgoing = HeaderMap::new();
        let trace = RequestContext::from_headers(&incoming).trace;
        assert_eq!(trace.request_id(), Some("r-1"));
        trace.apply(&mut outgoing);
        incoming.remove("authorization");
        assert_eq!(outgoing, incoming);
    }

    #[test]
    fn an_attempt_is_a_number_or_unknown() {
        for (count, attempt) in [
            ("3", Some(3)),
            ("", None),
            ("-1", None),
            ("99999999999", None),
        ] {
            let headers = headers(&[("x-envoy-attempt-count", count.as_bytes())]);
            assert_eq!(RequestContext::from_headers(&headers).attempt, attempt);
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(name in prop::sample::select(&TRACE[..]), value in prop::collection::vec(32..=255_u8, 0..2000)) {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                let mut headers = HeaderMap::new();
                headers.insert(name, value.clone());
                headers.insert(REQUEST_ID, value);
                let context = RequestContext::from_headers(&headers);
                let mut outgoing = HeaderMap::new();
                context.trace.apply(&mut outgoing);
                prop_assert!(outgoing.len() <= 2);
            }
        }
    }
}
