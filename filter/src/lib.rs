//! Faultline's Envoy filter: the proxy-wasm adapter around the pure core.
//!
//! [`Vm`] has a method for each callback of the proxy: it reads configurations and takes requests
//! through the core. What it asks of the proxy goes through [`Host`]. Compiled to WebAssembly,
//! `abi` is that host and exports the callbacks; natively, tests bring hosts of their own.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

#[cfg(target_arch = "wasm32")]
mod abi;
mod contexts;
pub mod host;
#[cfg(any(target_arch = "wasm32", test))]
mod memory;
mod metrics;
pub mod pairs;
pub mod plugin;
mod stream;
mod vm;

pub use host::Host;
pub use stream::Action;
pub use vm::Vm;
