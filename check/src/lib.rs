//! A checker of Istio resources: what validates and still does something else than it says.
//!
//! Texts become documents ([`yaml`]), documents a model of routes and policies ([`model`]), the model is seen as a
//! [`mesh`] sees it, and [`rules`] judge it.

pub mod check;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod files;
pub mod finding;
pub mod ignore;
pub mod mesh;
pub mod model;
pub mod output;
pub mod proof;
pub mod rules;
pub mod version;
pub mod yaml;
