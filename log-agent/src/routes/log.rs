//! `POST /log` and `GET /log`.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use faultline_service::api::{Newest, Receipts};
use faultline_service::body::JsonBody;
use faultline_service::entry::Entry;
use faultline_service::openapi::Problems;
use faultline_service::problem::Problem;
use utoipa::openapi::{ArrayBuilder, OneOfBuilder, Ref, RefOr, Response, Schema};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::LIMITS;
use crate::store::{Store, StoreError};

/// What is sent: one entry or an array of at least one.
struct Sent(Vec<Entry>);

impl TryFrom<JsonBody> for Sent {
    type Error = Problem;

    fn try_from(body: JsonBody) -> Result<Self, Problem> {
        let entries: Vec<Entry> = if body.is_array() {
            body.parse()?
        } else {
            vec![body.parse_object()?]
        };
        if entries.is_empty() {
            let detail = "the array holds no entry; send at least one";
            return Err(Problem::new(StatusCode::BAD_REQUEST, detail));
        }
        Ok(Self(entries))
    }
}

impl ToSchema for Sent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Entry::name().into(), Entry::schema()));
        Entry::schemas(schemas);
    }
}

impl PartialSchema for Sent {
    fn schema() -> RefOr<Schema> {
        let entry = || Ref::from_schema_name(Entry::name());
        let array = ArrayBuilder::new().items(entry()).min_items(Some(1));
        OneOfBuilder::new().item(entry()).item(array).into()
    }
}

/// Stores one entry or an array of them, whole or not at all.
///
/// The answer says of each entry, in the order sent, whether it was new. Fields that are not known
/// are ignored.
#[utoipa::path(
    post, path = "/log", operation_id = "appendEntries",
    request_body = inline(Sent),
    responses((status = CREATED, description = "They are on disk", body = Receipts), NotAppended)
)]
pub(super) async fn append<S: Store>(
    State(store): State<S>,
    body: JsonBody,
) -> Result<(StatusCode, Json<Receipts>), Problem> {
    // The entries may wait for the disk; the body's bytes end here.
    let Sent(entries) = body.try_into()?;
    let entries = store.append(entries).await?;
    Ok((StatusCode::CREATED, Json(Receipts { entries })))
}

/// The entry stored last.
#[utoipa::path(
    get, path = "/log", operation_id = "newestEntry",
    responses((status = OK, description = "The entry, or null", body = Newest), NoNewest)
)]
pub(super) async fn newest<S: Store>(State(store): State<S>) -> Result<Json<Newest>, Problem> {
    let entry = store.newest().await?;
    Ok(Json(Newest { entry }))
}

struct NotAppended;

impl IntoResponses for NotAppended {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let sent = |text| Sent::try_from(JsonBody::from(text));
        let level = r#"[{"id":"018f0000-0000-7000-8000-000000000000","time":"2026-11-22T12:00:00Z","level":"loud"}]"#;
        Problems::limited()
            .reading(&LIMITS)
            .waiting(&LIMITS)
            .refused("level", sent(level))
            .refused("id", sent("{}"))
            .refused("no-entry", sent("[]"))
            .with("unwritable", StoreError::Unwritable(String::new()).into())
            .with("away", StoreError::Away(String::new()).into())
            .with("unsettled", StoreError::Unsettled(String::new()).into())
            .with("full", StoreError::Full.into())
            .responses()
    }
}

struct NoNewest;

impl IntoResponses for NoNewest {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        super::reading().responses()
    }
}
