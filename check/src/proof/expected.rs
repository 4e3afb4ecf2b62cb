//! What must be seen, and the judgement.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Seen;

/// A count or a duration: exactly this, or both bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Bounds {
    /// Exactly so many.
    Exactly(u64),
    /// Both bounds, each allowed.
    Between {
        /// The least.
        at_least: u64,
        /// The most.
        at_most: u64,
    },
}

impl Bounds {
    /// The least.
    #[must_use]
    pub const fn least(self) -> u64 {
        match self {
            Self::Exactly(value) => value,
            Self::Between { at_least, .. } => at_least,
        }
    }

    /// The most.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::Exactly(value) => value,
            Self::Between { at_most, .. } => at_most,
        }
    }

    /// True within them.
    #[must_use]
    pub const fn hold(self, value: u64) -> bool {
        self.least() <= value && value <= self.most()
    }

    const fn excludes(self, other: Self) -> bool {
        self.most() < other.least() || other.most() < self.least()
    }
}

impl std::fmt::Display for Bounds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exactly(value) => write!(f, "{value}"),
            Self::Between { at_least, at_most } => write!(f, "{at_least} to {at_most}"),
        }
    }
}

/// How many of each: what is not named must not be seen.
type Counts = BTreeMap<String, Bounds>;

/// What must be seen of a request, or of several of the same. What is absent is not looked at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// How many are answered with each status; `none`: not answered at all.
    pub status: Option<Counts>,
    /// How many answers come from each upstream, by its Deployment's name.
    pub upstream: Option<Counts>,
    /// The number of pods that answer.
    pub pods: Option<Bounds>,
    /// How many answers say that this path arrived.
    pub path: Option<Counts>,
    /// Requests that arrive at any upstream, tries included.
    pub tries: Option<Bounds>,
    /// The most requests that one pod of an upstream has at the same time.
    pub concurrent: Option<Bounds>,
    /// Milliseconds that each request takes.
    pub duration_ms: Option<Bounds>,
}

impl Expected {
    fn counts(&self) -> [(&'static str, Option<&Counts>); 3] {
        [
            ("status", self.status.as_ref()),
            ("upstream", self.upstream.as_ref()),
            ("path", self.path.as_ref()),
        ]
    }

    fn figures(&self) -> [(&'static str, Option<Bounds>); 4] {
        [
            ("pods", self.pods),
            ("tries", self.tries),
            ("concurrent", self.concurrent),
            ("duration_ms", self.duration_ms),
        ]
    }

    /// Refuses what could not fail, or could not be met by this many requests.
    pub(super) fn check(&self, requests: u64) -> Result<(), String> {
        let mut said = false;
        for (name, counts) in self.counts() {
            let Some(counts) = counts else { continue };
            said = true;
            let (mut least, mut most) = (0, 0_u64);
            for (key, bounds) in counts {
                if bounds.least() > bounds.most() {
                    return Err(format!("{name} {key}: at_least is more than at_most"));
                }
                if bounds.most() == 0 || bounds.most() > requests {
                    return Err(format!("{name} {key}: {bounds} of {requests} requests"));
                }
                least += bounds.least();
                most = most.saturating_add(bounds.most());
            }
            if least > requests || (name == "status" && most < requests) {
                return Err(format!("{name}: {least} to {most} of {requests} requests"));
            }
        }
        for (name, bounds) in self.figures() {
            let Some(bounds) = bounds else { continue };
            said = true;
            if bounds.least() > bounds.most() {
                return Err(format!("{name}: at_least is more than at_most"));
            }
        }
        match said {
            true => Ok(()),
            false => Err("it expects nothing".to_owned()),
        }
    }

    /// True where nothing that is seen can meet both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        let zero = Bounds::Exactly(0);
        let of = |counts: &Counts, key: &str| counts.get(key).copied().unwrap_or(zero);
        let counts = self.counts().into_iter().zip(other.counts());
        let by_counts = counts.into_iter().any(|((_, a), (_, b))| match (a, b) {
            (Some(a), Some(b)) => {
                let mut keys = a.keys().chain(b.keys());
                keys.any(|key| of(a, key).excludes(of(b, key)))
            }
            _ => false,
        });
        let figures = self.figures().into_iter().zip(other.figures());
        let by_figures = figures.into_iter().any(|((_, a), (_, b))| match (a, b) {
            (Some(a), Some(b)) => a.excludes(b),
            _ => false,
        });
        by_counts || by_figures
    }
}

/// What is not as expected, a sentence each; none where all is.
#[must_use]
pub fn judge(expected: &Expected, seen: &Seen) -> Vec<String> {
    let mut wrong = Vec::new();
    for (name, counts, seen) in [
        ("status", &expected.status, &seen.status),
        ("upstream", &expected.upstream, &seen.upstream),
        ("path", &expected.path, &seen.path),
    ] {
        let Some(counts) = counts else { continue };
        for (key, bounds) in counts {
            let count = seen.get(key).copied().unwrap_or(0);
            if !bounds.hold(count) {
                wrong.push(format!("{name} {key}: {bounds} expected, seen {count}"));
            }
        }
        let unnamed = seen.iter().filter(|(key, _)| !counts.contains_key(*key));
        wrong.extend(unnamed.map(|(key, count)| format!("{name} {key}: seen {count}")));
    }
    let mut figure = |name: &str, bounds: Option<Bounds>, seen: u64| {
        if let Some(bounds) = bounds.filter(|bounds| !bounds.hold(seen)) {
            wrong.push(format!("{name}: {bounds} expected, seen {seen}"));
        }
    };
    figure("pods", expected.pods, seen.pods);
    figure("tries", expected.tries, seen.tries);
    figure("concurrent", expected.concurrent, seen.concurrent);
    figure("duration_ms", expected.duration_ms, seen.shortest_ms);
    if seen.longest_ms != seen.shortest_ms {
        figure("duration_ms", expected.duration_ms, seen.longest_ms);
    }
    wrong
}
