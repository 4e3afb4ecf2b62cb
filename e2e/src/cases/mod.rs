//! The cases, in the order they run: reads first, then what changes the mesh, the script last.

mod access_log;
mod again;
mod analyze;
mod annotations;
mod authorization;
mod boundary;
mod broken;
mod delay;
mod deploy;
mod entries;
mod envoy_gateway;
mod example_module;
mod examples;
mod gateway;
mod healthy;
mod history;
mod idempotency;
mod injection;
mod kept;
mod limits;
mod lost;
mod mtls;
mod neighbour;
mod oci;
mod pages;
mod push_filter;
mod retries;
mod rolling;
mod routing;
mod script;
mod shop;
mod sightings;
mod takeover;
mod timeout;
pub(crate) mod tricks;
mod undisturbed;
mod unknown;

use crate::case::Case;

/// Every case.
pub const ALL: &[Case] = &[
    gateway::PORT_80,
    injection::SIDECARS,
    routing::ROUTES,
    unknown::NOT_FOUND,
    unknown::NORMALISED,
    annotations::NOT_FOUND,
    annotations::METHOD,
    annotations::TIMEOUT,
    delay::DELAY,
    delay::COUNTED,
    timeout::GET,
    timeout::POST,
    retries::ATTEMPTS,
    retries::COUNTED,
    limits::CONFIGURED,
    limits::BURST,
    mtls::PLAINTEXT,
    mtls::IDENTITIES,
    authorization::STRANGER,
    oci::DIGEST,
    idempotency::KEY,
    access_log::OUTCOME,
    analyze::CLEAN,
    healthy::NO_FAULT,
    authorization::INSIDER,
    boundary::EGRESS,
    boundary::NETWORK,
    broken::DELETED,
    broken::WRONG_DIGEST,
    broken::GARBAGE,
    broken::UNLOADABLE,
    push_filter::BOTH_FORMS,
    examples::WASM_PLUGIN,
    examples::TRAFFIC_EXTENSION,
    examples::ENVOY_GATEWAY,
    example_module::MODULE,
    shop::TRICKS,
    lost::NOTHING_LOST,
    rolling::UNBROKEN,
    kept::KEPT,
    takeover::TAKEOVER,
    again::AGAIN,
    deploy::REFUSALS,
    neighbour::NEIGHBOUR,
    deploy::DELETE,
];
