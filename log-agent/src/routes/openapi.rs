//! The service's OpenAPI document.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::{log, logs, stream};

/// The document as it is served: the text of [`document`].
pub const SERVED: &str = include_str!("../../../docs/openapi/log-agent.json");

/// What this service alone serves.
#[derive(utoipa::OpenApi)]
#[openapi(paths(log::append, log::newest, logs::page, stream::follow))]
struct Own;

/// The document that the types make.
pub fn document() -> OpenApi {
    faultline_service::openapi::complete(Own::openapi())
}
