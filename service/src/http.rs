//! What every route of both services needs, around a service's own routes.

use std::any::Any;

use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::{Method, StatusCode, header};
use metrics::counter;
use serde_json::{Value, json};
use tower_http::catch_panic::CatchPanicLayer;

use crate::access_log;
use crate::body::BodyTime;
use crate::health::Health;
use crate::limits::{self, Guard, Limits};
use crate::metrics::Metrics;
use crate::problem::Problem;

/// A service's routes within limits, beside `/healthz`, `/readyz` and `/metrics`; every error is a
/// problem, every request is recorded.
pub fn service(routes: Router, limits: &Limits, health: Health, metrics: Metrics) -> Router {
    let guard = Guard::new(limits);
    let limited = routes
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(Extension(BodyTime(limits.body_time)))
        .layer(from_fn_with_state(guard, limits::enforce));
    Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .with_state(health)
        .route("/metrics", get(render).with_state(metrics))
        .merge(limited)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(access_log::observe))
}

async fn live(State(health): State<Health>) -> Response {
    verdict(health.live(), json!({"status": "ok"}))
}

async fn ready(State(health): State<Health>) -> Response {
    health.publish();
    let impaired = health.impaired();
    let ready = if impaired.is_empty() {
        json!({"status": "ok"})
    } else {
        json!({"status": "impaired", "impaired": impaired})
    };
    verdict(health.ready(), ready)
}

fn verdict(verdict: Result<(), String>, fine: Value) -> Response {
    match verdict {
        Ok(()) => Json(fine).into_response(),
        Err(reason) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_response(),
    }
}

async fn render(State(metrics): State<Metrics>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics.render(),
    )
        .into_response()
}

async fn unknown_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no route matches this path")
}

/// axum adds the `Allow` header to this answer.
async fn unknown_method(method: Method) -> Problem {
    let detail = format!("{method} is not among the methods of this path; see the allow header");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
}

fn panicked(payload: Box<dyn Any + Send + 'static>) -> Response {
    counter!("http_panics_total").increment(1);
    let text = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown");
    tracing::error!(panic = text, "a handler panicked");
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a defect of this service",
    )
    .into_response()
}
