//! The core stays a core: nothing it is built from knows a host.
#![cfg(not(target_arch = "wasm32"))]

use std::process::Command;

#[test]
fn the_core_depends_on_a_lexer_alone() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--depth", "1"])
        .args(["--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8_lossy(&output.stdout);
    let names: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(names, ["faultline-filter-core", "hifijson"], "{output:?}");
}
