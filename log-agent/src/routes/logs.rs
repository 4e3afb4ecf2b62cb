//! `GET /logs`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use faultline_service::api::Page;
use faultline_service::problem::Problem;
use faultline_service::query::LogQuery;
use utoipa::IntoResponses;
use utoipa::openapi::{RefOr, Response};
use uuid::Uuid;

use crate::store::{Store, StoreError};

/// The entries a query asks for, newest first.
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
pub(super) async fn page<S: Store>(
    State(store): State<S>,
    query: LogQuery,
) -> Result<Json<Page>, Problem> {
    store.page(query).await.map(Json).map_err(no_page)
}

fn no_page(error: StoreError) -> Problem {
    match error {
        StoreError::Unknown(_) => Problem::bad_field("after", error),
        error => error.into(),
    }
}

struct NoPage;

impl IntoResponses for NoPage {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let gone = "018f0000-0000-7000-8000-000000000000";
        super::reading()
            .refused("limit", LogQuery::parse("limit=0"))
            .refused("parameter", LogQuery::parse("colour=red"))
            .refused(
                "id-alone",
                LogQuery::parse(&format!("id={gone}&level=info")),
            )
            .with("after", no_page(StoreError::Unknown(Uuid::nil().into())))
            .with("searches", no_page(StoreError::Busy))
            .responses()
    }
}
