//! For tests of the services: the real binaries as processes, a network hop that can fail, and
//! waiting for a condition with a deadline. Everything in here panics with a reason when it cannot
//! do what a test asked: then the test has failed.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this crate is test code: it fails by panicking"
)]

pub mod disk;
pub mod events;
pub mod hop;
pub mod openapi;
pub mod postgres;
pub mod process;

use std::time::{Duration, Instant};

/// How long anything in a test may take before the test has failed. Generous: machines that run
/// tests are busy. Nothing waits this long unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Tries until `attempt` gives something.
///
/// # Panics
/// When it has not within [`DEADLINE`].
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(
            started.elapsed() < DEADLINE,
            "not within {DEADLINE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
