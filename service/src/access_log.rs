//! One log line and one measurement per request, at its end, even when the caller goes first.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, Method, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::context::{REQUEST_ID, RequestContext, text};
use crate::metrics;

/// The status of a request whose caller had gone before the answer's end; nobody receives it.
const CALLER_GONE: u16 = 499;

/// The route of a request that no route matches. (A label must not hold a caller's own text.)
const UNMATCHED: &str = "unmatched";

/// Gives a request its [`RequestContext`] and its answer the request's id; records both at the end.
pub(crate) async fn observe(mut request: Request, next: Next) -> Response {
    let context = RequestContext::from_headers(request.headers());
    let mut record = Record::begin(&request, &context);
    let id = context.id.header().clone();
    request.extensions_mut().insert(context);

    let mut response = next.run(request).await;
    response.headers_mut().insert(REQUEST_ID, id);
    record.status = Some(response.status());
    record.complete |= response.body().is_end_stream();
    response.map(|body| Body::new(Recorded { body, record }))
}

/// A request under way. Dropping it ends it: by then either the whole answer has been handed to
/// the connection, or the caller is gone.
struct Record {
    started: Instant,
    method: Method,
    path: String,
    route: String,
    request_id: String,
    attempt: Option<u32>,
    user_agent: Option<String>,
    traceparent: Option<String>,
    forwarded_client_cert: Option<String>,
    status: Option<StatusCode>,
    /// Nothing of the answer is left to send.
    complete: bool,
}

impl Record {
    fn begin(request: &Request, context: &RequestContext) -> Self {
        metrics::request_began();
        let headers = request.headers();
        let route = request
            .extensions()
            .get()
            .map_or(UNMATCHED, MatchedPath::as_str);
        Self {
            started: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            route: route.to_owned(),
            request_id: context.id.to_text(),
            attempt: context.attempt,
            user_agent: first(headers, header::USER_AGENT.as_str()),
            traceparent: first(headers, "traceparent"),
            forwarded_client_cert: first(headers, "x-forwarded-client-cert"),
            status: None,
            complete: request.method() == Method::HEAD,
        }
    }
}

fn first(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(text)
}

impl Drop for Record {
    fn drop(&mut self) {
        let status = match self.status {
            Some(status) if self.complete => status.as_u16(),
            _ => CALLER_GONE,
        };
        let took = self.started.elapsed();
        metrics::request_ended(&self.route, &self.method, status, took);
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    method = self.method.as_str(),
                    path = self.path,
                    status,
                    duration_ms = (took.as_secs_f64() * 1e6).round() / 1e3,
                    request_id = self.request_id,
                    attempt = self.attempt,
                    user_agent = self.user_agent,
                    traceparent = self.traceparent,
                    forwarded_client_cert = self.forwarded_client_cert,
                    "request"
                )
            };
        }
        // The platform asks for these every few seconds; nobody asks for their lines.
        if matches!(self.route.as_str(), "/healthz" | "/readyz" | "/metrics") {
            line!(debug);
        } else {
            line!(info);
        }
    }
}

/// An answer's body that carries its request's record to the end.
struct Recorded {
    body: Body,
    record: Record,
}

impl HttpBody for Recorded {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        self.record.complete |= match &frame {
            Poll::Ready(None) => true,
            Poll::Ready(Some(Ok(_))) => self.body.is_end_stream(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        };
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
