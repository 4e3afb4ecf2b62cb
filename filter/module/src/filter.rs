//! One request on its way through the filter.

use crate::{Configured, guard::catch};
use faultline_filter::{Action, Host, Role, Stream};
use std::cell::Cell;

/// The state of one request.
///
/// Envoy may call a hook while another is still asking it something, so nothing is borrowed from it
/// meanwhile.
pub struct Filter<'c> {
    configured: &'c Configured,
    stream: Stream,
    /// A hook has panicked: from then on it is as if the filter were not there.
    is_out: Cell<bool>,
}

impl<'c> Filter<'c> {
    /// A request that has just arrived.
    pub const fn new(configured: &'c Configured) -> Self {
        Self {
            configured,
            stream: Stream::new(),
            is_out: Cell::new(false),
        }
    }

    /// Its headers have arrived.
    pub fn on_request_headers(&self, host: &impl Host) -> Action {
        let action = self.guarded("request_headers", host, |stream, role| {
            stream.on_request_headers(host, role)
        });
        action.unwrap_or(Action::Continue)
    }

    /// The headers of its response go out.
    pub fn on_response_headers(&self, host: &impl Host) {
        self.guarded("response_headers", host, |stream, role| {
            stream.on_response_headers(host, role);
        });
    }

    /// It has ended.
    pub fn on_stream_complete(&self, host: &impl Host) {
        self.guarded("stream_complete", host, |stream, role| {
            stream.on_log(host, role);
        });
    }

    /// Does `what` in the hook `hook`, if there is anything to do. If that panics, it is counted.
    fn guarded<T>(
        &self,
        hook: &str,
        host: &impl Host,
        what: impl FnOnce(&Stream, &Role) -> T,
    ) -> Option<T> {
        let role = self.configured.role()?;
        if self.is_out.get() {
            return None;
        }
        let done = catch(|| {
            provoke(hook, host);
            what(&self.stream, role)
        });
        if done.is_err() {
            self.is_out.set(true);
            // Nothing is left to do if counting panics too.
            let _ = catch(|| self.configured.count_panic(host));
        }
        done.ok()
    }
}

/// Panics in the hook that the request names, in the build for tests of the guard.
#[cfg(feature = "provoke")]
fn provoke(hook: &str, host: &impl Host) {
    use faultline_filter::host::Headers;
    let named = host.header(Headers::Request, "x-faultline-provoke").ok();
    crate::guard::provoke(hook, named.as_deref());
}

#[cfg(not(feature = "provoke"))]
fn provoke(_: &str, _: &impl Host) {}
