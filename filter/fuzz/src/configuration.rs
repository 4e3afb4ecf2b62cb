//! Any bytes as a configuration.

use faultline_filter_core::{
    Admission, Config, Pattern, metrics::MAX_OBSERVED, route::MAX_ROUTES, template,
};
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

/// A route is found by its own text, and takes its first method, if no route before it does.
fn admits(config: &Config, route: &Value) {
    let text = |key| route.get(key).and_then(Value::as_str);
    let path = text("path").or(text("prefix")).expect("one of the two");
    let found = config.routes.find(path.as_bytes());
    // A prefix, or a template's literal, may itself hold what no request under it may: half an
    // overlong character.
    let Some(found) = found else {
        let is_exact = text("path").is_some_and(|path| !template::is_template(path));
        assert!(!is_exact, "{path} is not found");
        return;
    };
    match &found.pattern {
        Pattern::Exact(exact) if exact == path => {}
        // A template's own text is a path, too, that another template may take before it.
        Pattern::Template(_) => return,
        Pattern::Prefix(prefix) if prefix == path => {}
        other => panic!("{path} is taken by {other:?}"),
    }
    if text("prefix").is_some() && matches!(found.pattern, Pattern::Exact(_)) {
        return;
    }
    let methods = route.get("methods").and_then(Value::as_array);
    let first = methods
        .and_then(|list| list.first())
        .and_then(Value::as_str);
    let admission = config.routes.admit(|name| match name {
        ":path" => Some(path.as_bytes()),
        ":method" => Some(first.unwrap_or("ANY").as_bytes()),
        _ => None,
    });
    assert!(matches!(admission, Admission::Allowed(observed) if observed == found.observed));
}
