//! What one request may take, and how many there may be at once.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use metrics::counter;
use tokio::sync::Semaphore;

use crate::problem::Problem;

/// The limits of a service's own routes (health and metrics have none: they must answer under load).
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The longest body, in bytes; a longer one gets 413.
    pub body_bytes: usize,
    /// How long a caller may take to send its body; after that it gets 408.
    pub body_time: Duration,
    /// How long an answer's head may take; after that the caller gets 504.
    pub answer_time: Duration,
    /// How many requests may be under way; one more gets 503.
    pub in_flight: usize,
}

impl Limits {
    /// Those of a request that came through no [`crate::http::service`].
    pub(crate) const NONE: Self = Self {
        body_bytes: usize::MAX,
        body_time: Duration::MAX,
        answer_time: Duration::MAX,
        in_flight: usize::MAX,
    };
}

/// What a caller is told beyond a limit.
impl Limits {
    pub(crate) fn busy() -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too many requests at once; nothing was done",
        )
        .retry_after(Duration::from_secs(1))
    }

    pub(crate) fn unanswered(&self) -> Problem {
        let detail = format!(
            "no answer within {:?}; whether it was done is not known: send it again, a POST with the Idempotency-Key it had",
            self.answer_time
        );
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
    }

    pub(crate) fn slow_body(&self) -> Problem {
        let detail = format!("the body did not arrive within {:?}", self.body_time);
        Problem::new(StatusCode::REQUEST_TIMEOUT, detail)
    }

    pub(crate) fn large_body(&self) -> Problem {
        let detail = format!("the body is larger than {} bytes", self.body_bytes);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }
}

#[derive(Clone)]
pub(crate) struct Guard {
    slots: Arc<Semaphore>,
    limits: Limits,
}

impl Guard {
    pub(crate) fn new(limits: &Limits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.in_flight.min(Semaphore::MAX_PERMITS)));
        Self {
            slots,
            limits: *limits,
        }
    }
}

pub(crate) async fn enforce(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let Ok(_slot) = guard.slots.try_acquire() else {
        counter!("http_requests_shed_total").increment(1);
        return Limits::busy().into_response();
    };
    match tokio::time::timeout(guard.limits.answer_time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => guard.limits.unanswered().into_response(),
    }
}
