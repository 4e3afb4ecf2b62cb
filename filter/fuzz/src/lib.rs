//! What fuzzing does with the filter: each function takes any bytes, does something with the
//! filter that they say, and panics if a promise is broken.
//!
//! `libfuzzer/` gives them to cargo-fuzz; `tests/` replays the corpus and runs a bounded number
//! of random inputs in every `cargo test`.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a broken promise is told by a panic"
)]

mod adapter;
mod callbacks;
mod configuration;
mod matching;
mod mock;
pub mod model;
mod module;
pub mod wasm;

pub use adapter::adapter;
pub use configuration::configuration;
pub use matching::matching;
pub use module::module;

/// A fuzz target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// Every target that needs nothing but the input. [`wasm::Module`] is one more, with the module.
pub const TARGETS: [Target; 4] = [
    ("adapter", adapter),
    ("configuration", configuration),
    ("matching", matching),
    ("module", module),
];
