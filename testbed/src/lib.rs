//! Real Envoy and scripted upstreams for tests and benchmarks.
//!
//! - [`Envoy`] runs the real proxy from a configuration, on ports the system chooses, until it
//!   is dropped; [`install`] finds or installs its binary.
//! - [`Upstream`] answers, stalls or breaks off as a script says, and remembers every request.
//! - [`filter`] and [`dynamic_module`] are the filter under test, each built once per process, so
//!   that no test meets a stale one.
//! - [`Prometheus`] answers queries over samples of whatever times.
//! - [`until`] waits for a condition, never for luck.

mod build;
mod envoy;
mod error;
pub mod install;
mod prometheus;
mod upstream;
mod wait;

pub use build::{dynamic_module, filter, provoking_module};
pub use envoy::Envoy;
pub use error::Error;
pub use prometheus::{Prometheus, Vector};
pub use upstream::{Seen, Step, Upstream};
pub use wait::{DEADLINE, until};
