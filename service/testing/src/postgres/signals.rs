//! Signals to a server and the processes that it has made, which are in no common group.

use rustix::process::{Pid, Signal, kill_process};

/// Sends a signal to a process and to its children, which here have none.
pub(super) fn send_to_all(parent: u32, signal: Signal) {
    // The parent first: it would replace, or wonder about, children that went before it.
    for process in std::iter::once(parent).chain(children(parent)) {
        if let Some(pid) = pid(process) {
            // One that is gone by now needs none.
            let _ = kill_process(pid, signal);
        }
    }
}

fn pid(process: u32) -> Option<Pid> {
    Pid::from_raw(process.try_into().ok()?)
}

fn children(parent: u32) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").expect("Linux has /proc");
    let numbers = processes.filter_map(|process| process.ok()?.file_name().to_str()?.parse().ok());
    numbers
        .filter(|process| parent_of(*process) == Some(parent))
        .collect()
}

/// From `/proc/PID/stat`: "PID (NAME) STATE PARENT".
fn parent_of(process: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after_name) = stat.rsplit_once(") ")?;
    after_name.split(' ').nth(1)?.parse().ok()
}
