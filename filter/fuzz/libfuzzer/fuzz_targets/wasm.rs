//! `faultline_filter_fuzz::wasm` for cargo-fuzz, with the module that FAULTLINE_MODULE names.
#![no_main]

use faultline_filter_fuzz::wasm::Module;
use std::{env, path::Path, sync::LazyLock};

static MODULE: LazyLock<Module> = LazyLock::new(|| {
    let path = env::var_os("FAULTLINE_MODULE").expect("FAULTLINE_MODULE: what filter/build.sh prints");
    Module::read(Path::new(&path)).expect("the module")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| MODULE.run(bytes));
