//! Faultline's Envoy filter: the proxy-wasm adapter around the pure core.
//!
//! `root` reads the configuration, `stream` takes one request through the core, `metrics` counts.
//! What they ask of the host is in `host`, apart from the calls that count.

mod host;
mod metrics;
mod root;
mod stream;

mod entry {
    use crate::root::Root;
    use proxy_wasm::{traits::RootContext, types::LogLevel};

    proxy_wasm::main! {{
        proxy_wasm::set_log_level(LogLevel::Info);
        proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root::default()) });
    }}
}
