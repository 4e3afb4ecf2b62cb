//! Any table of routes and any paths, against the model.

use crate::model::{Decision, decide};
use arbitrary::{Arbitrary, Unstructured};
use faultline_filter_core::{Admission, Methods, Pattern, Route, RouteTable, path};
use std::borrow::Cow;

/// Builds a table and asks it for paths: it decides as the model does.
pub fn matching(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let count = input.int_in_range(0..=12).unwrap_or(0);
    let routes: Vec<Route> = (0..count).filter_map(|_| route(&mut input)).collect();
    let Ok(table) = RouteTable::new(routes.clone()) else {
        return;
    };
    let check = |target: &[u8], method: Option<&[u8]>| {
        let decision = match table.admit(Some(target), || method) {
            Admission::Allowed(_) => Decision::Allowed,
            Admission::MethodNotAllowed(_) => Decision::MethodNotAllowed,
            Admission::Unknown => Decision::Unknown,
        };
        assert_eq!(
            decision,
            decide(&routes, target, method),
            "{} of {}",
            method.unwrap_or(b"(none)").escape_ascii(),
            target.escape_ascii()
        );
    };
    while !input.is_empty() {
        let Ok(method) = input.choose(&[None, Some("GET"), Some("HEAD"), Some("POST"), Some("")])
        else {
            break;
        };
        let method = method.map(str::as_bytes);
        let target = target(&mut input);
        check(&target, method);
        // Paths that match are rare by chance: below each route's own text, too.
        for route in &routes {
            let text = route.pattern.text().as_bytes();
            check(text, method);
            check(&[text, &target].concat(), method);
        }
    }
}

/// A route as a configuration may hold it.
fn route(input: &mut Unstructured<'_>) -> Option<Route<'static>> {
    let mut text = String::new();
    for _ in 0..input.int_in_range(0..=3).ok()? {
        text.push('/');
        text.push_str(
            input
                .choose(&["a", "b", "ab", "a.b", "...", "%C3%A9", "a:b"])
                .ok()?,
        );
    }
    let pattern = match bool::arbitrary(input).ok()? {
        true => Pattern::Prefix((text + "/").into()),
        false if text.is_empty() => Pattern::Exact("/".into()),
        false => Pattern::Exact(text.into()),
    };
    assert_eq!(path::configured_problem(pattern.text()), None);
    let methods: [Option<&[&str]>; 4] = [
        None,
        Some(&["GET"]),
        Some(&["POST"]),
        Some(&["GET", "POST"]),
    ];
    let methods = input.choose(&methods).ok()?;
    Some(Route {
        pattern,
        methods: methods.map(|names| Cow::Owned(Methods::new(names.iter().copied()))),
        observed: None,
    })
}

/// A target of the pieces that matter, or of any bytes.
fn target(input: &mut Unstructured<'_>) -> Vec<u8> {
    const PIECES: [&str; 30] = [
        "/", "//", "a", "b", "ab", ".", "..", ";", "%", "2", "e", "f", "\\", "?", "#", "%2e",
        "%2F", "%25", "%00", "%5c", "%c0%ae", "%C3%A9", "\0", "é", "%e0", "%80", "%f0", "%9f",
        "\x7f", " ",
    ];
    let length = input.int_in_range(0..=8).unwrap_or(0);
    if input.ratio(1, 4).unwrap_or(false) {
        return input
            .bytes(length.min(input.len()))
            .unwrap_or_default()
            .to_vec();
    }
    (0..length)
        .filter_map(|_| input.choose(&PIECES).ok())
        .flat_map(|piece| piece.bytes())
        .collect()
}
