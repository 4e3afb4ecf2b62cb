//! The targets on the corpus, and on a bounded number of random inputs: on stable, in every
//! `cargo test`. `libfuzzer/` goes on for as long as one likes.
#![expect(
    clippy::unwrap_used,
    reason = "a test fails where something is missing"
)]

use faultline_filter_fuzz::{TARGETS, wasm::Module};
use proptest::prelude::*;
use std::{fs, path::Path, sync::LazyLock};

/// Inputs that found something new while fuzzing.
#[test]
fn the_corpus_is_replayed() {
    for (name, target) in TARGETS {
        replay(name, target);
    }
    replay("wasm", |bytes| MODULE.run(bytes));
}

fn replay(name: &str, target: impl Fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let mut count = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        target(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 10, "{name}: {count} inputs");
}

/// The module as it is built for the proxy.
static MODULE: LazyLock<Module> =
    LazyLock::new(|| Module::read(&faultline_testbed::filter().unwrap()).unwrap());

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_inputs_break_no_promise(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        for (_, target) in TARGETS {
            target(&bytes);
        }
    }

    /// Configurations that nearly are right: one of the cases, some of it replaced.
    #[test]
    fn damaged_configurations_break_no_promise(
        case in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        length in 0_usize..4,
        bytes in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let cases: Vec<serde_json::Value> =
            serde_json::from_str(include_str!("../../core/cases/configurations.json")).unwrap();
        let mut text = case.get(&cases)["config"].to_string().into_bytes();
        let start = place.index(text.len());
        let end = (start + length).min(text.len());
        text.splice(start..end, bytes);
        faultline_filter_fuzz::configuration(&text);
    }
}

proptest! {
    // Each in a VM of its own.
    #![proptest_config(ProptestConfig { cases: 1_000, max_shrink_iters: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn random_inputs_break_no_promise_of_the_module(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        MODULE.run(&bytes);
    }
}
