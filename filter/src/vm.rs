//! The callbacks of the proxy, for every context of this VM.

use crate::{
    contexts::Contexts,
    host::Host,
    metrics::Defined,
    plugin::{Plugins, Role},
    stream::{Action, Stream},
};

/// One copy of the filter: a worker of the proxy has one for all plugins of the same module.
///
/// Callbacks may come in any order. A context that is not known, since it was never created or is
/// past, is let pass and not counted.
pub struct Vm<H> {
    host: H,
    defined: Defined,
    plugins: Plugins,
    roots: Contexts<Role>,
    streams: Contexts<(Role, Stream)>,
}

impl<H: Host> Vm<H> {
    /// A VM without any plugin.
    pub const fn new(host: H) -> Self {
        Self {
            host,
            defined: Defined::new(),
            plugins: Plugins::new(),
            roots: Contexts::new(),
            streams: Contexts::new(),
        }
    }

    /// A request arrives at the plugin `parent`. (A plugin's own context has no known parent.)
    pub fn on_context_create(&mut self, id: u32, parent: u32) {
        if let Some(role) = self.roots.get(parent) {
            self.streams.insert(id, (role.clone(), Stream::new()));
        }
    }

    /// A plugin is given its configuration.
    ///
    /// One that is refused is reported as taken all the same. Told otherwise, Envoy answers every
    /// request with 500 if the plugin came by discovery and is the proxy's first, whatever the
    /// failure policy, and does not start at all if it is in its bootstrap. So the plugin goes on
    /// as it was before. If there was no before, requests pass untouched or, if the environment says
    /// so ([`crate::plugin::UNCONFIGURED`]), get 503.
    pub fn on_configure(&mut self, id: u32) -> bool {
        match self.plugins.configure(&self.host, &mut self.defined) {
            Some(role) => self.roots.insert(id, role),
            None => {
                self.roots.remove(id);
            }
        }
        true
    }

    /// The headers of a request have arrived.
    pub fn on_request_headers(&mut self, id: u32) -> Action {
        match self.streams.get(id) {
            Some((role, stream)) => stream.on_request_headers(&self.host, role),
            None => Action::Continue,
        }
    }

    /// The headers of a response go out.
    pub fn on_response_headers(&mut self, id: u32) {
        if let Some((role, stream)) = self.streams.get(id) {
            stream.on_response_headers(&self.host, role);
        }
    }

    /// A request has ended.
    pub fn on_log(&mut self, id: u32) {
        if let Some((role, stream)) = self.streams.get(id) {
            stream.on_log(&self.host, role);
        }
    }

    /// A context is gone.
    pub fn on_delete(&mut self, id: u32) {
        self.streams.remove(id);
        self.roots.remove(id);
    }

    /// The host.
    pub fn host(&self) -> &H {
        &self.host
    }

    /// How many contexts it keeps something for.
    pub fn contexts(&self) -> usize {
        self.roots.len() + self.streams.len()
    }
}
