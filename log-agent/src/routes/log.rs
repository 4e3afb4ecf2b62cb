//! `POST /log` and `GET /log`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use faultline_service::api::{Newest, Receipts};
use faultline_service::body::JsonBody;
use faultline_service::entry::Entry;
use faultline_service::problem::Problem;

use crate::store::Store;

/// Stores one entry or an array of them, whole.
pub(super) async fn append<S: Store>(
    State(store): State<S>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Receipts>), Problem> {
    let entries: Vec<Entry> = if body.is_array() {
        body.parse()?
    } else {
        vec![body.parse_object()?]
    };
    if entries.is_empty() {
        let detail = "the array holds no entry; send at least one";
        return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
    }
    // The entries may wait for the disk; their bytes need not.
    drop(body);
    let entries = store.append(entries).await?;
    Ok((StatusCode::CREATED, Json(Receipts { entries })))
}

/// The entry stored last.
pub(super) async fn newest<S: Store>(State(store): State<S>) -> Result<Json<Newest>, Problem> {
    let entry = store.newest().await?;
    Ok(Json(Newest { entry }))
}
