//! The CPU time of a process, by the scheduler's clock: nanoseconds, where `stat` has ticks of 10 ms.

use anyhow::Context;
use std::{fs, io, time::Duration};
use tokio::time::sleep;

/// The CPU time of all threads of `pid` once it has stopped running.
///
/// A thread's clock is brought up to date when it goes to sleep, so a thread that is still busy
/// with the end of its last request shows too little.
///
/// # Errors
/// The process is gone, is still busy after a second, or the kernel keeps no such statistics.
pub(crate) async fn at_rest(pid: u32) -> anyhow::Result<Duration> {
    let mut before = of(pid)?;
    for _ in 0..500 {
        sleep(Duration::from_millis(2)).await;
        let now = of(pid)?;
        if now == before {
            return Ok(now);
        }
        before = now;
    }
    anyhow::bail!("process {pid} does not come to rest although nothing is asked of it")
}

fn of(pid: u32) -> anyhow::Result<Duration> {
    let threads = format!("/proc/{pid}/task");
    let mut total = Duration::ZERO;
    for thread in fs::read_dir(&threads).with_context(|| format!("read {threads}"))? {
        let path = thread?.path().join("schedstat");
        match fs::read_to_string(&path) {
            Ok(line) => {
                total +=
                    running(&line).with_context(|| format!("{} holds {line:?}", path.display()))?;
            }
            // A thread that ended since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("read {}", path.display())),
        }
    }
    Ok(total)
}

/// The time spent on a CPU: the first of `schedstat`'s three figures.
fn running(schedstat: &str) -> Option<Duration> {
    let first = schedstat.split_whitespace().next()?;
    first.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_figure_is_the_time_on_a_cpu() {
        assert_eq!(
            running("908869 69256 1\n"),
            Some(Duration::from_nanos(908_869))
        );
        assert_eq!(running(""), None);
        assert_eq!(running("none 0 0"), None);
    }

    #[test]
    fn this_process_has_used_some() {
        assert!(of(std::process::id()).unwrap() > Duration::ZERO);
    }

    #[test]
    fn a_process_that_is_gone_is_an_error() {
        assert!(of(u32::MAX).is_err());
    }
}
