//! Where a run took place, without naming the machine.

use serde::Serialize;
use std::{fs, thread::available_parallelism};

/// The machine, and how busy it was.
#[derive(Debug, Serialize)]
pub(crate) struct Environment {
    /// The version of Envoy, as it tells it itself.
    pub(crate) envoy: String,
    /// The processor's model.
    pub(crate) processor: String,
    /// How many of it there are.
    pub(crate) processors: usize,
    /// Runnable tasks over the last minute, at the start and at the end.
    pub(crate) load: [f64; 2],
    /// The share of time the hypervisor gave to others during the run.
    pub(crate) stolen: f64,
}

/// What is read at the start and at the end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    load: f64,
    ticks: Ticks,
}

/// Ticks since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    stolen: u64,
    total: u64,
}

impl Moment {
    /// Now. What the kernel does not tell is 0.
    pub(crate) fn now() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            load: load(&read("/proc/loadavg")).unwrap_or_default(),
            ticks: ticks(&read("/proc/stat")),
        }
    }
}

impl Environment {
    /// Between two moments, with this Envoy.
    pub(crate) fn between(start: Moment, end: Moment, envoy: String) -> Self {
        let stolen = end.ticks.stolen.saturating_sub(start.ticks.stolen);
        let total = end.ticks.total.saturating_sub(start.ticks.total).max(1);
        Self {
            envoy,
            processor: processor(&fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
            processors: available_parallelism().map_or(1, usize::from),
            load: [start.load, end.load],
            stolen: stolen as f64 / total as f64,
        }
    }
}

/// The first figure of `/proc/loadavg`.
fn load(loadavg: &str) -> Option<f64> {
    loadavg.split_whitespace().next()?.parse().ok()
}

/// The line `cpu` of `/proc/stat`: the eighth figure is stolen, the ninth and tenth are in the
/// first and second already.
fn ticks(stat: &str) -> Ticks {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "));
    let figures = line.into_iter().flat_map(str::split_whitespace).take(8);
    let figures: Vec<u64> = figures.filter_map(|figure| figure.parse().ok()).collect();
    Ticks {
        stolen: figures.get(7).copied().unwrap_or_default(),
        total: figures.iter().sum(),
    }
}

/// The model name of the first processor.
fn processor(cpuinfo: &str) -> String {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"));
    let name = line.and_then(|line| line.split_once(": "));
    name.map_or_else(|| "unknown".to_owned(), |(_, name)| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read() {
        assert_eq!(load("2.86 4.58 3.79 2/410 27774\n"), Some(2.86));
        assert_eq!(
            ticks("cpu  10 1 5 80 2 1 1 7 3 3\ncpu0 1 1 1 1 1 1 1 1 1 1\n"),
            Ticks {
                stolen: 7,
                total: 107
            }
        );
        assert_eq!(
            processor("processor\t: 0\nmodel name\t: A  B\n"),
            "A  B".to_owned()
        );
        assert_eq!(processor(""), "unknown");
    }
}
