//! The filter's pure core: bytes in, decisions out, with no host in it.
//!
//! The way of a request through it: [`Config::parse`] reads the plugin's configuration once;
//! [`Config::admit`] decides over host, path and method; [`Outcome::of`] names how the exchange
//! ended; [`annotate`] says so in standard headers and [`metrics`] in bounded metric names.
//!
//! Nothing here panics, whatever the bytes: the lints refuse what could, and the properties in
//! `tests/` look for what the lints miss.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod annotate;
pub mod config;
pub mod flags;
pub mod hosts;
mod index;
mod json;
pub mod method;
pub mod metrics;
pub mod name;
pub mod outcome;
pub mod path;
mod prefix;
pub mod problem;
pub mod route;
mod routes;
pub mod table;
pub mod template;
mod text;

pub use annotate::{Origin, Report};
pub use config::{Config, Fallback, Reads};
pub use flags::Flags;
pub use hosts::Hosts;
pub use json::ConfigError;
pub use method::Methods;
pub use metrics::Labels;
pub use name::Name;
pub use outcome::Outcome;
pub use route::{Admission, Annotation, Cors, Observation, Pattern, Route, Slot};
pub use table::RouteTable;
