//! What one worker's copy of a guard costs in memory.
//!
//! Envoy tells no figure for a VM's linear memory, so the resident anonymous memory of processes
//! is compared: what eight more workers add with the guard, less what they add without it. What a
//! process needs once (the engine, the compiled module, the configuration) cancels out.

use crate::{
    exchange::Exchange,
    load::Until,
    running::Running,
    variant::{Guard, Kind, ROUTES, Setup, Variant},
};
use anyhow::Context;
use serde::Serialize;
use std::{fs, path::Path, sync::Arc};

/// One guard's memory.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    /// The guard.
    #[serde(flatten)]
    pub(crate) setup: Setup,
    /// KiB of resident memory for each worker, beyond a bare worker's.
    pub(crate) kib_per_worker: i64,
    /// KiB of resident memory for the process with one worker, beyond a bare one's.
    pub(crate) kib_per_process: i64,
}

const FEW: usize = 1;
const MANY: usize = 9;
const CONNECTIONS: usize = 64;
/// Enough for every allocator to have grown as far as it will.
const ANSWERS: u64 = 100;

/// Measures the guards that have a memory of their own, smallest and largest table.
///
/// # Errors
/// An Envoy does not start, an answer is wrong, or `/proc` cannot be read.
pub(crate) async fn measure(module: &Path) -> anyhow::Result<Vec<Memory>> {
    let [few, .., many] = ROUTES;
    let bare = [
        resident(Setup::BARE, module, FEW).await?,
        resident(Setup::BARE, module, MANY).await?,
    ];
    let mut all = Vec::new();
    for routes in [few, many] {
        for guard in [Guard::Lua, Guard::Faultline] {
            let setup = Setup { guard, routes };
            let with = [
                resident(setup, module, FEW).await?,
                resident(setup, module, MANY).await?,
            ];
            all.push(beyond(setup, with, bare)?);
        }
    }
    Ok(all)
}

/// Compares KiB with [`FEW`] and [`MANY`] workers.
fn beyond(setup: Setup, with: [i64; 2], bare: [i64; 2]) -> anyhow::Result<Memory> {
    let ([few, many], [bare_few, bare_many]) = (with, bare);
    let workers = i64::try_from(MANY - FEW)?;
    Ok(Memory {
        setup,
        kib_per_worker: ((many - few) - (bare_many - bare_few)) / workers,
        kib_per_process: few - bare_few,
    })
}

/// KiB of resident anonymous memory after every kind of request.
async fn resident(setup: Setup, module: &Path, workers: usize) -> anyhow::Result<i64> {
    let mut running = Running::start(setup, module, workers, CONNECTIONS).await?;
    for path in Kind::ALL {
        let exchange = Arc::new(Exchange::of(Variant { setup, path })?);
        let until = Until::Answers(ANSWERS);
        running.slice(&exchange, path, until).await?;
    }
    running.counted_all().await?;
    let path = format!("/proc/{}/status", running.envoy().pid());
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    anonymous(&status).with_context(|| format!("{path} has no RssAnon"))
}

/// The field `RssAnon` of `/proc/PID/status`, in KiB.
fn anonymous(status: &str) -> Option<i64> {
    let field = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    field.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_found_by_its_name() {
        let status = "VmRSS:\t  900 kB\nRssAnon:\t   123 kB\nRssFile:\t  777 kB\n";
        assert_eq!(anonymous(status), Some(123));
        assert_eq!(anonymous("VmRSS:\t  900 kB\n"), None);
    }

    #[test]
    fn what_a_bare_worker_needs_is_taken_off() {
        let memory = beyond(Setup::BARE, [1_500, 10_300], [1_000, 1_800]).unwrap();
        assert_eq!(
            (memory.kib_per_worker, memory.kib_per_process),
            (1_000, 500)
        );
    }
}
