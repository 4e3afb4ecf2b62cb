//! Any table of routes and any paths, against the model.

use crate::model::{Decision, are_equal, decide};
use arbitrary::Unstructured;
use faultline_filter_core::{Admission, Cors, Methods, Pattern, Route, RouteTable, path, template};
use std::borrow::Cow;

/// Builds a table and asks it for paths: it decides as the model does.
pub fn matching(bytes: &[u8]) {
    let mut input = Unstructured::new(bytes);
    let count = input.int_in_range(0..=12).unwrap_or(0);
    let routes: Vec<Route> = (0..count).filter_map(|_| route(&mut input)).collect();
    let table = match RouteTable::new(routes.clone()) {
        Ok(table) => table,
        Err(pair) => {
            let at = |place: usize| &routes.get(place).expect("a place of a route").pattern;
            assert!(pair.first < pair.second && are_equal(at(pair.first), at(pair.second)));
            return;
        }
    };
    let mut pairs = (0..routes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
    let equal = pairs.find(|(a, b)| match (routes.get(*a), routes.get(*b)) {
        (Some(a), Some(b)) => are_equal(&a.pattern, &b.pattern),
        _ => false,
    });
    assert_eq!(equal, None, "two equal routes are taken");
    let check = |target: &[u8], method: Option<&[u8]>| {
        let header = |name: &str| match name {
            ":path" => Some(target),
            ":method" => method,
            _ => None,
        };
        let decision = match table.admit(header) {
            Admission::OtherHost => panic!("a table knows no hosts"),
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
                .choose(&["a", "b", "ab", "a.b", "...", "%C3%A9", "a:b", "{x}", "{y}"])
                .ok()?,
        );
    }
    if text.is_empty() || input.arbitrary().ok()? {
        text.push('/');
    }
    let problem = path::configured_problem(&text);
    let pattern = match (template::is_template(&text), text.ends_with('/')) {
        (true, _) => {
            assert_eq!(template::configured_problem(&text), None);
            assert!(problem.is_some(), "{text} is a template only");
            Pattern::Template(text.into())
        }
        (false, true) if input.arbitrary().ok()? => Pattern::Prefix(text.into()),
        (false, _) => Pattern::Exact(text.into()),
    };
    assert!(problem.is_none() || matches!(pattern, Pattern::Template(_)));
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
        cors: Cors::Guard,
        observed: None,
    })
}

/// A target of the pieces that matter, or of any bytes.
fn target(input: &mut Unstructured<'_>) -> Vec<u8> {
    const PIECES: [&str; 32] = [
        "{x}", "/a/", "/", "//", "a", "b", "ab", ".", "..", ";", "%", "2", "e", "f", "\\", "?",
        "#", "%2e", "%2F", "%25", "%00", "%5c", "%c0%ae", "%C3%A9", "\0", "é", "%e0", "%80", "%f0",
        "%9f", "\x7f", " ",
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
