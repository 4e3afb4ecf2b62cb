//! Faultline's Envoy filter as a dynamic module: a shared object that Envoy loads into its process.
//!
//! Configuration, decisions, annotations and metrics are those of the adapter around the pure core,
//! which the WebAssembly module has too. What differs is here: [`Configured`] is shared by all of
//! Envoy's workers, [`Filter`] is the state of one request, and since nothing stands between this
//! code and the proxy, both catch every panic. `abi` exports the hooks that Envoy calls, and is the
//! only part with `unsafe` in it.

#[cfg(any(feature = "abi", test))]
mod abi;
mod configured;
#[cfg(any(feature = "abi", test))]
mod envoy;
mod filter;
mod guard;

pub use configured::Configured;
pub use filter::Filter;
