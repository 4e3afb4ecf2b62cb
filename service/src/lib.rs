//! What both services need, once: start-up, telemetry, health, limits, problems, durable storage
//! and shutdown, and the types they exchange.
//!
//! Data flows one way: [`entry`], [`api`], [`query`] and [`body`] turn bytes into types and refuse
//! the rest as a [`problem`]; a service decides; [`group_commit`] makes the effect durable.
//! [`http`] wraps a service's own routes in what every route needs, [`server`] serves and drains.

pub mod access_log;
pub mod api;
pub mod body;
pub mod context;
pub mod cursor;
pub mod entry;
pub mod group_commit;
pub mod health;
pub mod http;
pub mod limits;
pub mod metrics;
pub mod openapi;
pub mod problem;
pub mod query;
mod reserve;
pub mod server;
pub mod sqlite;
pub mod startup;
