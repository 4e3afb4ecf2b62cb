//! `faultline_filter_fuzz::module` for cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faultline_filter_fuzz::module(bytes));
