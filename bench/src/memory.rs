//! What one worker's copy of a guard costs in memory.
//!
//! Envoy tells no figure for a VM, so the resident anonymous memory of processes is compared: what
//! eight more workers add with the guard, less what they add without it. What a process needs once
//! (the engine, the compiled module, the configuration) cancels out. The module's own share of it,
//! its linear memory, is read from the process's map.

use crate::{
    config::Modules,
    exchange::Exchange,
    load::Until,
    peer::Peer,
    running::Running,
    variant::{Guard, Kind, ROUTES, Setup, Shape, Variant},
};
use anyhow::Context;
use serde::Serialize;
use std::{fs, sync::Arc};

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
    /// KiB of the largest linear memory, resident or not; `None` without WebAssembly.
    pub(crate) kib_linear: Option<u64>,
}

/// What is read of one process.
#[derive(Debug, Clone, Copy)]
struct Process {
    resident: i64,
    linear: Option<u64>,
}

/// The guards that have a memory of their own.
const OWN_MEMORY: [Guard; 4] = [
    Guard::Lua,
    Guard::Faultline,
    Guard::FaultlineModule,
    Guard::ModuleIdle,
];

const FEW: usize = 1;
const MANY: usize = 9;
const CONNECTIONS: usize = 64;
/// Enough for every allocator to have grown as far as it will.
const ANSWERS: u64 = 100;

/// Measures the guards that have a memory of their own, smallest and largest table.
///
/// # Errors
/// An Envoy does not start, an answer is wrong, or `/proc` cannot be read.
pub(crate) async fn measure(
    modules: &Modules,
    peers: &[&'static Peer],
) -> anyhow::Result<Vec<Memory>> {
    let [few, .., many] = ROUTES;
    let bare = [
        process(Setup::bare(Shape::Plain), modules, FEW).await?,
        process(Setup::bare(Shape::Plain), modules, MANY).await?,
    ];
    let ours = [few, many]
        .into_iter()
        .flat_map(|routes| OWN_MEMORY.map(|guard| Setup::plain(guard, routes)));
    let mut setups: Vec<Setup> = ours
        .chain(peers.iter().map(|peer| Setup::of_peer(peer)))
        .collect();
    setups.sort_by_key(|setup| setup.routes);
    let mut all = Vec::new();
    for setup in setups {
        let with = [
            process(setup, modules, FEW).await?,
            process(setup, modules, MANY).await?,
        ];
        all.push(beyond(setup, with, bare)?);
    }
    Ok(all)
}

/// Compares processes with [`FEW`] and [`MANY`] workers.
fn beyond(setup: Setup, with: [Process; 2], bare: [Process; 2]) -> anyhow::Result<Memory> {
    let ([few, many], [bare_few, bare_many]) = (with, bare);
    let workers = i64::try_from(MANY - FEW)?;
    let added = many.resident - few.resident;
    Ok(Memory {
        setup,
        kib_per_worker: (added - (bare_many.resident - bare_few.resident)) / workers,
        kib_per_process: few.resident - bare_few.resident,
        kib_linear: many.linear,
    })
}

/// An Envoy after every kind of request.
async fn process(setup: Setup, modules: &Modules, workers: usize) -> anyhow::Result<Process> {
    let mut running = Running::start(setup, modules, workers, CONNECTIONS).await?;
    for path in Kind::ALL
        .into_iter()
        .filter(|&path| setup.guard.is_asked(path))
    {
        let exchange = Arc::new(Exchange::of(Variant { setup, path })?);
        let until = Until::Answers(ANSWERS);
        running.slice(&exchange, path, until).await?;
    }
    running.counted_all().await?;
    let pid = running.envoy().pid();
    let read = |name: &str| {
        let path = format!("/proc/{pid}/{name}");
        fs::read_to_string(&path).with_context(|| format!("read {path}"))
    };
    Ok(Process {
        resident: anonymous(&read("status")?).context("/proc/PID/status has no RssAnon")?,
        linear: linear(&read("maps")?),
    })
}

/// The field `RssAnon` of `/proc/PID/status`, in KiB.
fn anonymous(status: &str) -> Option<i64> {
    let field = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    field.trim().strip_suffix(" kB")?.parse().ok()
}

/// KiB of the largest linear memory in `/proc/PID/maps`.
///
/// V8 reserves more than a 32-bit address can reach and opens the part that is in use: a mapping
/// that can be written, followed at once by gigabytes that cannot be touched.
fn linear(maps: &str) -> Option<u64> {
    const OUT_OF_REACH: u64 = 4 << 30;
    let mappings: Vec<(u64, u64, &str)> = maps.lines().filter_map(mapping).collect();
    let sizes = mappings.windows(2).filter_map(|pair| match pair {
        [(start, end, "rw-p"), (next, last, "---p")]
            if end == next && last - next >= OUT_OF_REACH =>
        {
            Some((end - start) / 1024)
        }
        _ => None,
    });
    sizes.max()
}

/// Start, end and permissions of one mapping.
fn mapping(line: &str) -> Option<(u64, u64, &str)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let address = |text| u64::from_str_radix(text, 16).ok();
    Some((address(start)?, address(end)?, words.next()?))
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
        let processes = |few_and_many: [i64; 2]| {
            few_and_many.map(|resident| Process {
                resident,
                linear: Some(64),
            })
        };
        let (with, bare) = (processes([1_500, 10_300]), processes([1_000, 1_800]));
        let memory = beyond(Setup::bare(Shape::Plain), with, bare).unwrap();
        assert_eq!(
            (memory.kib_per_worker, memory.kib_per_process),
            (1_000, 500)
        );
    }

    #[test]
    fn linear_memory_is_what_stands_before_the_reservation() {
        let maps = "\
7f0000000000-7f0000010000 rw-p 00000000 00:00 0
7f0000010000-7f0000020000 ---p 00000000 00:00 0
7f1000000000-7f1000110000 rw-p 00000000 00:00 0
7f1000110000-7f3000000000 ---p 00000000 00:00 0
7f3000000000-7f3000010000 r--p 00000000 00:00 0      [vdso]
";
        assert_eq!(linear(maps), Some(1088));
        assert_eq!(linear(""), None);
    }
}
