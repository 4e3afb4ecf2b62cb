//! `GET /`: a page for browsers, text for everybody else.

use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

const HTML: &str = include_str!("home.html");
const TEXT: &str = include_str!("home.txt");

/// What there is here.
pub(super) async fn page(headers: HeaderMap) -> Response {
    let (media_type, body) = if wants_html(&headers) {
        ("text/html; charset=utf-8", HTML)
    } else {
        ("text/plain; charset=utf-8", TEXT)
    };
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::VARY, "accept"),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, body).into_response()
}

/// Browsers ask for HTML by name; who takes anything gets what reads well on a terminal.
fn wants_html(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|range| range.split(';').next())
        .any(|media_type| media_type.trim().eq_ignore_ascii_case("text/html"))
}
