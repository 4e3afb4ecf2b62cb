//! `GET /log` and `GET /logs`: the log agent's answers, handed on.

use axum::Json;
use axum::extract::State;
use faultline_service::api::{Newest, Page};
use faultline_service::context::RequestContext;
use faultline_service::problem::Problem;
use faultline_service::query::LogQuery;

use super::App;

/// The entry stored last.
pub(super) async fn newest(
    State(app): State<App>,
    context: RequestContext,
) -> Result<Json<Newest>, Problem> {
    app.log_agent.newest(&context.trace).await.map(Json)
}

/// The entries a query asks for, newest first.
pub(super) async fn page(
    State(app): State<App>,
    context: RequestContext,
    query: LogQuery,
) -> Result<Json<Page>, Problem> {
    app.log_agent.page(&query, &context.trace).await.map(Json)
}
