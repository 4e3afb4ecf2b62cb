//! `GET /log` and `GET /logs`: the log agent's answers, handed on.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use faultline_service::api::{Newest, Page};
use faultline_service::context::RequestContext;
use faultline_service::openapi::Problems;
use faultline_service::problem::Problem;
use faultline_service::query::LogQuery;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};

use super::App;
use crate::LIMITS;
use crate::log_agent;

/// The entry stored last, asked of the log agent.
#[utoipa::path(
    get, path = "/log", operation_id = "newestEntry",
    responses((status = OK, description = "The entry, or null", body = Newest), NoNewest)
)]
pub(super) async fn newest(
    State(app): State<App>,
    context: RequestContext,
) -> Result<Json<Newest>, Problem> {
    app.log_agent.newest(&context.trace).await.map(Json)
}

/// The entries a query asks for, newest first; asked of the log agent.
///
/// `id` goes with no other condition. Wherever a page ends, `next` goes on from there: give it as
/// `after`, with the same conditions, until it is null. A page may hold fewer entries than `limit`
/// and still have a `next`.
#[utoipa::path(
    get, path = "/logs", operation_id = "listEntries",
    params(LogQuery),
    responses(
        (status = OK, description = "A page", body = Page,
            links(("next" = (operation_id = "listEntries", parameters(("after" = "$response.body#/next")))))),
        NoPage,
    )
)]
pub(super) async fn page(
    State(app): State<App>,
    context: RequestContext,
    query: LogQuery,
) -> Result<Json<Page>, Problem> {
    app.log_agent.page(&query, &context.trace).await.map(Json)
}

fn asking() -> Problems {
    log_agent::failures(Problems::limited().waiting(&LIMITS))
}

struct NoNewest;

impl IntoResponses for NoNewest {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        asking().responses()
    }
}

/// The log agent's word on an `after` that names no place.
const GONE: &str = "00000000-0000-0000-0000-000000000000 is neither the next of a page nor the id of an entry that is there";

struct NoPage;

impl IntoResponses for NoPage {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        asking()
            .refused("limit", LogQuery::parse("limit=0"))
            .with("after", Problem::bad_field("after", GONE))
            .refused("parameter", LogQuery::parse("colour=red"))
            .refused(
                "id-alone",
                LogQuery::parse("id=018f0000-0000-7000-8000-000000000000&level=info"),
            )
            .responses()
    }
}
