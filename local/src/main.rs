//! `faultline-local`: Faultline without a cluster.

fn main() {}
