//! Disks that fill up: real ones, in memory.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command as StdCommand, Stdio};

use rustix::process::geteuid;
use tempfile::TempDir;
use tokio::process::Command;

/// A small file system of its own, in a mount namespace of its own: nothing else on this machine sees it, and it is
/// gone when dropped, or when the test is killed. Without root it is in a user namespace, too.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    /// The process whose namespaces these are; it ends with its standard input.
    holder: Child,
    entry: &'static [&'static str],
}

/// Mounts, says so, and waits for the end of its input.
const HOLDER: &str =
    r#"mount -t tmpfs -o "size=$1" tmpfs "$0" && echo mounted && exec cat >/dev/null"#;

/// The flags that make namespaces, and those that enter them.
const AS_ROOT: [&[&str]; 2] = [&["--mount"], &["--mount"]];
const AS_ANYBODY: [&[&str]; 2] = [
    &["--user", "--map-root-user", "--mount"],
    &["--user", "--preserve-credentials", "--mount"],
];

impl Disk {
    /// A disk of this many bytes. None where the system allows no namespaces: then the test is skipped, which
    /// is said where the person who runs the tests sees it.
    pub fn mount(bytes: u64) -> Option<Self> {
        let ways = if geteuid().is_root() {
            &[AS_ROOT, AS_ANYBODY][..]
        } else {
            &[AS_ANYBODY][..]
        };
        let disk = ways
            .iter()
            .find_map(|[make, enter]| Self::held(bytes, make, enter));
        if disk.is_none() {
            skipped(
                "a small disk takes unshare and nsenter (util-linux), and root or user namespaces",
            );
        }
        disk
    }

    fn held(bytes: u64, make: &[&str], entry: &'static [&'static str]) -> Option<Self> {
        let folder = tempfile::tempdir().expect("there is room for a directory");
        let mut holder = StdCommand::new("unshare")
            .args(make)
            .args(["--", "sh", "-c", HOLDER])
            .arg(folder.path())
            .arg(bytes.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = String::new();
        let output = holder.stdout.take().expect("it is piped");
        let read = BufReader::new(output).read_line(&mut said);
        let disk = Self {
            folder,
            holder,
            entry,
        };
        (read.is_ok() && said == "mounted\n").then_some(disk)
    }

    /// A command that is made of the disk's path, to be run where the disk is.
    pub fn command(&self, of: impl FnOnce(&Path) -> Command) -> Command {
        let command = of(self.folder.path());
        self.inside(command.as_std()).into()
    }

    /// The same of a command that is waited for in the ordinary way.
    pub fn std_command(&self, of: impl FnOnce(&Path) -> StdCommand) -> StdCommand {
        self.inside(&of(self.folder.path()))
    }

    fn inside(&self, command: &StdCommand) -> StdCommand {
        let mut inside = self.entering();
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside
    }

    fn entering(&self) -> StdCommand {
        let mut command = StdCommand::new("nsenter");
        command.arg(format!("--target={}", self.holder.id()));
        command.args(self.entry).arg("--");
        command
    }

    /// True when nothing is on it.
    pub fn is_empty(&self) -> bool {
        let list = self
            .entering()
            .args(["ls", "-A"])
            .arg(self.folder.path())
            .output();
        let list = list.expect("ls can be run");
        assert!(list.status.success(), "{list:?}");
        list.stdout.is_empty()
    }

    /// From now on it has this many bytes.
    pub fn resize(&self, bytes: u64) {
        let resized = self
            .entering()
            // With its source named, mount passes on none of the options it has: their owner is not known inside.
            .args(["mount", "-t", "tmpfs", "-o"])
            .args([&format!("remount,size={bytes}"), "tmpfs"])
            .arg(self.folder.path())
            .status();
        assert!(
            resized.is_ok_and(|status| status.success()),
            "cannot resize"
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // An error here means that it has already ended.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Says that this test did not test, and why: past libtest, which shows a passing test's output to nobody.
pub fn skipped(reason: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!("SKIPPED {test}: {reason}\n");
    // Whoever closed standard error does not want to know.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number of these bytes that a file on the disk takes.
    async fn written(disk: &Disk, bytes: usize) -> u64 {
        let of = |folder: &Path| {
            let mut command = Command::new("sh");
            let script = "head -c \"$1\" /dev/zero >\"$0/file\"; wc -c <\"$0/file\"";
            command
                .args(["-c", script])
                .arg(folder)
                .arg(bytes.to_string());
            command
        };
        let output = disk.command(of).output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse().unwrap()
    }

    #[tokio::test]
    async fn it_is_as_large_as_was_said_and_nobody_else_sees_it() {
        let Some(disk) = Disk::mount(1_000_000) else {
            return;
        };
        let size = written(&disk, 2_000_000).await;
        assert!((900_000..=1_100_000).contains(&size), "{size}");
        assert!(!disk.is_empty());
        assert_eq!(std::fs::read_dir(disk.folder.path()).unwrap().count(), 0);
        disk.resize(3_000_000);
        assert_eq!(written(&disk, 2_000_000).await, 2_000_000);
    }

    /// A test that skips itself, when it is run as a program by the test below.
    #[tokio::test]
    async fn a_disk_or_a_word() {
        drop(Disk::mount(1_000_000));
    }

    #[test]
    fn a_skipped_test_says_so_although_it_passes() {
        let output = StdCommand::new(std::env::current_exe().unwrap())
            .args(["--exact", "disk::tests::a_disk_or_a_word"])
            // no unshare there
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(
            told.starts_with("SKIPPED disk::tests::a_disk_or_a_word: a small disk takes unshare"),
            "{told}"
        );
    }
}
