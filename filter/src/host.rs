//! What the filter asks of its host, apart from counting.
//!
//! The SDK's host calls panic on a status they do not expect, so each is used only where the
//! host cannot give one: request headers in the request phase, response headers in the response
//! phase, and so on. What may be absent is an `Option`, and every value is bytes.

use core::time::Duration;
use faultline_filter_core::{flags::little_endian, problem::Problem};
use proxy_wasm::{
    hostcalls,
    types::{BufferType, Bytes, MapType},
};
use std::time::SystemTime;

/// The plugin's configuration. Only while it is being configured.
pub(crate) fn configuration() -> Bytes {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, usize::MAX)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// The name the plugin was given in the proxy's configuration.
pub(crate) fn plugin_name() -> Option<Bytes> {
    property(&["plugin_name"])
}

/// `:path`, with the query. Only in the request phase.
pub(crate) fn path() -> Option<Bytes> {
    request_header(":path")
}

/// `:method`. Only in the request phase.
pub(crate) fn method() -> Option<Bytes> {
    request_header(":method")
}

fn request_header(name: &str) -> Option<Bytes> {
    hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name)
        .ok()
        .flatten()
}

/// `:status`. Only in the response phase.
pub(crate) fn status() -> Option<u16> {
    let status = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, ":status").ok()??;
    str::from_utf8(&status).ok()?.parse().ok()
}

/// Adds a response header beside those of the same name: for a list header that is appending
/// to the list. Only in the response phase.
pub(crate) fn add_response_header(name: &str, value: &str) {
    // A header map that refuses a header keeps those it has.
    let _ = hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, name, value.as_bytes());
}

/// Answers the request instead of the upstream. Only in the request phase.
pub(crate) fn answer(problem: Problem<'_>) {
    // The host takes every answer; if it did not, the request would still not go on.
    let _ = hostcalls::send_http_response(
        problem.status,
        problem.headers,
        Some(problem.body.as_bytes()),
    );
}

/// A property, if the host has it in this phase.
pub(crate) fn property(path: &[&str]) -> Option<Bytes> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

/// A numeric property.
pub(crate) fn number(path: &[&str]) -> Option<u64> {
    little_endian(&property(path)?)
}

/// Time since the request arrived.
pub(crate) fn elapsed() -> Option<Duration> {
    let start = Duration::from_nanos(number(&["request", "time"])?);
    let now = hostcalls::get_current_time().ok()?;
    now.duration_since(SystemTime::UNIX_EPOCH + start).ok()
}

/// Leaves the outcome where access logs find it, as `%FILTER_STATE(wasm.faultline.outcome:PLAIN)%`.
pub(crate) fn leave_outcome(name: &str) {
    // One path element: two would be joined by NUL, and no access log format can name that.
    let _ = hostcalls::set_property(vec!["faultline.outcome"], Some(name.as_bytes()));
}
