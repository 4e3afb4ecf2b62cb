//! What was measured, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{Expected, Measured, Proof, Results, Seen, Side, Versions};

/// One line with the figures that the proof looks at, the statuses always.
#[must_use]
pub fn line(expected: &Expected, seen: &Seen) -> String {
    let Seen {
        tries,
        pods,
        concurrent,
        shortest_ms,
        longest_ms,
        ..
    } = seen;
    let mut parts = vec![counts(seen, &seen.status)];
    if expected.duration_ms.is_some() {
        parts.push(match seen.requests {
            1 => format!("after {longest_ms} ms"),
            _ => format!("after {shortest_ms} to {longest_ms} ms"),
        });
    }
    if expected.tries.is_some() {
        parts.push(match tries {
            0 => "nothing arrives".to_owned(),
            1 => "1 try arrives".to_owned(),
            tries => format!("{tries} tries arrive"),
        });
    }
    if expected.concurrent.is_some() {
        parts.push(format!("{concurrent} at the same time"));
    }
    if expected.upstream.is_some() {
        parts.push(format!("from {}", counts(seen, &seen.upstream)));
    }
    if expected.pods.is_some() {
        parts.push(match pods {
            1 => "1 pod".to_owned(),
            pods => format!("{pods} pods"),
        });
    }
    if expected.path.is_some() {
        parts.push(format!("as {}", counts(seen, &seen.path)));
    }
    parts.join("; ")
}

fn counts(seen: &Seen, counts: &BTreeMap<String, u64>) -> String {
    let word = |key: &str| match key {
        "none" => "no answer".to_owned(),
        key => key.to_owned(),
    };
    let counts = counts.iter().map(|(key, count)| match seen.requests {
        1 => word(key),
        _ => format!("{} \u{d7} {count}", word(key)),
    });
    let counts = counts.collect::<Vec<_>>().join(", ");
    if counts.is_empty() {
        "nobody".to_owned()
    } else {
        counts
    }
}

/// What was measured of one rule, a line for each request and example.
#[must_use]
pub fn lines(proof: &Proof, measured: &Measured) -> String {
    let Measured { date, versions, .. } = measured;
    let mut text = format!("{}\nMeasured on {date} ({}):\n", proof.about, on(versions));
    for request in &proof.requests {
        for side in Side::BOTH {
            let seen = measured.with(side).get(&request.name);
            let seen = seen.map(|seen| line(request.expected(side), seen));
            let seen = seen.unwrap_or_default();
            let _infallible = write!(text, "\n  {}  {}: {seen}", side.name(), request.name);
        }
    }
    text
}

fn on(versions: &Versions) -> String {
    let Versions {
        istio,
        envoy,
        kubernetes,
    } = versions;
    let kubernetes = kubernetes.trim_start_matches('v');
    format!("Istio {istio}, Envoy {envoy}, Kubernetes {kubernetes}")
}

/// What was measured of each rule, in Markdown.
#[must_use]
pub fn page(proofs: &[(&str, Proof)], results: &Results) -> String {
    let mut text = String::from(
        "<!-- Written by `faultline-e2e rules --write`. -->\n\n# What the rules' examples do\n\n\
         Each rule's `wrong.yaml` and `right.yaml` on a cluster, and what the requests of its `proof.yaml` were \
         answered with. `./test.sh --only rules` measures it again.\n\n\
         | rule | request | wrong | right |\n| --- | --- | --- | --- |\n",
    );
    let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for (id, proof) in proofs {
        let Some(measured) = results.get(*id) else {
            continue;
        };
        let place = format!("{}, {}", measured.date, on(&measured.versions));
        places.entry(place).or_default().push(id);
        for (number, request) in proof.requests.iter().enumerate() {
            let shown = |side| {
                let seen = measured.with(side).get(&request.name);
                seen.map(|seen| line(request.expected(side), seen))
                    .unwrap_or_default()
            };
            let (wrong, right) = (shown(Side::Wrong), shown(Side::Right));
            let (first, about) = match number {
                0 => (
                    format!("[{id}]({id}/proof.yaml)"),
                    format!("{}<br>", proof.about),
                ),
                _ => (String::new(), String::new()),
            };
            let name = request.name.replace('*', "\\*");
            let _infallible = writeln!(text, "| {first} | {about}{name} | {wrong} | {right} |");
        }
    }
    for (place, rules) in places {
        let _infallible = write!(text, "\n{place}: {}.\n", rules.join(", "));
    }
    text
}
