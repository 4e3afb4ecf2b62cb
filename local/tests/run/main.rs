//! `faultline-local` as a person runs it: the real program, the real Envoy, the real services.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

mod acceptance;
mod detached;
mod ends;
mod harness;
mod keeps;
mod refusals;
mod script;
