//! The host's metrics: defined once per name, then counted by id.

use crate::host::{Host, MetricId, MetricKind};
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use faultline_filter_core::{
    Config, Outcome, Slot,
    metrics::{self as names, RouteMetric},
};

/// Metrics defined so far, by name. Where ids outlive a configuration, as in a VM, the host makes a
/// new id at every definition and never takes one back, so a plugin that is configured again must
/// find the ids it had.
#[derive(Default)]
pub struct Defined {
    ids: Vec<(String, MetricId)>,
}

impl Defined {
    /// None yet.
    pub const fn new() -> Self {
        Self { ids: Vec::new() }
    }

    /// The id of this metric; `None` if the host refuses to define it, and then nothing is
    /// counted.
    pub fn define(&mut self, host: &impl Host, kind: MetricKind, name: String) -> Option<MetricId> {
        if let Some((_, id)) = self.ids.iter().find(|(known, _)| *known == name) {
            return Some(*id);
        }
        let id = host.define(kind, &name).ok()?;
        self.ids.push((name, id));
        Some(id)
    }

    /// Counts a configuration that was refused.
    pub(crate) fn count_config_error(&mut self, host: &impl Host) {
        let name = names::CONFIG_ERRORS.to_owned();
        add(host, self.define(host, MetricKind::Counter, name), 1);
    }
}

fn add(host: &impl Host, id: Option<MetricId>, count: u64) {
    if let Some(id) = id {
        // The only failure is an id the host does not know, and then there is nothing to count.
        let _ = host.add(id, i64::try_from(count).unwrap_or(i64::MAX));
    }
}

/// Every metric of one configuration.
pub(crate) struct Metrics {
    unknown_routes: Option<MetricId>,
    method_not_allowed: Option<MetricId>,
    routes: Vec<RouteIds>,
}

struct RouteIds {
    requests: [Option<MetricId>; Outcome::ALL.len()],
    retries: Option<MetricId>,
    delays_injected: Option<MetricId>,
    duration_ms: Option<MetricId>,
}

/// What is counted of one observed exchange.
pub(crate) struct Counted {
    pub(crate) outcome: Outcome,
    pub(crate) retries: u64,
    pub(crate) was_delayed: bool,
    pub(crate) duration_ms: Option<u64>,
}

impl Metrics {
    /// Defines every metric of `config`, so that each is there, at zero, before its first event.
    pub(crate) fn define(host: &impl Host, defined: &mut Defined, config: &Config) -> Self {
        let mut define = |kind, name| defined.define(host, kind, name);
        let mut counter = |name: String| define(MetricKind::Counter, name);
        counter(names::CONFIG_ERRORS.to_owned());
        let unknown_routes = counter(names::UNKNOWN_ROUTES.to_owned());
        let method_not_allowed = counter(names::METHOD_NOT_ALLOWED.to_owned());
        let ids = |route: &String| {
            let name = |metric: RouteMetric| metric.name(route, config.labels);
            let mut counter = |metric| define(MetricKind::Counter, name(metric));
            RouteIds {
                requests: Outcome::ALL.map(|outcome| counter(RouteMetric::Requests(outcome))),
                retries: counter(RouteMetric::Retries),
                delays_injected: counter(RouteMetric::DelaysInjected),
                duration_ms: define(MetricKind::Histogram, name(RouteMetric::DurationMs)),
            }
        };
        Self {
            unknown_routes,
            method_not_allowed,
            routes: config.observed.iter().map(ids).collect(),
        }
    }

    pub(crate) fn count_unknown_route(&self, host: &impl Host) {
        add(host, self.unknown_routes, 1);
    }

    pub(crate) fn count_method_not_allowed(&self, host: &impl Host) {
        add(host, self.method_not_allowed, 1);
    }

    pub(crate) fn count(&self, host: &impl Host, Slot(route): Slot, exchange: &Counted) {
        let Some(ids) = self.routes.get(usize::from(route)) else {
            return;
        };
        let place = Outcome::ALL.iter().position(|one| *one == exchange.outcome);
        if let Some(id) = place.and_then(|place| ids.requests.get(place)) {
            add(host, *id, 1);
        }
        if exchange.retries > 0 {
            add(host, ids.retries, exchange.retries);
        }
        if exchange.was_delayed {
            add(host, ids.delays_injected, 1);
        }
        if let (Some(id), Some(milliseconds)) = (ids.duration_ms, exchange.duration_ms) {
            // As for counters.
            let _ = host.record(id, milliseconds);
        }
    }
}
