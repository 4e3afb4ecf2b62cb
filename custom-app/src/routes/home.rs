//! `GET /`: the console for browsers, text for everybody else.

mod console;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use self::console::CONSOLE;
use super::Busy;

const TEXT: &str = include_str!("home/index.txt");

/// What there is here: the console for who names `text/html` in `accept`, text for everybody else.
#[utoipa::path(
    get, path = "/", operation_id = "home",
    responses(
        (status = OK, description = "The console, or a text", content((String = "text/plain"), (String = "text/html"))),
        Busy,
    )
)]
pub(super) async fn page(headers: HeaderMap) -> Response {
    let (media_type, policy, body) = if wants_html(&headers) {
        ("text/html; charset=utf-8", &CONSOLE.policy, &*CONSOLE.html)
    } else {
        ("text/plain; charset=utf-8", &console::NOTHING, TEXT)
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media_type)),
        (header::VARY, HeaderValue::from_static("accept")),
        // The page and the script in it are one version; after an update nobody has the old one.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::CONTENT_SECURITY_POLICY, policy.clone()),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::REFERRER_POLICY,
            HeaderValue::from_static("no-referrer"),
        ),
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
        .any(accepts_html)
}

/// Whether one media range is `text/html`, and not with the weight 0 that refuses it.
fn accepts_html(range: &str) -> bool {
    let mut parts = range.split(';').map(str::trim);
    let is_html = parts
        .next()
        .is_some_and(|media_type| media_type.eq_ignore_ascii_case("text/html"));
    is_html
        && !parts
            .filter_map(|parameter| parameter.split_once('='))
            .any(|(name, value)| name.eq_ignore_ascii_case("q") && value.parse() == Ok(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepting(ranges: &[&'static str]) -> HeaderMap {
        let pair = |range: &&'static str| (header::ACCEPT, HeaderValue::from_static(range));
        ranges.iter().map(pair).collect()
    }

    #[test]
    fn html_is_for_who_names_it() {
        for ranges in [
            &["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"][..],
            &["application/json , Text/HTML ; q=0.1"],
            &["text/html;level=1"],
            &["application/json", "text/html"],
        ] {
            assert!(wants_html(&accepting(ranges)), "{ranges:?}");
        }
        for ranges in [
            &[][..],
            &["*/*"],
            &["text/*"],
            &["text/html;q=0, */*"],
            &["text/html; Q=0.000"],
            &["text/htmlx", "x;text/html"],
            &[",;=,"],
        ] {
            assert!(!wants_html(&accepting(ranges)), "{ranges:?}");
        }
    }

    #[tokio::test]
    async fn both_forms_are_sent_with_what_protects_them() {
        for (accept, media_type) in [
            ("text/html", "text/html; charset=utf-8"),
            ("*/*", "text/plain; charset=utf-8"),
        ] {
            let response = page(accepting(&[accept])).await;
            let headers = response.headers();
            assert_eq!(headers[header::CONTENT_TYPE], media_type);
            assert_eq!(headers[header::VARY], "accept");
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
            let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none';"), "{policy}");
            assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
        }
    }
}
