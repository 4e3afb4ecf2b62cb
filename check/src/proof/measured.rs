//! What was seen, and the file that keeps it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Side;

/// What became of a request, or of several of the same.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// Requests made.
    pub requests: u64,
    /// How many were answered with each status; `none`: not answered at all.
    pub status: BTreeMap<String, u64>,
    /// How many answers came from each upstream, by its Deployment's name.
    pub upstream: BTreeMap<String, u64>,
    /// The number of pods that answered.
    pub pods: u64,
    /// How many answers say that this path, query included, arrived.
    pub path: BTreeMap<String, u64>,
    /// Requests that arrived at any upstream, tries included.
    pub tries: u64,
    /// The most requests that one pod of an upstream had at the same time.
    pub concurrent: u64,
    /// The quickest request, in milliseconds.
    pub shortest_ms: u64,
    /// The slowest request, in milliseconds.
    pub longest_ms: u64,
}

/// Where it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// Of Istio: `1.31`.
    pub istio: String,
    /// Of the proxies: `1.39.3`.
    pub envoy: String,
    /// Of the API server: `v1.36.3`.
    pub kubernetes: String,
}

/// What one rule's proof has seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The day, as `2026-01-31`.
    pub date: String,
    /// Where.
    pub versions: Versions,
    /// With `wrong.yaml`, by the request's name.
    pub wrong: BTreeMap<String, Seen>,
    /// With `right.yaml`, by the request's name.
    pub right: BTreeMap<String, Seen>,
}

impl Measured {
    /// What was seen with one of the examples, by the request's name.
    #[must_use]
    pub const fn with(&self, side: Side) -> &BTreeMap<String, Seen> {
        match side {
            Side::Wrong => &self.wrong,
            Side::Right => &self.right,
        }
    }
}

/// What stands in `rules/results.json`: by the rule's id.
pub type Results = BTreeMap<String, Measured>;
