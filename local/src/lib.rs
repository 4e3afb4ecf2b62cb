//! Faultline without a cluster: the same hops as listeners of one real Envoy on loopback.
//!
//! Data flows one way: [`mesh`] is what `istio/` says, [`topology`] who runs where, [`envoy`] turns
//! both into Envoy's configuration; what is left is processes and files.

pub mod binary;
pub mod certificates;
pub mod envoy;
mod error;
pub mod mesh;
pub mod ports;
pub mod topology;

pub use error::Error;
