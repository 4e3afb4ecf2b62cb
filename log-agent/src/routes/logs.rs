//! `GET /logs`.

use axum::Json;
use axum::extract::State;
use faultline_service::api::Page;
use faultline_service::problem::Problem;
use faultline_service::query::LogQuery;

use crate::store::{Store, StoreError};

/// The entries a query asks for, newest first.
pub(super) async fn page<S: Store>(
    State(store): State<S>,
    query: LogQuery,
) -> Result<Json<Page>, Problem> {
    match store.page(query).await {
        Ok(page) => Ok(Json(page)),
        Err(unknown @ StoreError::Unknown(_)) => Err(Problem::bad_field("after", unknown)),
        Err(error) => Err(error.into()),
    }
}
