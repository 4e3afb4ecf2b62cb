//! The plugin: its configuration, shared by all of its requests.

use crate::{
    host::Host,
    metrics::{Defined, Metrics},
};
use alloc::{rc::Rc, vec::Vec};
use faultline_filter_core::Config;

/// A configuration with the metrics it counts into.
pub(crate) struct Plugin {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
}

/// What a plugin does with its requests.
#[derive(Clone)]
pub(crate) enum Role {
    /// It takes them through its configuration.
    Guard(Rc<Plugin>),
    /// It never had a valid configuration, and answers 503 to all of them.
    Refuse,
}

/// The variable of the environment (in Istio, `vmConfig.env` of the WasmPlugin) that decides over
/// requests while there has been no valid configuration: `pass` or `refuse`. It can be read when the
/// configuration cannot.
pub const UNCONFIGURED: &str = "FAULTLINE_UNCONFIGURED";

/// What the plugins of this VM share: the metrics defined so far, and the last good configuration
/// of each plugin, by the plugin's name.
///
/// An update makes a new root context in the same VM. Plugins with the same module share the VM,
/// so a nameless one cannot be told from the next and is not kept.
pub(crate) struct Plugins {
    defined: Defined,
    good: Vec<(Vec<u8>, Rc<Plugin>)>,
}

impl Plugins {
    pub(crate) const fn new() -> Self {
        Self {
            defined: Defined::new(),
            good: Vec::new(),
        }
    }

    /// Takes the configuration that the host has now, or refuses it with a line in the log that
    /// names the key; then it is the one before. If there was none, [`UNCONFIGURED`] decides; `None`
    /// lets requests pass.
    pub(crate) fn configure(&mut self, host: &impl Host) -> Option<Role> {
        let name = host.property("plugin_name").ok();
        let name = name.as_deref().filter(|name| !name.is_empty());
        // Without any bytes the parser says that the configuration is missing.
        let text = host.configuration().ok();
        match Config::parse(text.as_deref().unwrap_or_default()) {
            Ok(config) => {
                let metrics = Metrics::define(host, &mut self.defined, &config);
                let plugin = Rc::new(Plugin { config, metrics });
                if let Some(name) = name {
                    self.remember(name, Rc::clone(&plugin));
                }
                Some(Role::Guard(plugin))
            }
            Err(error) => {
                let before = name.and_then(|name| self.recall(name)).map(Role::Guard);
                let role = before.or_else(|| refuses_unconfigured(host).then_some(Role::Refuse));
                let consequence = match role {
                    Some(Role::Guard(_)) => "the one before stays",
                    Some(Role::Refuse) => "requests get 503",
                    None => "requests pass untouched",
                };
                let line = [
                    "faultline: configuration refused, ",
                    consequence,
                    ": ",
                    &error.line(),
                ];
                host.log_error(&line.concat());
                self.defined.count_config_error(host);
                role
            }
        }
    }

    fn remember(&mut self, name: &[u8], plugin: Rc<Plugin>) {
        self.good.retain(|(known, _)| known != name);
        self.good.push((name.to_vec(), plugin));
    }

    fn recall(&self, name: &[u8]) -> Option<Rc<Plugin>> {
        let (_, plugin) = self.good.iter().find(|(known, _)| known == name)?;
        Some(Rc::clone(plugin))
    }
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
