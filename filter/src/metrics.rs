//! The host's metrics: defined once per name in this VM, then counted by id.

use faultline_filter_core::{
    Config, Outcome, Slot,
    metrics::{self as names, RouteMetric},
};
use proxy_wasm::{hostcalls, types::MetricType};
use std::cell::RefCell;

thread_local! {
    /// Ids by name. The host makes a new id at every definition and never takes one back, so a
    /// plugin that is configured again must find the ids it had.
    static DEFINED: RefCell<Vec<(String, u32)>> = const { RefCell::new(Vec::new()) };
}

fn define(kind: MetricType, name: String) -> u32 {
    DEFINED.with_borrow_mut(|defined| {
        if let Some((_, id)) = defined.iter().find(|(known, _)| *known == name) {
            return *id;
        }
        // No metric that exists has the id 0: counting there is refused and ignored.
        let id = hostcalls::define_metric(kind, &name).unwrap_or_default();
        defined.push((name, id));
        id
    })
}

fn add(id: u32, count: u64) {
    // The only failure is an id the host does not know, and then there is nothing to count.
    let _ = hostcalls::increment_metric(id, i64::try_from(count).unwrap_or(i64::MAX));
}

/// Counts a configuration that was refused.
pub(crate) fn count_config_error() {
    add(
        define(MetricType::Counter, names::CONFIG_ERRORS.to_owned()),
        1,
    );
}

/// Every metric of one configuration.
pub(crate) struct Metrics {
    unknown_routes: u32,
    method_not_allowed: u32,
    routes: Vec<RouteIds>,
}

struct RouteIds {
    requests: [u32; Outcome::ALL.len()],
    retries: u32,
    delays_injected: u32,
    duration_ms: u32,
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
    pub(crate) fn define(config: &Config) -> Self {
        let counter = |name: &str| define(MetricType::Counter, name.to_owned());
        counter(names::CONFIG_ERRORS);
        Self {
            unknown_routes: counter(names::UNKNOWN_ROUTES),
            method_not_allowed: counter(names::METHOD_NOT_ALLOWED),
            routes: config
                .observed
                .iter()
                .map(|route| {
                    let name = |metric: RouteMetric| metric.name(route, config.labels);
                    let counter = |metric| define(MetricType::Counter, name(metric));
                    RouteIds {
                        requests: Outcome::ALL
                            .map(|outcome| counter(RouteMetric::Requests(outcome))),
                        retries: counter(RouteMetric::Retries),
                        delays_injected: counter(RouteMetric::DelaysInjected),
                        duration_ms: define(MetricType::Histogram, name(RouteMetric::DurationMs)),
                    }
                })
                .collect(),
        }
    }

    pub(crate) fn count_unknown_route(&self) {
        add(self.unknown_routes, 1);
    }

    pub(crate) fn count_method_not_allowed(&self) {
        add(self.method_not_allowed, 1);
    }

    pub(crate) fn count(&self, Slot(route): Slot, exchange: &Counted) {
        let Some(ids) = self.routes.get(route) else {
            return;
        };
        let place = Outcome::ALL.iter().position(|one| *one == exchange.outcome);
        if let Some(id) = place.and_then(|place| ids.requests.get(place)) {
            add(*id, 1);
        }
        if exchange.retries > 0 {
            add(ids.retries, exchange.retries);
        }
        if exchange.was_delayed {
            add(ids.delays_injected, 1);
        }
        if let Some(milliseconds) = exchange.duration_ms {
            let _ = hostcalls::record_metric(ids.duration_ms, milliseconds);
        }
    }
}
