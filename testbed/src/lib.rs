//! Real Envoy and scripted upstreams for tests and benchmarks.
