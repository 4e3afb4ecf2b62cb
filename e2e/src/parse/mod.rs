//! What proxies and applications write, read into types. Pure: bytes in, values out.

pub mod config;
pub mod log;
pub mod proxy_status;
pub mod reach;
pub mod server_timing;
pub mod stats;
pub mod version;
