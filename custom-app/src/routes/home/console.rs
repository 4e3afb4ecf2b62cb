//! The console: one page that carries its style and its script, since the gateway lets nothing
//! else through by which they could come.

use std::sync::LazyLock;

use axum::http::HeaderValue;
use base64::prelude::{BASE64_STANDARD, Engine};
use sha2::{Digest, Sha256};

const PAGE: &str = include_str!("../../../console/index.html");
const STYLE: &str = include_str!("../../../console/console.css");
/// The parts share one module scope, each using those before it.
const SCRIPT: &str = concat!(
    "const POLICY = ",
    include_str!("../../../console/policy.json"),
    ";\n",
    include_str!("../../../console/headers.js"),
    include_str!("../../../console/timeline.js"),
    include_str!("../../../console/draw.js"),
    include_str!("../../../console/console.js"),
);

/// Where the page leaves room for them.
const STYLE_PLACE: &str = "<style></style>";
const SCRIPT_PLACE: &str = r#"<script type="module"></script>"#;

/// The policy of an answer in which nothing is to be run, loaded or framed.
pub(super) static NOTHING: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");

/// The console, put together at its first use.
pub(super) static CONSOLE: LazyLock<Console> = LazyLock::new(Console::new);

/// The page as it is sent.
pub(super) struct Console {
    /// The whole page.
    pub(super) html: String,
    /// Its Content-Security-Policy: this style, this script, calls to where it came from, and
    /// nothing else. No text may become HTML (trusted types).
    pub(super) policy: HeaderValue,
}

impl Console {
    fn new() -> Self {
        let html = PAGE
            .replacen(STYLE_PLACE, &format!("<style>{STYLE}</style>"), 1)
            .replacen(
                SCRIPT_PLACE,
                &format!(r#"<script type="module">{SCRIPT}</script>"#),
                1,
            );
        let policy = format!(
            "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
             require-trusted-types-for 'script'; trusted-types 'none'",
            source(SCRIPT),
            source(STYLE),
        );
        // A policy is ASCII without control characters, so it is a header.
        let policy = HeaderValue::try_from(policy).unwrap_or_else(|_| NOTHING.clone());
        Self { html, policy }
    }
}

/// A hash source: exactly this text may stand inline.
fn source(text: &str) -> String {
    format!("sha256-{}", BASE64_STANDARD.encode(Sha256::digest(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const POLICY: &str = include_str!("../../../console/policy.json");

    /// What stands between two marks that are there exactly once.
    fn between<'a>(text: &'a str, open: &str, close: &str) -> &'a str {
        assert_eq!(text.matches(open).count(), 1, "{open}");
        assert_eq!(text.matches(close).count(), 1, "{close}");
        text.split_once(open)
            .unwrap()
            .1
            .split_once(close)
            .unwrap()
            .0
    }

    #[test]
    fn the_policy_allows_exactly_what_stands_in_the_page() {
        let Console { html, policy } = &*CONSOLE;
        let policy = policy.to_str().unwrap();
        let style = between(html, "<style>", "</style>");
        let script = between(html, r#"<script type="module">"#, "</script>");
        assert!(style.len() > 1000 && script.len() > 1000);
        for directive in [
            format!("style-src '{}'", source(style)),
            format!("script-src '{}'", source(script)),
        ] {
            assert!(policy.contains(&directive), "{directive} in {policy}");
        }
        // Either would end the script for a browser, or hide its end.
        assert!(!SCRIPT.contains("<!--") && !SCRIPT.contains("<script"));
        // The hash of the specification's own example.
        assert_eq!(
            source("alert('Hello, world.');"),
            "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng="
        );
    }

    #[test]
    fn the_page_needs_nothing_else() {
        for reference in [
            " style=",
            " onclick=",
            "src=",
            "http://",
            "https://",
            "@import",
            "url(",
        ] {
            let found = CONSOLE.html.replace("http://www.w3.org/2000/svg", "");
            assert!(!found.contains(reference), "{reference}");
        }
    }

    /// What a resource of the mesh says at a path of its YAML.
    fn istio(file: &str, path: &str) -> Value {
        let file = format!("{}/../istio/{file}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&file).unwrap();
        let resource: Value = serde_saphyr::from_str(&text).unwrap();
        resource
            .pointer(path)
            .unwrap_or_else(|| panic!("no {path} in {file}"))
            .clone()
    }

    fn milliseconds(duration: &Value) -> Value {
        let duration = faultline_service::startup::duration(duration.as_str().unwrap()).unwrap();
        json!(u64::try_from(duration.as_millis()).unwrap())
    }

    #[test]
    fn the_page_explains_the_policy_that_is_deployed() {
        let policy: Value = serde_json::from_str(POLICY).unwrap();
        let routes = istio("virtualservice.yaml", "/spec/http");
        let route = routes
            .as_array()
            .unwrap()
            .iter()
            .find(|route| route["name"] == "log");
        let route = route.unwrap();
        let pool = istio("destinationrule.yaml", "/spec/trafficPolicy/connectionPool");
        let delay = istio(
            "log-virtualservice.yaml",
            "/spec/http/0/fault/delay/fixedDelay",
        );
        let deployed = json!({
            "timeout": milliseconds(&route["timeout"]),
            "retries": route["retries"]["attempts"],
            "perTry": milliseconds(&route["retries"]["perTryTimeout"]),
            "delay": milliseconds(&delay),
            "connections": pool["tcp"]["maxConnections"],
            "waiting": pool["http"]["http1MaxPendingRequests"],
        });
        assert_eq!(policy, deployed);
    }

    #[test]
    fn the_page_is_small() {
        assert!(CONSOLE.html.len() <= 40 * 1024, "{}", CONSOLE.html.len());
    }
}
