//! The plugin: its configuration, shared by all of its requests.

use crate::{
    host::Host,
    metrics::{Defined, Metrics},
};
#[cfg(target_arch = "wasm32")]
use alloc::rc::Rc as Shared;
#[cfg(not(target_arch = "wasm32"))]
use alloc::sync::Arc as Shared;
use alloc::vec::Vec;
use faultline_filter_core::Config;

/// A configuration with the metrics it counts into.
pub struct Plugin {
    pub(crate) config: Shared<Config>,
    pub(crate) metrics: Metrics,
}

/// What a plugin does with its requests.
///
/// A native host shares one between all of its workers. A VM of WebAssembly has one thread, and a
/// count without atomics makes the module half a kilobyte smaller.
#[derive(Clone)]
pub enum Role {
    /// It takes them through its configuration.
    Guard(Shared<Plugin>),
    /// It never had a valid configuration, and answers 503 to all of them.
    Refuse,
}

/// The variable of the environment (in Istio, `vmConfig.env` of the WasmPlugin) that decides over
/// requests while there has been no valid configuration: `pass` or `refuse`. It can be read when the
/// configuration cannot.
pub const UNCONFIGURED: &str = "FAULTLINE_UNCONFIGURED";

/// The last good configuration of each plugin, by the plugin's name.
///
/// An update is a new plugin. A nameless one cannot be told from the next and is not kept.
#[derive(Default)]
pub struct Plugins {
    good: Vec<(Vec<u8>, Shared<Config>)>,
}

impl Plugins {
    /// None yet.
    pub const fn new() -> Self {
        Self { good: Vec::new() }
    }

    /// Takes the configuration that the host has now, or refuses it with a line in the log that
    /// names the key; then it is the one before. If there was none, [`UNCONFIGURED`] decides; `None`
    /// lets requests pass. The metrics are defined beside those `defined` already.
    pub fn configure(&mut self, host: &impl Host, defined: &mut Defined) -> Option<Role> {
        // Without any bytes the parser says that the configuration is missing.
        let text = host.configuration().ok();
        match Config::parse(text.as_deref().unwrap_or_default()) {
            Ok(config) => {
                let config = Shared::new(config);
                if let Some(name) = name(host) {
                    self.remember(&name, Shared::clone(&config));
                }
                Some(guard(host, defined, config))
            }
            Err(error) => self.refuse(host, defined, &error.line()),
        }
    }

    /// Refuses the configuration that the host has now, for this reason.
    pub fn refuse(
        &mut self,
        host: &impl Host,
        defined: &mut Defined,
        reason: &str,
    ) -> Option<Role> {
        let before = name(host).and_then(|name| self.recall(&name));
        let role = before
            .map(|config| guard(host, defined, config))
            .or_else(|| refuses_unconfigured(host).then_some(Role::Refuse));
        let consequence = match role {
            Some(Role::Guard(_)) => "the one before stays",
            Some(Role::Refuse) => "requests get 503",
            None => "requests pass untouched",
        };
        let line = [
            "faultline: configuration refused, ",
            consequence,
            ": ",
            reason,
        ];
        host.log_error(&line.concat());
        defined.count_config_error(host);
        role
    }

    fn remember(&mut self, name: &[u8], config: Shared<Config>) {
        self.good.retain(|(known, _)| known != name);
        self.good.push((name.to_vec(), config));
    }

    fn recall(&self, name: &[u8]) -> Option<Shared<Config>> {
        let (_, config) = self.good.iter().find(|(known, _)| known == name)?;
        Some(Shared::clone(config))
    }
}

/// The plugin's name, if it has one.
fn name<H: Host>(host: &H) -> Option<H::Bytes> {
    let name = host.property("plugin_name").ok();
    name.filter(|name| !name.is_empty())
}

fn guard(host: &impl Host, defined: &mut Defined, config: Shared<Config>) -> Role {
    let metrics = Metrics::define(host, defined, &config);
    Role::Guard(Shared::new(Plugin { config, metrics }))
}

/// Whether the environment asks for requests to be refused. A value that is neither counts as
/// `refuse`: whoever sets the variable does not want requests to pass by mistake.
fn refuses_unconfigured(host: &impl Host) -> bool {
    match host.environment(UNCONFIGURED).as_deref() {
        None | Some(b"pass") => false,
        Some(b"refuse") => true,
        Some(_) => {
            let line = [
                "faultline: ",
                UNCONFIGURED,
                " is neither pass nor refuse: refuse is taken",
            ];
            host.log_error(&line.concat());
            true
        }
    }
}
