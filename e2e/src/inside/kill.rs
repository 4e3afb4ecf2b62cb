//! `kill-container`: SIGKILL for one process of one pod, from a pod that sees the node's processes.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

/// Kill (SIGKILL) the process of a given name that belongs to a given pod.
#[derive(Args, Clone, Debug)]
pub struct Kill {
    /// The pod's metadata.uid.
    #[arg(long)]
    pod_uid: String,
    /// The process's name, as in /proc/PID/comm (at most 15 bytes).
    command: String,
}

/// Finds and kills it, and prints its id.
///
/// # Errors
/// When there is not exactly one such process, or it may not be killed.
pub fn run(kill: &Kill) -> Result<()> {
    let found = find(Path::new("/proc"), &kill.pod_uid, &kill.command)?;
    let &[id] = found.as_slice() else {
        bail!(
            "expected one process {} in pod {}, found {}: does this pod have hostPID?",
            kill.command,
            kill.pod_uid,
            found.len()
        );
    };
    let pid = Pid::from_raw(id).context("0 is no process")?;
    kill_process(pid, Signal::KILL).with_context(|| format!("killing process {id}"))?;
    writeln!(std::io::stdout(), "killed {id}").context("writing the answer")
}

/// The ids of the processes of that name whose control group belongs to that pod. Processes come and
/// go while one looks, so what cannot be read is passed over.
fn find(proc: &Path, pod_uid: &str, command: &str) -> Result<Vec<i32>> {
    // systemd's control groups write the uid with underscores
    let uids = [pod_uid.to_owned(), pod_uid.replace('-', "_")];
    let entries = fs::read_dir(proc).with_context(|| format!("reading {}", proc.display()))?;
    Ok(entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let id = entry.file_name().to_str()?.parse().ok()?;
            let read = |file: &str| fs::read_to_string(entry.path().join(file)).ok();
            let named = read("comm")?.trim_end() == command;
            let cgroup = read("cgroup")?;
            (named && uids.iter().any(|uid| cgroup.contains(uid))).then_some(id)
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(proc: &Path, id: &str, command: &str, cgroup: &str) {
        let folder = proc.join(id);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("comm"), format!("{command}\n")).unwrap();
        fs::write(folder.join("cgroup"), cgroup).unwrap();
    }

    #[test]
    fn only_the_process_of_that_name_in_that_pod_is_found() {
        let proc = tempfile::tempdir().unwrap();
        let proc = proc.path();
        process(
            proc,
            "12",
            "custom-app",
            "4:cpu:/kubepods/burstable/poda-b/c0ffee",
        );
        process(proc, "13", "envoy", "4:cpu:/kubepods/burstable/poda-b/beef");
        process(
            proc,
            "14",
            "custom-app",
            "0::/../../kubepods-poda_c.slice/cri-x.scope",
        );
        process(proc, "self", "custom-app", "4:cpu:/kubepods/poda-b/x");
        fs::create_dir(proc.join("15")).unwrap();
        assert_eq!(find(proc, "a-b", "custom-app").unwrap(), [12]);
        assert_eq!(find(proc, "a-c", "custom-app").unwrap(), [14]);
        assert!(find(proc, "a-d", "custom-app").unwrap().is_empty());
        assert!(find(&proc.join("missing"), "a", "b").is_err());
    }
}
