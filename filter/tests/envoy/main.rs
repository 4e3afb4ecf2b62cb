//! The filter's module in real Envoy.
//!
//! The version is `$FAULTLINE_ENVOY_VERSION`, else the testbed's default. Every test starts its
//! own proxy and its own upstream on ports of the system's choice, waits for conditions and
//! never for a time.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a failure here is the test failing"
)]

mod annotations;
mod answers;
mod client;
mod configuration;
mod connections;
mod documents;
mod example;
mod failing;
mod guard;
mod host;
mod http2;
mod module;
mod native;
mod normalisation;
mod outcomes;
mod panics;
mod parameters;
mod protocols;
mod proxy;
mod questions;
mod routes;
mod scenario;
mod statistics;
mod traffic;
mod tricks;
mod updates;
mod workers;

/// The tricks of the acceptance suite, which is a program of its own.
#[path = "../../../e2e/src/cases/tricks.rs"]
#[expect(
    dead_code,
    reason = "the suite says of each who refuses it; here any refusal is as good"
)]
mod acceptance;

/// And those at a table with hosts, templates and prefixes.
#[path = "../../../e2e/src/shop/mod.rs"]
mod shop;
