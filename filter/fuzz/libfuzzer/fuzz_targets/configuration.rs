//! `faultline_filter_fuzz::configuration` for cargo-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| faultline_filter_fuzz::configuration(bytes));
