//! Side-by-side benchmarks of the filter: interleaved, as ratios to bare Envoy.
