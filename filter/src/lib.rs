//! Faultline's Envoy filter: the proxy-wasm adapter around the pure core.
//!
//! [`Vm`] has a method for each callback of the proxy: it reads configurations and takes requests
//! through the core. What it asks of the proxy goes through [`Host`]. Compiled to WebAssembly,
//! `abi` is that host and exports the callbacks; natively, tests bring hosts of their own.
//!
//! A host that keeps the state of its requests itself, as `filter/module` does, needs no [`Vm`]: it
//! has [`Plugins`] for configurations and a [`Stream`] for each request.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod abi;
mod contexts;
pub mod host;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;
pub mod metrics;
pub mod pairs;
pub mod plugin;
pub mod stream;
mod vm;

pub use host::Host;
pub use metrics::Defined;
pub use plugin::{Plugins, Role};
pub use stream::{Action, Stream};
pub use vm::Vm;
