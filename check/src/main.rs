//! The program `faultline`.

fn main() {}
