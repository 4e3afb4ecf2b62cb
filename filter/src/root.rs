//! The plugin: its configuration, shared by all of its requests.

use crate::{
    host,
    metrics::{self, Metrics},
    stream::Stream,
};
use faultline_filter_core::Config;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;
use std::rc::Rc;

/// A configuration with the metrics it counts into.
pub(crate) struct Plugin {
    pub(crate) config: Config,
    pub(crate) metrics: Metrics,
}

/// The root context: one per configured plugin and worker.
#[derive(Default)]
pub(crate) struct Root {
    plugin: Option<Rc<Plugin>>,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _size: usize) -> bool {
        match Config::parse(&host::configuration()) {
            Ok(config) => {
                let metrics = Metrics::define(&config);
                self.plugin = Some(Rc::new(Plugin { config, metrics }));
                true
            }
            Err(error) => {
                log::error!("faultline: configuration refused: {error}");
                metrics::count_config_error();
                false
            }
        }
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, _id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(self.plugin.clone())))
    }
}
