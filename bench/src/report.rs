//! Everything a run found: what the table shows, and the JSON holds.

use crate::{
    config::Modules,
    environment::Environment,
    memory::Memory,
    peer::Peer,
    rounds::{Measured, Method},
    statistics::Quartiles,
    variant::{Guard, Setup, Variant},
};
use anyhow::Context;
use serde::Serialize;
use std::{fs, path::Path};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// Where it took place.
    pub(crate) environment: Environment,
    /// How it was measured.
    pub(crate) method: Method,
    /// The modules.
    pub(crate) modules: Vec<Module>,
    /// What a worker needs.
    pub(crate) memory: Vec<Memory>,
    /// Every variant.
    pub(crate) variants: Vec<Measured>,
    /// The filter beside the others.
    pub(crate) comparisons: Vec<Comparison>,
}

/// A module, in WebAssembly or native.
#[derive(Debug, Serialize)]
pub(crate) struct Module {
    /// Its guard's name.
    pub(crate) name: &'static str,
    /// Its size.
    pub(crate) bytes: u64,
}

impl Module {
    /// The filter's and its peers'.
    ///
    /// # Errors
    /// A file is not there.
    pub(crate) fn all(filter: &Modules, peers: &[&'static Peer]) -> anyhow::Result<Vec<Self>> {
        let filter = [
            (Guard::Faultline.name(), filter.wasm.as_path()),
            (Guard::FaultlineModule.name(), filter.native.as_path()),
        ];
        let peers = peers
            .iter()
            .map(|peer| (peer.name.as_str(), peer.module.as_path()));
        let sized = |(name, file): (&'static str, &Path)| {
            let metadata = fs::metadata(file).with_context(|| file.display().to_string())?;
            let bytes = metadata.len();
            Ok(Self { name, bytes })
        };
        filter.into_iter().chain(peers).map(sized).collect()
    }
}

/// The filter beside another guard.
#[derive(Debug, Serialize)]
pub(crate) struct Comparison {
    /// The filter's variant.
    #[serde(flatten)]
    pub(crate) filter: Variant,
    /// The other.
    pub(crate) against: Guard,
    /// The filter's cost divided by the other's, both as ratios to bare Envoy.
    pub(crate) quotient: Quartiles,
    /// The same of what each adds to bare Envoy; `None` where the other adds nothing.
    pub(crate) added: Option<f64>,
}

/// At most this many times what Lua costs: the bound the filter is held to.
pub(crate) const BOUND: f64 = 1.3;

/// Compares the filter with every other guard that was measured.
pub(crate) fn compare(variants: &[Measured], peers: &[&'static Peer]) -> Vec<Comparison> {
    let find = |guard, filter: Variant| {
        let setup = Setup {
            guard,
            ..filter.setup
        };
        let equal = Variant { setup, ..filter };
        variants.iter().find(|one| one.variant == equal)
    };
    let ours = [
        Guard::Lua,
        Guard::Native,
        Guard::NativeTree,
        Guard::FaultlineModule,
    ];
    let others: Vec<Guard> = ours
        .into_iter()
        .chain(peers.iter().map(|peer| Guard::Peer(peer)))
        .collect();
    let is_filter = |one: &&Measured| one.variant.setup.guard == Guard::Faultline;
    let mut all = Vec::new();
    for filter in variants.iter().filter(is_filter) {
        for &against in &others {
            if let Some(equal) = find(against, filter.variant)
                && let Some(quotient) = quotient(&filter.ratios, &equal.ratios)
            {
                all.push(Comparison {
                    filter: filter.variant,
                    against,
                    quotient,
                    added: added(filter.ratio.median, equal.ratio.median),
                });
            }
        }
    }
    all
}

/// The quartiles of the quotients, round by round.
fn quotient(filter: &[f64], equal: &[f64]) -> Option<Quartiles> {
    let quotients: Vec<f64> = filter.iter().zip(equal).map(|(a, b)| a / b).collect();
    Quartiles::of(&quotients)
}

/// What one adds to bare Envoy divided by what the other adds. Where the other adds less than
/// a twentieth, the quotient would be of noise.
fn added(filter: f64, equal: f64) -> Option<f64> {
    (equal >= 1.05).then_some((filter - 1.0) / (equal - 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_taken_round_by_round() {
        let quotient = quotient(&[1.5, 3.0, 1.2], &[1.0, 2.0, 1.2]).unwrap();
        assert!((quotient.median - 1.5).abs() < 1e-9);
        assert!((quotient.lower - 1.25).abs() < 1e-9);
    }

    #[test]
    fn what_is_added_is_compared_only_where_something_is() {
        assert_eq!(added(1.5, 1.25), Some(2.0));
        assert_eq!(added(1.5, 1.01), None);
        assert_eq!(added(1.5, 0.9), None);
    }
}
