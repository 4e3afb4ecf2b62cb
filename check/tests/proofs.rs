//! Every rule's proof: it is whole, it can fail, and what is committed as measured meets it.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use faultline_check::proof::{Bounds, Expected, PROOFS, Proof, Seen, Side, judge, results};
use faultline_check::rules::RULES;

/// Rules that no proof stands behind yet, each with the reason.
const UNPROVED: &[(&str, &str)] = &[];

fn proofs() -> Vec<(&'static str, Proof)> {
    let read = |(id, text): &(&'static str, &str)| {
        let proof = Proof::read(text);
        (*id, proof.unwrap_or_else(|error| panic!("{id}: {error}")))
    };
    PROOFS.iter().map(read).collect()
}

/// An answer that is just as expected: the least of each, filled up to the number of requests.
fn as_expected(expected: &Expected, requests: u64) -> Seen {
    let counts = |counts: &Option<BTreeMap<String, Bounds>>| {
        let mut counts: BTreeMap<String, (u64, u64)> = counts
            .iter()
            .flatten()
            .map(|(key, bounds)| (key.clone(), (bounds.least(), bounds.most())))
            .collect();
        let mut left = requests.saturating_sub(counts.values().map(|it| it.0).sum());
        for (count, most) in counts.values_mut() {
            let more = left.min(*most - *count);
            *count += more;
            left -= more;
        }
        let seen = counts.into_iter().map(|(key, (count, _))| (key, count));
        seen.filter(|(_, count)| *count > 0).collect()
    };
    let least = |bounds: Option<Bounds>| bounds.map_or(0, Bounds::least);
    Seen {
        requests,
        status: counts(&expected.status),
        upstream: counts(&expected.upstream),
        path: counts(&expected.path),
        pods: least(expected.pods),
        tries: least(expected.tries),
        concurrent: least(expected.concurrent),
        shortest_ms: least(expected.duration_ms),
        longest_ms: least(expected.duration_ms),
    }
}

/// A table of counts in what was seen.
type Counts = fn(&mut Seen) -> &mut BTreeMap<String, u64>;
/// A figure in it.
type Figure = fn(&mut Seen) -> &mut u64;

/// Answers that differ from that in one thing each, beyond a bound.
fn otherwise(expected: &Expected, seen: &Seen) -> Vec<Seen> {
    let mut others = Vec::new();
    let counts: [(_, Counts); 3] = [
        (&expected.status, |it| &mut it.status),
        (&expected.upstream, |it| &mut it.upstream),
        (&expected.path, |it| &mut it.path),
    ];
    for (expected, of) in counts {
        for (key, bounds) in expected.iter().flatten() {
            for count in beyond(*bounds) {
                let mut other = seen.clone();
                of(&mut other).insert(key.clone(), count);
                others.push(other);
            }
            let mut other = seen.clone();
            of(&mut other).insert("another".to_owned(), 1);
            others.push(other);
        }
    }
    let figures: [(_, Figure); 5] = [
        (expected.pods, |it| &mut it.pods),
        (expected.tries, |it| &mut it.tries),
        (expected.concurrent, |it| &mut it.concurrent),
        (expected.duration_ms, |it| &mut it.shortest_ms),
        (expected.duration_ms, |it| &mut it.longest_ms),
    ];
    for (bounds, of) in figures {
        for figure in bounds.into_iter().flat_map(beyond) {
            let mut other = seen.clone();
            *of(&mut other) = figure;
            others.push(other);
        }
    }
    others
}

fn beyond(bounds: Bounds) -> Vec<u64> {
    let below = bounds.least().checked_sub(1);
    below.into_iter().chain([bounds.most() + 1]).collect()
}

#[test]
fn every_rule_has_a_proof_and_every_proof_a_rule() {
    let ids: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
    let proved: BTreeSet<_> = PROOFS.iter().map(|(id, _)| *id).collect();
    let unproved: BTreeSet<_> = UNPROVED.iter().map(|(id, _)| *id).collect();
    assert_eq!(&ids - &proved, unproved);
    assert_eq!(&proved - &ids, BTreeSet::new());
}

#[test]
fn each_expectation_is_met_by_one_answer_and_refuses_those_beyond_each_bound() {
    for (id, proof) in proofs() {
        for request in &proof.requests {
            for side in Side::BOTH {
                let expected = request.expected(side);
                let seen = as_expected(expected, u64::from(request.times));
                let name = format!("{id}, {}, {}", side.name(), request.name);
                assert_eq!(judge(expected, &seen), <[String; 0]>::default(), "{name}");
                let others = otherwise(expected, &seen);
                assert!(!others.is_empty(), "{name}");
                for other in others {
                    assert_ne!(
                        judge(expected, &other),
                        <[String; 0]>::default(),
                        "{name}: {other:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn what_answers_wrong_is_not_taken_for_right() {
    for (id, proof) in proofs() {
        let told_apart = proof.requests.iter().any(|request| {
            let times = u64::from(request.times);
            let wrong = as_expected(&request.wrong, times);
            let right = as_expected(&request.right, times);
            !judge(&request.right, &wrong).is_empty() && !judge(&request.wrong, &right).is_empty()
        });
        assert!(told_apart, "{id}");
    }
}

#[test]
fn what_was_measured_meets_the_proof() {
    let results = results().unwrap();
    for (id, proof) in proofs() {
        let measured = results
            .get(id)
            .unwrap_or_else(|| panic!("{id} was never measured"));
        for side in Side::BOTH {
            let seen = measured.with(side);
            assert_eq!(seen.len(), proof.requests.len(), "{id}");
            for request in &proof.requests {
                let seen = &seen[&request.name];
                assert_eq!(seen.requests, u64::from(request.times), "{id}");
                let unmet = judge(request.expected(side), seen);
                assert_eq!(unmet, <[String; 0]>::default(), "{id}, {}", side.name());
            }
        }
    }
    let ids: BTreeSet<_> = PROOFS.iter().map(|(id, _)| (*id).to_owned()).collect();
    assert_eq!(results.into_keys().collect::<BTreeSet<_>>(), ids);
}

#[test]
fn the_page_is_that_of_what_was_measured() {
    let page = faultline_check::proof::page(&proofs(), &results().unwrap());
    let committed = include_str!("../rules/README.md");
    assert_eq!(page, committed, "`faultline-e2e rules --write` writes it");
    let shown = faultline_check::proof::measured("A1").unwrap();
    assert!(
        shown.contains("wrong  one GET: 504; 1 try arrives"),
        "{shown}"
    );
    assert_eq!(faultline_check::proof::measured("A99"), None);
}

const WHOLE: &str = "
about: a
upstreams: [{deployment: a, port: 80}]
requests:
  - {name: a, url: 'http://a/', times: 4, wrong: {status: {200: 4}}, right: {status: {503: {at_least: 1, at_most: 4}, 200: {at_least: 0, at_most: 3}}}}
";

#[test]
fn a_proof_that_could_not_fail_or_not_hold_is_refused() {
    Proof::read(WHOLE).unwrap();
    for (from, to, reason) in [
        ("about: a", "abuot: a", "unknown field"),
        ("port: 80", "port: 80, dleay_ms: 1", "unknown field"),
        (
            "{at_least: 1, at_most: 4}",
            "{at_least: 1}",
            "did not match",
        ),
        (
            "{at_least: 1, at_most: 4}",
            "{at_least: 1, at_most: 4, x: 1}",
            "did not match",
        ),
        (
            "{at_least: 1, at_most: 4}",
            "{at_least: 3, at_most: 2}",
            "more than at_most",
        ),
        (
            "{at_least: 1, at_most: 4}",
            "{at_least: 5, at_most: 5}",
            "of 4 requests",
        ),
        ("wrong: {status: {200: 4}}", "wrong: {}", "expects nothing"),
        (
            "wrong: {status: {200: 4}}",
            "wrong: {status: {200: 3}}",
            "of 4 requests",
        ),
        (
            "wrong: {status: {200: 4}}",
            "wrong: {tries: 4}",
            "tells wrong from right",
        ),
        (
            "{503: {at_least: 1, at_most: 4}, 200: {at_least: 0, at_most: 3}}",
            "{200: {at_least: 2, at_most: 4}}",
            "tells wrong from right",
        ),
        ("times: 4", "times: 0", "times is 0"),
        ("name: a, url", "name: a, from: gateway, url", "no gateway"),
        ("about: a", "about: a\n---\nabout: b", "one document"),
        ("about: a", "about: [", "line"),
    ] {
        let text = WHOLE.replace(from, to);
        assert_ne!(text, WHOLE, "{from}");
        match Proof::read(&text) {
            Ok(_) => panic!("{to} is taken"),
            Err(error) => assert!(error.to_string().contains(reason), "{to}: {error}"),
        }
    }
}
