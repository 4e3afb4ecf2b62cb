//! The plugin: its configuration, shared by all of its requests.

use crate::{
    host,
    metrics::{self, Metrics},
    stream::Stream,
};
use faultline_filter_core::Config;
use proxy_wasm::{
    traits::{Context, HttpContext, RootContext},
    types::{Bytes, ContextType},
};
use std::{cell::RefCell, rc::Rc};

/// A configuration with the metrics it counts into.
pub(crate) struct Plugin {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
}

thread_local! {
    /// The last good configuration of each plugin in this VM, by the plugin's name.
    ///
    /// An update makes a new root context in the same VM. Plugins with the same module share the
    /// VM, so a nameless one cannot be told from the next and is not kept.
    static GOOD: RefCell<Vec<(Bytes, Rc<Plugin>)>> = const { RefCell::new(Vec::new()) };
}

fn remember(name: Bytes, plugin: Rc<Plugin>) {
    GOOD.with_borrow_mut(|good| {
        good.retain(|(known, _)| *known != name);
        good.push((name, plugin));
    });
}

fn recall(name: &Bytes) -> Option<Rc<Plugin>> {
    GOOD.with_borrow(|good| {
        let (_, plugin) = good.iter().find(|(known, _)| known == name)?;
        Some(Rc::clone(plugin))
    })
}

/// The root context: one per configured plugin and worker.
#[derive(Default)]
pub(crate) struct Root {
    plugin: Option<Rc<Plugin>>,
}

impl Context for Root {}

impl RootContext for Root {
    /// Takes a configuration, or refuses it with a line in the log that names the key.
    ///
    /// A refused one is reported as taken all the same. Told otherwise, Envoy answers every
    /// request with 500 if the plugin came by discovery and is the proxy's first, whatever the
    /// failure policy, and does not start at all if it is in its bootstrap. So the plugin goes on
    /// as it was before, or lets requests pass untouched if there was no before.
    fn on_configure(&mut self, _size: usize) -> bool {
        let name = host::plugin_name().filter(|name| !name.is_empty());
        match Config::parse(&host::configuration()) {
            Ok(config) => {
                let metrics = Metrics::define(&config);
                let plugin = Rc::new(Plugin { config, metrics });
                if let Some(name) = name {
                    remember(name, Rc::clone(&plugin));
                }
                self.plugin = Some(plugin);
            }
            Err(error) => {
                self.plugin = name.and_then(|name| recall(&name));
                let consequence = match self.plugin {
                    Some(_) => "the one before stays",
                    None => "requests pass untouched",
                };
                log::error!("faultline: configuration refused, {consequence}: {error}");
                metrics::count_config_error();
            }
        }
        true
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.plugin.clone())))
    }
}
