//! Faultline without a cluster: the same hops as listeners of one real Envoy on loopback.
//!
//! Data flows one way: [`mesh`] is what `istio/` says, [`topology`] who runs where, [`envoy`] turns
//! both into Envoy's configuration; what is left is processes and files.

pub mod binary;
pub mod certificates;
pub mod child;
pub mod console;
pub mod control;
pub mod envoy;
mod error;
pub mod fleet;
pub mod live;
pub mod mesh;
pub mod options;
pub mod ports;
pub mod prepare;
pub mod ready;
pub mod recipes;
pub mod run;
pub mod run_file;
pub mod signals;
pub mod state;
pub mod topology;

pub use error::Error;
