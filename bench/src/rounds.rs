//! The measurement: short slices in random order, each beside two bare ones.

use crate::{
    config::Modules,
    exchange::Exchange,
    load::Until,
    running::{Running, Slice},
    statistics::Quartiles,
    variant::{Shape, Variant},
};
use anyhow::Context;
use serde::Serialize;
use std::{sync::Arc, time::Duration};

/// How to measure.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Method {
    /// How often each variant is measured.
    pub(crate) rounds: usize,
    /// The length of one slice.
    pub(crate) slice_seconds: f64,
    /// Connections that ask at once.
    pub(crate) connections: usize,
}

/// One variant's figures.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    /// Its name.
    pub(crate) name: String,
    /// What was measured.
    #[serde(flatten)]
    pub(crate) variant: Variant,
    /// CPU per request as a ratio to bare Envoy.
    pub(crate) ratio: Quartiles,
    /// The same, round by round.
    pub(crate) ratios: Vec<f64>,
    /// CPU per request, in microseconds, the median: for information, since it is this machine's.
    pub(crate) cpu_microseconds: f64,
    /// Requests in all slices.
    pub(crate) requests: u64,
}

/// A variant and what is known of it so far.
struct Entry {
    variant: Variant,
    exchange: Arc<Exchange>,
    slices: Vec<Slice>,
    ratios: Vec<f64>,
}

/// Measures `variants`; `progress` is told how many of how many slices are done.
///
/// # Errors
/// An Envoy does not start, an answer is wrong, or a guard did not count what it was asked.
pub(crate) async fn measure(
    variants: &[Variant],
    modules: &Modules,
    method: Method,
    mut progress: impl FnMut(usize, usize),
) -> anyhow::Result<Vec<Measured>> {
    let start = |setup| Running::start(setup, modules, 1, method.connections);
    let mut bares: Vec<Bare> = Vec::new();
    let mut all: Vec<Running> = Vec::new();
    let mut entries = Vec::new();
    for &variant in variants {
        if !all.iter().any(|one| one.setup == variant.setup) {
            all.push(start(variant.setup).await?);
        }
        let shape = variant.setup.shape;
        if !bares.iter().any(|one| one.running.setup.shape == shape) {
            let reference = Variant::bare(shape);
            bares.push(Bare {
                running: start(reference.setup).await?,
                exchange: Arc::new(Exchange::of(reference)?),
                last: None,
            });
        }
        entries.push(Entry {
            variant,
            exchange: Arc::new(Exchange::of(variant)?),
            slices: Vec::new(),
            ratios: Vec::new(),
        });
    }

    let length = Until::Elapsed(Duration::try_from_secs_f64(method.slice_seconds)?);
    let total = method.rounds * entries.len();
    let mut shapes: Vec<Shape> = bares.iter().map(|bare| bare.running.setup.shape).collect();
    for round in 0..method.rounds {
        // Shape by shape, so that every slice stands between two of bare Envoy under the same requests.
        fastrand::shuffle(&mut entries);
        fastrand::shuffle(&mut shapes);
        entries.sort_by_key(|entry| {
            let shape = entry.variant.setup.shape;
            shapes.iter().position(|one| *one == shape)
        });
        for bare in &mut bares {
            bare.last = None;
        }
        for (n, entry) in entries.iter_mut().enumerate() {
            let envoy = all
                .iter_mut()
                .find(|one| one.setup == entry.variant.setup)
                .context("every variant's Envoy was started")?;
            let bare = bares
                .iter_mut()
                .find(|one| one.running.setup.shape == entry.variant.setup.shape)
                .context("every shape's bare Envoy was started")?;
            let before = match bare.last {
                Some(before) => before,
                None => bare.slice(length).await?,
            };
            let slice = envoy
                .slice(&entry.exchange, entry.variant.path, length)
                .await
                .with_context(|| entry.variant.to_string())?;
            let after = bare.slice(length).await?;
            entry.ratios.push(ratio(slice, before, after));
            entry.slices.push(slice);
            progress(round * variants.len() + n + 1, total);
        }
    }
    for envoy in &all {
        envoy.counted_all().await?;
    }
    // Back into the order of the table.
    entries.sort_by_key(|entry| variants.iter().position(|one| *one == entry.variant));
    entries.into_iter().map(Entry::measured).collect()
}

/// Bare Envoy, for requests of one shape.
struct Bare {
    running: Running,
    exchange: Arc<Exchange>,
    /// Its last slice in this round.
    last: Option<Slice>,
}

impl Bare {
    async fn slice(&mut self, length: Until) -> anyhow::Result<Slice> {
        let path = Variant::bare(self.running.setup.shape).path;
        let slice = self.running.slice(&self.exchange, path, length).await?;
        self.last = Some(slice);
        Ok(slice)
    }
}

/// A slice's cost as a ratio to the mean of its two bare neighbours.
fn ratio(slice: Slice, before: Slice, after: Slice) -> f64 {
    slice.cost() / f64::midpoint(before.cost(), after.cost())
}

impl Entry {
    fn measured(self) -> anyhow::Result<Measured> {
        let costs: Vec<f64> = self.slices.iter().map(Slice::cost).collect();
        Ok(Measured {
            name: self.variant.to_string(),
            variant: self.variant,
            ratio: Quartiles::of(&self.ratios).context("no rounds")?,
            ratios: self.ratios,
            cpu_microseconds: Quartiles::of(&costs).context("no rounds")?.median,
            requests: self.slices.iter().map(|slice| slice.answers).sum(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slice(milliseconds: u64, answers: u64) -> Slice {
        let cpu = Duration::from_millis(milliseconds);
        Slice { cpu, answers }
    }

    #[test]
    fn a_slice_is_compared_with_the_mean_of_its_neighbours() {
        // 30 microseconds per request, between 10 and 20.
        let ratio = ratio(slice(900, 30_000), slice(100, 10_000), slice(200, 10_000));
        assert!((ratio - 2.0).abs() < 1e-9, "{ratio}");
    }
}
