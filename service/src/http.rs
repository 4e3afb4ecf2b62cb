//! What every route of both services needs, around a service's own routes.

use std::any::Any;
use std::collections::BTreeMap;

use axum::extract::{DefaultBodyLimit, State};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::{Method, StatusCode, header};
use metrics::counter;
use serde::Serialize;
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::openapi::{RefOr, Response as Documented};
use utoipa::{IntoResponses, ToSchema};

use crate::access_log;
use crate::health::Health;
use crate::limits::{self, Guard, Limits};
use crate::metrics::Metrics;
use crate::openapi::Problems;
use crate::problem::Problem;

/// A service's routes within limits, beside `/healthz`, `/readyz`, `/metrics` and `/openapi.json`;
/// every error is a problem, every request is recorded.
pub fn service(
    routes: Router,
    document: &'static str,
    limits: &Limits,
    health: Health,
    metrics: Metrics,
) -> Router {
    let guard = Guard::new(limits);
    let limited = routes
        .layer(DefaultBodyLimit::max(limits.body_bytes))
        .layer(Extension(*limits))
        .layer(from_fn_with_state(guard, limits::enforce));
    Router::new()
        .route("/healthz", get(live))
        .route("/readyz", get(ready))
        .with_state(health)
        .route("/metrics", get(render).with_state(metrics))
        .route("/openapi.json", get(describe).with_state(document))
        .merge(limited)
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(access_log::observe))
}

/// How a service is that can do its work.
#[derive(Serialize, ToSchema)]
pub(crate) struct Fitness {
    status: FitnessStatus,
    /// The parts that are broken and leave the service ready, each with the reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(required = false)]
    impaired: BTreeMap<&'static str, String>,
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FitnessStatus {
    /// Everything works.
    Ok,
    /// A part is broken that only some requests need.
    Impaired,
}

impl From<BTreeMap<&'static str, String>> for Fitness {
    fn from(impaired: BTreeMap<&'static str, String>) -> Self {
        let status = if impaired.is_empty() {
            FitnessStatus::Ok
        } else {
            FitnessStatus::Impaired
        };
        Self { status, impaired }
    }
}

/// Whether every task runs that the service cannot do without.
#[utoipa::path(
    get, path = "/healthz", operation_id = "live",
    responses((status = OK, description = "Alive", body = Fitness), Dead)
)]
pub(crate) async fn live(State(health): State<Health>) -> Result<Json<Fitness>, Problem> {
    health.live().map_err(unfit)?;
    Ok(Json(BTreeMap::new().into()))
}

struct Dead;

impl IntoResponses for Dead {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        Problems::default()
            .with("stopped", unfit("store has stopped".to_owned()))
            .responses()
    }
}

/// Whether requests should come here.
#[utoipa::path(
    get, path = "/readyz", operation_id = "ready",
    responses((status = OK, description = "Ready", body = Fitness), NotReady)
)]
pub(crate) async fn ready(State(health): State<Health>) -> Result<Json<Fitness>, Problem> {
    health.publish();
    health.ready().map_err(unfit)?;
    Ok(Json(health.impaired().into()))
}

struct NotReady;

impl IntoResponses for NotReady {
    fn responses() -> BTreeMap<String, RefOr<Documented>> {
        Problems::default()
            .with("draining", unfit("draining".to_owned()))
            .responses()
    }
}

fn unfit(reason: String) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason)
}

/// What the service measures, in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics",
    responses((status = OK, description = "The metrics", body = String, content_type = "text/plain"))
)]
pub(crate) async fn render(State(metrics): State<Metrics>) -> Response {
    (
        [(
            header::CONTENT_TYPE,
            "text/plain; version=0.0.4; charset=utf-8",
        )],
        metrics.render(),
    )
        .into_response()
}

/// This document.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "describe",
    responses((status = OK, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
pub(crate) async fn describe(State(document): State<&'static str>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document).into_response()
}

async fn unknown_path() -> Problem {
    no_such_path()
}

pub(crate) fn no_such_path() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no route matches this path")
}

/// axum adds the `Allow` header to this answer.
async fn unknown_method(method: Method) -> Problem {
    no_such_method(&method)
}

pub(crate) fn no_such_method(method: &Method) -> Problem {
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
    defect().into_response()
}

pub(crate) fn defect() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "a defect of this service",
    )
}
