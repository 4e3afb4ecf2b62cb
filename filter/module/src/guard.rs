//! Panics: caught before they reach Envoy, whose process they would end.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// A panic that was caught. The panic hook has logged it by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Does `what`, and catches a panic in it.
///
/// State that a panic leaves half changed is the caller's to leave alone afterwards.
pub(crate) fn catch<T>(what: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(what)).map_err(|_| Panicked)
}

/// Panics if the bytes say so, in the build for tests of the guard.
#[cfg(feature = "provoke")]
#[expect(clippy::panic, reason = "the guard is tested with it")]
pub(crate) fn provoke(place: &str, bytes: Option<&[u8]>) {
    if bytes == Some(place.as_bytes()) {
        panic!("provoked in {place}");
    }
}
