//! Any bytes as a configuration.

use faultline_filter_core::{Admission, Config, Pattern, metrics::MAX_OBSERVED, route::MAX_ROUTES};
use serde_json::Value;

/// Reads the bytes as a configuration: it is taken, and then within its limits and of use, or
/// refused with one line that names a key.
pub fn configuration(bytes: &[u8]) {
    let json: Result<Value, _> = serde_json::from_slice(bytes);
    match Config::parse(bytes) {
        Ok(config) => {
            let json = json.expect("what is taken is JSON");
            let routes = json.get("routes").and_then(Value::as_array);
            let routes = routes.expect("a list of routes");
            assert!((1..=MAX_ROUTES).contains(&routes.len()));
            assert!(config.observed.len() <= MAX_OBSERVED);
            for route in routes {
                admits(&config, route);
            }
        }
        Err(error) => {
            let line = error.to_string();
            assert!(
                !error.key.is_empty() && line.starts_with(&error.key),
                "{line}"
            );
            assert!(line.len() < 8 * 1024, "a line of {} bytes", line.len());
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }
}

/// What a route says is what it takes.
fn admits(config: &Config, route: &Value) {
    let text = |key| route.get(key).and_then(Value::as_str);
    let path = text("path").or(text("prefix")).expect("one of the two");
    let found = config.routes.find(path.as_bytes());
    // A prefix may itself hold what no request under it may: half an overlong character.
    let Some(found) = found else {
        assert!(text("path").is_none(), "{path} is not found");
        return;
    };
    assert_eq!(found.pattern.text(), path);
    assert_eq!(
        matches!(found.pattern, Pattern::Prefix(_)),
        text("prefix").is_some()
    );
    let methods = route.get("methods").and_then(Value::as_array);
    let first = methods
        .and_then(|list| list.first())
        .and_then(Value::as_str);
    let admission = config
        .routes
        .admit(Some(path.as_bytes()), || Some(first.unwrap_or("ANY")));
    assert!(matches!(admission, Admission::Allowed(slot) if slot == found.observed));
}
