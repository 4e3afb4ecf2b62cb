//! Properties: nothing panics on any bytes, and every decision is the one a plain model makes.
#![cfg(not(target_arch = "wasm32"))]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failure here is the test failing"
)]

use core::time::Duration;
use faultline_filter_core::{
    Admission, Config, Cors, Flags, Hosts, Methods, Name, Origin, Outcome, Pattern, Report, Route,
    RouteTable, annotate, flags, metrics, outcome, path,
};
use proptest::prelude::*;
use sfv::{BareItem, List, ListEntry, Parser};
use std::borrow::Cow;

/// Paths made of the pieces that matter, so that matches and near misses are common.
fn paths() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "/", "a", "b", "ab", ".", "..", ";", "%", "2", "e", "f", "\\", "?", "#", "%2e", "%2F",
        "%25", "%00", "%5c", "%c0%ae", "%C3%A9", "\0", "é",
    ]);
    prop_oneof![
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..40),
    ]
}

/// What a pattern says, read slowly: decode, look for anything that could mean another path.
fn model_matches(pattern: &Pattern, path: &[u8]) -> bool {
    match pattern {
        Pattern::Exact(exact) => exact.as_bytes() == path,
        Pattern::Template(template) => {
            let asked: Vec<_> = path.split(|byte| *byte == b'/').collect();
            let written: Vec<_> = template.split('/').collect();
            let fits = |(written, asked): (&&str, &&[u8])| match written.starts_with('{') {
                true => !asked.is_empty(),
                false => written.as_bytes() == *asked,
            };
            written.len() == asked.len()
                && written.iter().zip(&asked).all(fits)
                && model_unambiguous(path)
        }
        Pattern::Prefix(prefix) => path.starts_with(prefix.as_bytes()) && model_unambiguous(path),
    }
}

/// What comes first of the routes that match a path.
fn model_precedence(pattern: &Pattern) -> (u8, Vec<bool>, usize) {
    match pattern {
        Pattern::Exact(_) => (0, vec![], 0),
        Pattern::Template(template) => {
            let is_parameter = |segment: &str| segment.starts_with('{');
            (1, template.split('/').map(is_parameter).collect(), 0)
        }
        Pattern::Prefix(prefix) => (2, vec![], usize::MAX - prefix.len()),
    }
}

/// A pattern without what makes no difference: the names of its parameters.
fn model_shape(pattern: &Pattern) -> (u8, Vec<String>) {
    let nameless = |segment: &str| match segment.starts_with('{') {
        true => "{}".to_owned(),
        false => segment.to_owned(),
    };
    let segments = pattern.text().split('/').map(nameless).collect();
    (model_precedence(pattern).0, segments)
}

fn model_unambiguous(path: &[u8]) -> bool {
    let mut decoded = Vec::new();
    let mut index = 0;
    while index < path.len() {
        if path[index] == b'%' {
            let digits = path.get(index + 1..index + 3).unwrap_or_default();
            if digits.len() < 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
                return false;
            }
            let byte = u8::from_str_radix(str::from_utf8(digits).unwrap(), 16).unwrap();
            if b"./%?".contains(&byte) {
                return false;
            }
            decoded.push(byte);
            index += 3;
        } else {
            decoded.push(path[index]);
            index += 1;
        }
    }
    if decoded
        .iter()
        .any(|b| b.is_ascii_control() || b"\\;#".contains(b))
    {
        return false;
    }
    if decoded
        .iter()
        .any(|b| [0xc0, 0xc1].contains(b) || *b >= 0xf5)
    {
        return false;
    }
    if decoded.windows(2).any(|pair| {
        (pair[0] == 0xe0 && (0x80..0xa0).contains(&pair[1]))
            || (pair[0] == 0xf0 && (0x80..0x90).contains(&pair[1]))
    }) {
        return false;
    }
    let text = String::from_utf8_lossy(path);
    !text.contains("//")
        && !text
            .split('/')
            .any(|segment| segment == "." || segment == "..")
}

fn routes() -> impl Strategy<Value = Vec<Route<'static>>> {
    let segment = prop::sample::select(vec!["a", "b", "ab", "a.b", "%C3%A9", "{x}", "{y}"]);
    let route = (
        prop::collection::vec(segment, 0..3),
        any::<bool>(),
        prop::option::of(prop::sample::subsequence(
            vec!["GET", "POST", "HEAD"],
            1..=3,
        )),
    );
    let route = route.prop_map(|(segments, is_prefix, methods)| {
        let exact = format!("/{}", segments.join("/"));
        let pattern = if exact.contains('{') {
            Pattern::Template(exact.into())
        } else if !is_prefix {
            Pattern::Exact(exact.into())
        } else if segments.is_empty() {
            Pattern::Prefix(exact.into())
        } else {
            Pattern::Prefix((exact + "/").into())
        };
        let methods = methods.map(|names| Cow::Owned(Methods::new(names)));
        Route {
            pattern,
            methods,
            cors: Cors::Guard,
            observed: None,
        }
    });
    prop::collection::vec(route, 0..12)
}

fn reports() -> impl Strategy<Value = Report> {
    let origin = prop_oneof![Just(Origin::Upstream), Just(Origin::Proxy)];
    let elapsed = prop::option::of(any::<u64>().prop_map(Duration::from_nanos));
    (
        any::<u64>(),
        any::<Option<u16>>(),
        origin,
        any::<Option<u64>>(),
        elapsed,
    )
        .prop_map(|(bits, status, origin, attempts, elapsed)| Report {
            flags: Flags(bits),
            status,
            origin,
            attempts,
            elapsed,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_make_a_configuration_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Config::parse(&bytes);
    }

    #[test]
    fn no_bytes_make_a_property_panic(bytes in prop::collection::vec(any::<u8>(), 0..20)) {
        let expected = (bytes.len() <= 8).then(|| {
            bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
        });
        prop_assert_eq!(flags::little_endian(&bytes), expected);
        let _ = Flags::from_property(Some(&bytes)).names().count();
        let _ = Origin::from_details(Some(&bytes));
    }

    #[test]
    fn ambiguity_is_what_the_model_says(tail in paths()) {
        let path = [b"/".as_slice(), &tail].concat();
        prop_assert_eq!(path::is_unambiguous(&path), model_unambiguous(&path));
    }

    /// What may be configured may also be requested.
    #[test]
    fn a_configured_path_is_unambiguous(path in "/[a-z0-9/.%;-]{0,12}") {
        if path::configured_problem(&path).is_none() && !path.contains("%e0") && !path.contains("%f0") {
            prop_assert!(path::is_unambiguous(path.as_bytes()));
        }
    }

    #[test]
    fn the_table_decides_as_a_list_would(
        routes in routes(),
        targets in prop::collection::vec(paths(), 1..20),
        method in prop::option::of(prop::sample::select(vec!["GET", "HEAD", "POST", "", "get"])),
    ) {
        let Ok(table) = RouteTable::new(routes.clone()) else { return Ok(()) };
        // Paths that match are rare by chance: each route's own text, and below it, too.
        let own = routes.iter().map(|route| route.pattern.text().as_bytes().to_vec());
        let below = routes.iter().map(|route| format!("{}x?y", route.pattern.text()).into_bytes());
        for target in targets.iter().cloned().chain(own).chain(below) {
            let path = target.split(|b| *b == b'?').next().unwrap();
            let matching = routes.iter().filter(|route| model_matches(&route.pattern, path));
            let taker = matching.min_by_key(|route| model_precedence(&route.pattern));
            let expected = match taker {
                None => Admission::Unknown,
                Some(Route { methods: Some(methods), .. })
                    if !method.is_some_and(|m| methods.allow().split(", ").any(|one| one == m)) =>
                {
                    Admission::MethodNotAllowed(methods)
                }
                Some(_) => Admission::Allowed(None),
            };
            let admission = table.admit(|name| match name {
                ":path" => Some(&*target),
                ":method" => method.map(str::as_bytes),
                _ => None,
            });
            prop_assert_eq!(admission, expected);
        }
    }

    /// A table is refused exactly when two of its routes are equal.
    #[test]
    fn equal_routes_are_what_the_model_says(routes in routes()) {
        let shapes: Vec<_> = routes.iter().map(|route| model_shape(&route.pattern)).collect();
        let mut pairs = (0..routes.len()).flat_map(|b| (0..b).map(move |a| (a, b)));
        let expected = pairs.any(|(a, b)| shapes[a] == shapes[b]);
        match RouteTable::new(routes) {
            Ok(_) => prop_assert!(!expected),
            Err(pair) => {
                prop_assert!(pair.first < pair.second);
                prop_assert_eq!(&shapes[pair.first], &shapes[pair.second]);
            }
        }
    }

    #[test]
    fn a_host_is_guarded_as_the_model_says(
        names in prop::collection::btree_set(prop::sample::select(vec!["a.b", "*.a.b", "b", "*.b", "[::1]"]), 1..4),
        label in prop::sample::select(vec!["a.b", "A.B", "x.a.b", "x.y.a.b", "b", "a", ".b", "[::1]", "", "xb", "x.a.b.c"]),
        dot in prop::sample::select(vec!["", "."]),
        port in prop::sample::select(vec!["", ":", ":80", ":8o", ":80:80"]),
    ) {
        let mut hosts = Hosts::default();
        names.iter().for_each(|name| hosts.add(name).unwrap());
        let host = label.to_lowercase();
        let matches = |name: &&str| match name.strip_prefix('*') {
            Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
            None => host == *name,
        };
        // All behind the last colon is the port, whatever it is, as it is to Envoy.
        let expected = names.iter().any(matches) && port != ":80:80";
        let authority = format!("{label}{dot}{port}");
        prop_assert_eq!(hosts.contains_by(|| Some(authority.as_bytes())), expected, "{}", authority);
    }

    #[test]
    fn no_authority_panics(authority in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut hosts = Hosts::default();
        hosts.add("*.a").unwrap();
        let _ = hosts.contains_by(|| Some(&*authority));
    }

    #[test]
    fn the_first_flag_in_the_precedence_decides(bits in any::<u64>(), status in any::<Option<u16>>()) {
        let by_flag = outcome::PRECEDENCE.iter().filter(|(any, _)| bits & any.0 != 0).map(|(_, o)| *o).next();
        let by_status = match status.unwrap_or(0) {
            0 => Outcome::ClientGone,
            n if n < 400 => Outcome::Ok,
            n if n < 500 => Outcome::ClientError,
            _ => Outcome::UpstreamError,
        };
        prop_assert_eq!(Outcome::of(Flags(bits), status), by_flag.unwrap_or(by_status));
    }

    #[test]
    fn proxy_status_parses_back(report in reports()) {
        let text = report.proxy_status(&Name::default());
        let list: List = Parser::new(&text).parse().unwrap();
        prop_assert_eq!(list.len(), 1);
        let ListEntry::Item(item) = &list[0] else { panic!("not an item") };
        prop_assert_eq!(item.bare_item.as_token().unwrap().as_str(), "faultline");
        let details = item.params.get("details").and_then(BareItem::as_string).unwrap();
        let outcome = format!("outcome={}", report.outcome().name());
        prop_assert!(details.as_str().starts_with(&outcome));
        let error = item.params.get("error").and_then(BareItem::as_token).map(|token| token.as_str());
        prop_assert_eq!(error, report.error());
        let received = item.params.get("received-status").and_then(BareItem::as_integer).map(i64::from);
        let upstream = (report.origin == Origin::Upstream).then_some(report.status).flatten();
        prop_assert_eq!(received, upstream.map(i64::from));
    }

    #[test]
    fn server_timing_is_well_formed(report in reports()) {
        let text = report.server_timing(&Name::default());
        let mut metrics = text.split(", ");
        let mut parts = metrics.next().unwrap().split(';');
        prop_assert_eq!(parts.next(), Some("faultline"));
        if let Some(elapsed) = report.elapsed {
            let dur: f64 = parts.next().unwrap().strip_prefix("dur=").unwrap().parse().unwrap();
            let exact = elapsed.as_nanos() as f64 / 1e6;
            // Tenths of a millisecond, rounded down; floating point adds its own share.
            prop_assert!((exact - dur).abs() <= 0.1 + exact * 1e-12, "{} {}", exact, dur);
        }
        prop_assert_eq!(parts.next().unwrap(), format!("desc=\"{}\"", report.outcome().name()));
        let attempts = report.attempts.map(|n| format!("attempts;desc=\"{n}\""));
        prop_assert_eq!(metrics.next(), attempts.as_deref());
        prop_assert_eq!(metrics.next(), None);
    }

    #[test]
    fn any_text_is_a_structured_field_string_when_quoted(text in any::<String>()) {
        let mut quoted = String::new();
        annotate::push_quoted(&mut quoted, &text);
        let item: sfv::Item = Parser::new(&quoted).parse().unwrap();
        let expected: String =
            text.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect();
        prop_assert_eq!(item.bare_item.as_string().unwrap().as_str(), expected);
    }

    #[test]
    fn a_route_name_is_safe_in_any_metric(name in any::<String>()) {
        let safe = name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'));
        prop_assert_eq!(metrics::is_route_name(&name), safe && (1..=32).contains(&name.len()));
    }
}
