//! Disks that misbehave: real ones, in memory, which takes root.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

/// A small file system of its own, gone when dropped.
#[derive(Debug)]
pub struct Disk(TempDir);

impl Disk {
    /// A disk of this many bytes; none, with a word about it, where it cannot be mounted.
    pub fn mount(bytes: u64) -> Option<Self> {
        let disk = Self(tempfile::tempdir().expect("there is room for a directory"));
        let options = format!("size={bytes}");
        let mounted = mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], disk.path());
        if !mounted {
            skipped("a disk of its own takes root and the right to mount");
        }
        mounted.then_some(disk)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// From now on it has this many bytes.
    pub fn resize(&self, bytes: u64) {
        assert!(
            mount(&["-o", &format!("remount,size={bytes}")], self.path()),
            "cannot resize"
        );
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whatever still has a file open keeps it until it ends.
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn mount(arguments: &[&str], path: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(path).output();
    output.is_ok_and(|output| output.status.success())
}

/// Says that a test did not test, and why.
#[expect(clippy::print_stderr, reason = "whoever runs the tests is to read it")]
pub fn skipped(reason: &str) {
    eprintln!("SKIPPED: {reason}");
}
