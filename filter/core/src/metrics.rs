//! Metric names: bounded in number, since a proxy never forgets one.

use crate::outcome::Outcome;
use alloc::string::String;

/// The most route names a configuration may observe: with them, the metrics stay below 1,000.
pub const MAX_OBSERVED: usize = 64;

/// Requests whose path no route matches.
pub const UNKNOWN_ROUTES: &str = "faultline_unknown_routes_total";
/// Requests whose route does not take their method.
pub const METHOD_NOT_ALLOWED: &str = "faultline_method_not_allowed_total";
/// Configurations refused.
pub const CONFIG_ERRORS: &str = "faultline_config_errors_total";

/// Panics of the native module, each of which has cost one request the filter.
pub const PANICS: &str = "faultline_panics_total";

/// How the route and the outcome are written into a metric's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Labels {
    /// After it, between dots: `faultline_requests_total.log.timeout`.
    #[default]
    Plain,
    /// Before it, in the encoding that Istio's bootstrap turns into labels:
    /// `route=.=log;.;outcome=.=timeout;.;faultline_requests_total`.
    Tagged,
}

/// What is measured for each observed route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteMetric {
    /// Counter: requests that ended so.
    Requests(Outcome),
    /// Counter: tries beyond the first.
    Retries,
    /// Counter: requests that a fault delayed, whatever their outcome.
    DelaysInjected,
    /// Histogram: milliseconds from the request's first byte to the response's last.
    DurationMs,
}

impl RouteMetric {
    /// Its name for the route `route`.
    pub fn name(self, route: &str, labels: Labels) -> String {
        let base = match self {
            Self::Requests(_) => "faultline_requests_total",
            Self::Retries => "faultline_retries_total",
            Self::DelaysInjected => "faultline_delays_injected_total",
            Self::DurationMs => "faultline_request_duration_milliseconds",
        };
        let outcome = match self {
            Self::Requests(outcome) => Some(outcome.name()),
            _ => None,
        };
        match (labels, outcome) {
            (Labels::Plain, None) => [base, ".", route].concat(),
            (Labels::Plain, Some(outcome)) => [base, ".", route, ".", outcome].concat(),
            (Labels::Tagged, None) => ["route=.=", route, ";.;", base].concat(),
            (Labels::Tagged, Some(outcome)) => {
                ["route=.=", route, ";.;outcome=.=", outcome, ";.;", base].concat()
            }
        }
    }
}

/// Whether `name` may name an observed route: it becomes part of metric names.
pub fn is_route_name(name: &str) -> bool {
    (1..=32).contains(&name.len())
        && name
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_labels() {
        let timeouts = RouteMetric::Requests(Outcome::Timeout);
        let names = |metric: RouteMetric| {
            [Labels::Plain, Labels::Tagged].map(|labels| metric.name("log", labels))
        };
        assert_eq!(
            names(timeouts),
            [
                "faultline_requests_total.log.timeout",
                "route=.=log;.;outcome=.=timeout;.;faultline_requests_total"
            ]
        );
        assert_eq!(
            names(RouteMetric::DurationMs),
            [
                "faultline_request_duration_milliseconds.log",
                "route=.=log;.;faultline_request_duration_milliseconds"
            ]
        );
    }

    /// Prometheus turns the dots into underscores: no two metrics may become one.
    #[test]
    fn flattened_names_stay_apart() {
        for outcome in Outcome::ALL {
            for other in Outcome::ALL {
                let tail = format!("_{}", other.name());
                assert!(!outcome.name().ends_with(&tail), "{outcome:?} {other:?}");
            }
        }
    }
}
