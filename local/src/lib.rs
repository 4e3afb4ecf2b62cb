//! Faultline without a cluster: the same hops as listeners of one real Envoy on loopback.
//!
//! [`mesh`] is what `istio/` says; [`envoy`] turns it into Envoy's configuration.

pub mod mesh;
