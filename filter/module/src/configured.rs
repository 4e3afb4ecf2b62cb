//! A configuration of the filter, as Envoy holds it.

use crate::guard::catch;
use faultline_filter::{
    Defined, Host, Plugins, Role,
    host::{MetricId, MetricKind},
};
use faultline_filter_core::metrics::PANICS;

/// A configuration with everything its requests share.
///
/// Envoy makes one at each change, on its main thread, and all of its workers read it.
pub struct Configured {
    role: Option<Role>,
    panics: Option<MetricId>,
}

/// Holds it to what Envoy's workers need.
const _: fn() = || {
    fn is_shared<T: Send + Sync>() {}
    is_shared::<Configured>();
};

impl Configured {
    /// Takes the configuration that the host has now, or what stands in for it
    /// ([`Plugins::configure`]). Where taking it panics, it is refused.
    ///
    /// It is never refused to Envoy, which would not start, or would not take the listener.
    pub fn new(plugins: &mut Plugins, host: &impl Host) -> Self {
        // Ids are those of one configuration, so each defines all it counts.
        let mut defined = Defined::new();
        let panics = defined.define(host, MetricKind::Counter, PANICS.to_owned());
        let taken = catch(|| {
            #[cfg(feature = "provoke")]
            crate::guard::provoke("configuration", host.configuration().ok().as_deref());
            plugins.configure(host, &mut defined)
        });
        let role = taken.unwrap_or_else(|_| {
            count(host, panics);
            let refused = catch(|| plugins.refuse(host, &mut defined, "the filter panicked"));
            refused.unwrap_or_default()
        });
        Self { role, panics }
    }

    /// What becomes of its requests; they pass if there is nothing.
    pub(crate) fn role(&self) -> Option<&Role> {
        self.role.as_ref()
    }

    /// Counts a panic in one of its requests.
    pub(crate) fn count_panic(&self, host: &impl Host) {
        count(host, self.panics);
    }
}

fn count(host: &impl Host, panics: Option<MetricId>) {
    if let Some(id) = panics {
        // The only failure is an id the host does not know, and then there is nothing to count.
        let _ = host.add(id, 1);
    }
}
