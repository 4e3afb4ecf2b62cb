//! The acceptance suite: proves every feature of a deployed Faultline with real requests.
//!
//! A [`case::Case`] is data and one async function. It sees the deployment only through
//! [`environment::Environment`]: the gateway from outside, and the mesh from inside (logs, calls,
//! statistics, configuration). It answers with one line that shows what was measured, or with what
//! was expected, what was seen, and where to look.
//!
//! The same program, as an image, is what runs inside the mesh: see [`inside`].

pub mod case;
pub mod cases;
pub mod client_hello;
pub mod cluster;
pub mod converge;
pub mod environment;
pub mod exchange;
pub mod gateway;
pub mod inside;
pub mod listing;
pub mod local;
pub mod parse;
pub mod part;
pub mod prove;
pub mod raw;
pub mod report;
pub mod rules;
pub mod shop;
pub mod unmet;
pub mod victim;
pub mod watch;
