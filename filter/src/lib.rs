//! Faultline's Envoy filter: the proxy-wasm adapter around the pure core.
