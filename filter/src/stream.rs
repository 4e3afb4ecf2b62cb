//! One request on its way through the filter.

use crate::{host, metrics::Counted, root::Plugin};
use faultline_filter_core::{Admission, Fallback, Flags, Origin, Outcome, Report, Slot, problem};
use proxy_wasm::{
    traits::{Context, HttpContext},
    types::Action,
};
use std::rc::Rc;

/// The state of one request.
pub(crate) struct Stream {
    plugin: Option<Rc<Plugin>>,
    /// Where its outcome is counted, once its route is known and if that is observed.
    observed: Option<Slot>,
}

impl Stream {
    pub(crate) fn new(plugin: Option<Rc<Plugin>>) -> Self {
        Self {
            plugin,
            observed: None,
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let Some(plugin) = &self.plugin else {
            return Action::Continue;
        };
        match plugin
            .config
            .routes
            .admit(host::path().as_deref(), host::method)
        {
            Admission::Allowed(observed) => {
                self.observed = observed;
                Action::Continue
            }
            Admission::Unknown => {
                plugin.metrics.count_unknown_route();
                refuse(plugin, "unknown_route", problem::unknown_route())
            }
            Admission::MethodNotAllowed(methods) => {
                plugin.metrics.count_method_not_allowed();
                refuse(
                    plugin,
                    "method_not_allowed",
                    problem::method_not_allowed(methods),
                )
            }
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        if self.observed.is_some() {
            let report = Report {
                flags: flags(),
                status: host::status(),
                origin: Origin::from_details(
                    host::property(&["response", "code_details"]).as_deref(),
                ),
                attempts: attempts(),
                elapsed: host::elapsed(),
            };
            host::add_response_header("proxy-status", &report.proxy_status());
            host::add_response_header("server-timing", &report.server_timing());
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        // Without its request phase a request has no route, and nothing is known to count.
        let (Some(plugin), Some(slot)) = (&self.plugin, self.observed) else {
            return;
        };
        let flags = flags();
        let status = host::number(&["response", "code"]).and_then(|code| u16::try_from(code).ok());
        let outcome = Outcome::of(flags, status);
        host::leave_outcome(outcome.name());
        plugin.metrics.count(
            slot,
            &Counted {
                outcome,
                retries: attempts().map_or(0, |attempts| attempts.saturating_sub(1)),
                was_delayed: flags.intersects(Flags::DI),
                duration_ms: host::number(&["request", "duration"]).map(|ns| ns / 1_000_000),
            },
        );
    }
}

/// Answers a request that no route takes, unless the configuration only observes.
fn refuse(plugin: &Plugin, outcome: &str, problem: problem::Problem<'_>) -> Action {
    match plugin.config.fallback {
        Fallback::Observe => Action::Continue,
        Fallback::Enforce => {
            host::leave_outcome(outcome);
            host::answer(problem);
            Action::Pause
        }
    }
}

fn flags() -> Flags {
    Flags::from_property(host::property(&["response", "flags"]).as_deref())
}

/// How often the upstream was tried, if it was: the host also says 0 for never.
fn attempts() -> Option<u64> {
    host::number(&["upstream", "request_attempt_count"]).filter(|attempts| *attempts > 0)
}
