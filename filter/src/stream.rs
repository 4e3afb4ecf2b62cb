//! One request on its way through the filter.

use crate::{
    host::{Headers, Host},
    metrics::Counted,
    plugin::{Plugin, Role},
};
use core::{cell::Cell, time::Duration};
use faultline_filter_core::{
    Admission, Annotation, Fallback, Flags, Name, Observation, Origin, Outcome, Report,
    flags::little_endian, problem,
};

/// Whether a request goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It does.
    Continue = 0,
    /// It stops here: it has been answered.
    Pause = 1,
}

/// The state of one request.
///
/// A host may call back while it is asked something, so that no state is borrowed meanwhile.
#[derive(Default)]
pub struct Stream {
    /// Once its route is known, and if that is observed.
    observed: Cell<Option<Observed>>,
}

/// What is known of an observed request. Asking the host costs more than all else here, so that
/// what was asked once is kept.
#[derive(Clone, Copy)]
struct Observed {
    /// How its route is observed.
    by: Observation,
    /// When it came, in nanoseconds of the host's clock.
    start: Option<u64>,
    /// Once its response's headers have gone out.
    answered: Option<Answered>,
}

/// Status and attempt count, cached at response headers because they are final then.
#[derive(Clone, Copy)]
struct Answered {
    status: Option<u16>,
    attempts: Option<u64>,
}

impl Stream {
    /// A request that has just arrived.
    pub const fn new() -> Self {
        Self {
            observed: Cell::new(None),
        }
    }

    /// Its headers have arrived.
    pub fn on_request_headers(&self, host: &impl Host, role: &Role) -> Action {
        let Role::Guard(plugin) = role else {
            return answer(
                host,
                "not_configured",
                &problem::not_configured(&Name::default()),
            );
        };
        let name = &plugin.config.name;
        match host.admit(&plugin.config) {
            Admission::OtherHost => Action::Continue,
            Admission::Allowed(observation) => {
                self.observed.set(observation.map(|by| Observed {
                    by,
                    start: host.now().ok(),
                    answered: None,
                }));
                Action::Continue
            }
            Admission::Unknown => {
                plugin.metrics.count_unknown_route(host);
                refuse(host, plugin, "unknown_route", || {
                    problem::unknown_route(name)
                })
            }
            Admission::MethodNotAllowed(methods) => {
                plugin.metrics.count_method_not_allowed(host);
                refuse(host, plugin, "method_not_allowed", || {
                    problem::method_not_allowed(name, methods)
                })
            }
        }
    }

    /// The headers of its response go out.
    pub fn on_response_headers(&self, host: &impl Host, role: &Role) {
        let (Role::Guard(plugin), Some(observed)) = (role, self.observed.get()) else {
            return;
        };
        if observed.by.annotation == Annotation::None {
            return;
        }
        let name = &plugin.config.name;
        let attempts = attempts(host);
        // Without a try no upstream can have answered.
        let details = attempts.and_then(|_| host.property("response\0code_details").ok());
        let report = Report {
            flags: flags(host),
            status: status(host),
            origin: Origin::from_details(details.as_deref()),
            attempts,
            elapsed: observed.elapsed(host).map(Duration::from_nanos),
        };
        let answered = Some(Answered {
            status: report.status,
            attempts,
        });
        // Asked anew: a request that has ended meanwhile is counted, and must not come back.
        let still = self.observed.get();
        self.observed.set(still.map(|observed| Observed {
            answered,
            ..observed
        }));
        // A header map that refuses a header keeps those it has.
        let _ = host.add_header(
            Headers::Response,
            "proxy-status",
            &report.proxy_status(name),
        );
        let _ = host.add_header(
            Headers::Response,
            "server-timing",
            &report.server_timing(name),
        );
    }

    /// It has ended.
    pub fn on_log(&self, host: &impl Host, role: &Role) {
        // Without its request phase a request has no route, and nothing is known to count. And
        // one that is logged twice is counted once.
        let (Role::Guard(plugin), Some(observed)) = (role, self.observed.take()) else {
            return;
        };
        let flags = flags(host);
        let Answered { status, attempts } = observed.answered.unwrap_or_else(|| Answered {
            status: number(host, "response\0code").and_then(|code| u16::try_from(code).ok()),
            attempts: attempts(host),
        });
        let outcome = Outcome::of(flags, status);
        leave_outcome(host, outcome.name());
        let exchange = Counted {
            outcome,
            retries: attempts.map_or(0, |attempts| attempts.saturating_sub(1)),
            was_delayed: flags.intersects(Flags::DI),
            duration_ms: observed.elapsed(host).map(|elapsed| elapsed / 1_000_000),
        };
        plugin.metrics.count(host, observed.by.slot, &exchange);
    }
}

impl Observed {
    /// Nanoseconds since the request came. By a clock that can be set: if it was set back, none.
    fn elapsed(&self, host: &impl Host) -> Option<u64> {
        host.now().ok()?.checked_sub(self.start?)
    }
}

/// Answers a request that no route takes, unless the configuration only observes.
fn refuse<'p>(
    host: &impl Host,
    plugin: &Plugin,
    outcome: &str,
    problem: impl FnOnce() -> problem::Problem<'p>,
) -> Action {
    match plugin.config.fallback {
        Fallback::Observe => Action::Continue,
        Fallback::Enforce => answer(host, outcome, &problem()),
    }
}

/// Answers a request, which goes no further.
fn answer(host: &impl Host, outcome: &str, problem: &problem::Problem<'_>) -> Action {
    leave_outcome(host, outcome);
    // The host takes every answer; if it did not, the request would still not go on.
    let _ = host.answer(problem);
    Action::Pause
}

/// Leaves the outcome where access logs find it, as `%FILTER_STATE(wasm.faultline.outcome:PLAIN)%`.
fn leave_outcome(host: &impl Host, outcome: &str) {
    // One path element: two would be joined by NUL, and no access log format can name that.
    // Where it cannot be left, the log has none.
    let _ = host.set_property("faultline.outcome", outcome);
}

fn status(host: &impl Host) -> Option<u16> {
    let status = host.header(Headers::Response, ":status").ok()?;
    str::from_utf8(&status).ok()?.parse().ok()
}

fn number(host: &impl Host, path: &str) -> Option<u64> {
    little_endian(&host.property(path).ok()?)
}

fn flags(host: &impl Host) -> Flags {
    Flags::from_property(host.property("response\0flags").ok().as_deref())
}

/// How often the upstream was tried, if it was: the host also says 0 for never.
fn attempts(host: &impl Host) -> Option<u64> {
    number(host, "upstream\0request_attempt_count").filter(|attempts| *attempts > 0)
}
