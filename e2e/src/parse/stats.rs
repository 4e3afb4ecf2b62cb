//! Prometheus text, as a proxy exposes it.

use std::collections::BTreeMap;

/// Samples by name and labels, several pages added up.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats(Vec<Sample>);

#[derive(Clone, Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

impl Stats {
    /// Reads a page. Comments and lines in another form are passed over.
    #[must_use]
    pub fn parse(page: &str) -> Self {
        Self(page.lines().filter_map(sample).collect())
    }

    /// Adds another proxy's page.
    pub fn add(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The samples whose label `name` is kept under another value; those for which there is none go, and
    /// those without the label stay.
    #[must_use]
    pub fn relabelled(mut self, name: &str, kept: impl Fn(&str) -> Option<String>) -> Self {
        self.0
            .retain_mut(|sample| match sample.labels.get_mut(name) {
                None => true,
                Some(value) => match kept(value) {
                    Some(other) => {
                        *value = other;
                        true
                    }
                    None => false,
                },
            });
        self
    }

    /// The sum of a counter over all samples that carry these labels; `None` where there is no such
    /// sample (a counter that was never touched does not exist).
    #[must_use]
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let mut found = self.0.iter().filter(|sample| {
            sample.name == name
                && labels
                    .iter()
                    .all(|(key, value)| sample.labels.get(*key).is_some_and(|seen| seen == value))
        });
        let first = found.next()?.value;
        let sum = found.fold(first, |sum, sample| sum + sample.value);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "counters are whole and not negative; `as` saturates and makes NaN 0"
        )]
        Some(sum as u64)
    }

    /// Whether a metric's labels are still part of its name, as they are where nobody splits them out.
    #[must_use]
    pub fn has_raw_labels(&self, name: &str) -> bool {
        let raw = |sample: &Sample| sample.name.len() > name.len() && sample.name.ends_with(name);
        self.0.iter().any(raw)
    }

    /// As [`Self::find`], 0 where there is no such sample.
    #[must_use]
    pub fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        self.find(name, labels).unwrap_or(0)
    }
}

fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(end);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => labels(inside)?,
        None => (BTreeMap::new(), rest),
    };
    Some(Sample {
        name: name.to_owned(),
        labels,
        value: rest.split_whitespace().next()?.parse().ok()?,
    })
}

/// Reads `key="value",…}` and returns what follows the brace.
fn labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        text = text.trim_start_matches([',', ' ']);
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (key, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at + 1,
                (_, '\\') => match characters.next()?.1 {
                    'n' => value.push('\n'),
                    other => value.push(other),
                },
                (_, other) => value.push(other),
            }
        };
        labels.insert(key.trim().to_owned(), value);
        text = rest.get(end..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"# TYPE faultline_requests_total counter
faultline_requests_total{route="log",outcome="timeout"} 3
faultline_requests_total{outcome="overflow",route="log"} 2
faultline_requests_total{} 7
faultline_unknown_routes_total 11 1700000000
odd{a="x\"y\\z\nw,}",b=""} 1.5e3
broken{a="x 1
not a number x
"#;

    #[test]
    fn counters_are_found_by_name_and_labels() {
        let stats = Stats::parse(PAGE);
        let timeouts = [("route", "log"), ("outcome", "timeout")];
        assert_eq!(stats.find("faultline_requests_total", &timeouts), Some(3));
        assert_eq!(stats.find("faultline_requests_total", &[]), Some(12));
        assert_eq!(stats.find("faultline_unknown_routes_total", &[]), Some(11));
        assert_eq!(
            stats.find("odd", &[("a", "x\"y\\z\nw,}"), ("b", "")]),
            Some(1500)
        );
        assert_eq!(stats.find("broken", &[]), None);
        assert_eq!(
            stats.count("faultline_requests_total", &[("route", "logs")]),
            0
        );
    }

    #[test]
    fn labels_that_nobody_split_out_are_noticed() {
        let raw = Stats::parse("route___log_____outcome___ok_____faultline_requests_total{} 1\n");
        assert!(raw.has_raw_labels("faultline_requests_total"));
        assert!(!Stats::parse(PAGE).has_raw_labels("faultline_requests_total"));
    }

    #[test]
    fn samples_are_kept_by_a_label_under_another_value() {
        let stats = Stats::parse("c{route=\"log_a\"} 1\nc{route=\"log\"} 2\nc{} 4\n");
        let own = |route: &str| route.strip_suffix("_a").map(ToOwned::to_owned);
        let kept = stats.relabelled("route", own);
        assert_eq!(kept.find("c", &[("route", "log")]), Some(1));
        assert_eq!(kept.find("c", &[]), Some(5));
    }

    #[test]
    fn pages_are_added_up() {
        let mut stats = Stats::parse(PAGE);
        stats.add(Stats::parse(PAGE));
        assert_eq!(stats.count("faultline_unknown_routes_total", &[]), 22);
    }
}
