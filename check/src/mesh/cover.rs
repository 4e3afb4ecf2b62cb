//! Which match covers another: whatever the narrow one takes, the wide one takes too.

use crate::model::{At, Case, HttpMatch, TextMatch};

/// True where every request that `narrow` takes is one that `wide` takes. In doubt false.
#[must_use]
pub fn covers(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    uri(wide, narrow)
        && text(wide.method.as_ref(), narrow.method.as_ref())
        && text(wide.scheme.as_ref(), narrow.scheme.as_ref())
        && text(wide.authority.as_ref(), narrow.authority.as_ref())
        && named(&wide.headers, &narrow.headers)
        && named(&wide.query, &narrow.query)
        && without(wide, narrow)
        && equal(wide.port.as_ref(), narrow.port.as_ref())
        && sources(wide, narrow)
}

/// Without a path, or with the prefix `/`, every path is taken.
fn uri(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    let any = || TextMatch::Prefix("/".to_owned());
    let path = |of: &HttpMatch| match of.uri.as_ref().map(|it| &it.value) {
        None | Some(TextMatch::Present) => any(),
        Some(path) => path.clone(),
    };
    let (own, other) = (path(wide), path(narrow));
    if own == any() {
        return true;
    }
    match (wide.case(), narrow.case()) {
        (Case::Sensitive, Case::Sensitive) => own.covers(&other),
        (Case::Ignored, _) => own.lower().covers(&other.lower()),
        (Case::Sensitive, Case::Ignored) => false,
    }
}

fn text(wide: Option<&At<TextMatch>>, narrow: Option<&At<TextMatch>>) -> bool {
    match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => wide.covers(narrow),
        (Some(_), None) => false,
    }
}

fn equal<T: PartialEq>(wide: Option<&At<T>>, narrow: Option<&At<T>>) -> bool {
    wide.is_none_or(|wide| narrow.is_some_and(|narrow| **wide == **narrow))
}

type Conditions = [(String, At<TextMatch>)];

fn named(wide: &Conditions, narrow: &Conditions) -> bool {
    wide.iter().all(|(name, condition)| {
        let mut same = narrow.iter().filter(|(other, _)| other == name);
        same.any(|(_, other)| condition.covers(other))
    })
}

/// What the wide one excludes, the narrow one must exclude too, or never have.
fn without(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    wide.without_headers.iter().all(|(name, excluded)| {
        let excludes =
            |(other, theirs): &(String, At<TextMatch>)| other == name && theirs.covers(excluded);
        let differs = |(other, theirs): &(String, At<TextMatch>)| {
            let exact = match &theirs.value {
                TextMatch::Exact(text) => excluded.matches(text),
                _ => None,
            };
            other == name && exact == Some(false)
        };
        narrow.without_headers.iter().any(excludes) || narrow.headers.iter().any(differs)
    })
}

/// Labels and namespaces count only where no gateways are named.
fn sources(wide: &HttpMatch, narrow: &HttpMatch) -> bool {
    if !wide.gateways.is_empty() {
        let has = |gateway: &At<String>| wide.gateways.iter().any(|it| it.value == gateway.value);
        return !narrow.gateways.is_empty() && narrow.gateways.iter().all(has);
    }
    let labels = wide.source_labels.as_ref().is_none_or(|wide| {
        let narrow = narrow
            .source_labels
            .as_ref()
            .filter(|_| narrow.gateways.is_empty());
        wide.is_empty() || narrow.is_some_and(|narrow| wide.select(narrow))
    });
    let narrow_namespace = narrow
        .source_namespace
        .as_ref()
        .filter(|_| narrow.gateways.is_empty());
    labels && equal(wide.source_namespace.as_ref(), narrow_namespace)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::covers;
    use crate::model::{At, HttpMatch, TextMatch};

    fn at(value: TextMatch) -> At<TextMatch> {
        At {
            place: crate::model::Place::default(),
            value,
        }
    }

    fn text() -> impl Strategy<Value = TextMatch> {
        let word = "/[ab/]{0,3}";
        prop_oneof![
            word.prop_map(TextMatch::Exact),
            word.prop_map(TextMatch::Prefix),
            "(/[ab]){1,2}".prop_map(TextMatch::Segments),
            "/[ab]{0,2}(\\.\\*)?".prop_map(TextMatch::Regex),
        ]
    }

    fn condition() -> impl Strategy<Value = HttpMatch> {
        let maybe = || proptest::option::of(text());
        (maybe(), maybe(), maybe(), any::<bool>()).prop_map(
            |(uri, header, without, ignore_uri_case)| HttpMatch {
                uri: uri.map(at),
                ignore_uri_case,
                headers: header
                    .map(|it| ("x".to_owned(), at(it)))
                    .into_iter()
                    .collect(),
                without_headers: without
                    .map(|it| ("x".to_owned(), at(it)))
                    .into_iter()
                    .collect(),
                ..HttpMatch::default()
            },
        )
    }

    /// A request: its path, and one header.
    fn takes(condition: &HttpMatch, path: &str, header: Option<&str>) -> bool {
        let lower = path.to_lowercase();
        let uri = condition.uri.as_ref().is_none_or(|it| match &it.value {
            TextMatch::Regex(_) => it.matches(path),
            _ if condition.ignore_uri_case => it.lower().matches(&lower),
            _ => it.matches(path),
        } == Some(true));
        let has = |it: &(String, At<TextMatch>)| {
            header.is_some_and(|text| it.1.matches(text) == Some(true))
        };
        uri && condition.headers.iter().all(has) && !condition.without_headers.iter().any(has)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]
        #[test]
        fn what_the_narrow_one_takes_the_wide_one_takes(
            wide in condition(),
            narrow in condition(),
            path in "/[abAB/]{0,4}",
            header in proptest::option::of("/[ab/]{0,3}"),
        ) {
            if covers(&wide, &narrow) && takes(&narrow, &path, header.as_deref()) {
                prop_assert!(takes(&wide, &path, header.as_deref()), "{wide:?}\n{narrow:?}");
            }
        }
    }
}
