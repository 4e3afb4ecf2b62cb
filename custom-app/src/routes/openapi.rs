//! The service's OpenAPI document.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::{home, log, logs, status};

/// The document as it is served: the text of [`document`].
pub const SERVED: &str = include_str!("../../../docs/openapi/custom-app.json");

/// What this service alone serves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(home::page, status::status, log::append, logs::newest, logs::page))]
struct Own;

/// The document that the types make.
pub fn document() -> OpenApi {
    faultline_service::openapi::complete(Own::openapi())
}
