//! Space kept back on the disk. A store on a full disk cannot even delete: that, too, is written
//! first. Giving up the reserve makes room for what makes room.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A file whose only content is its size.
#[derive(Clone, Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    bytes: usize,
}

impl Reserve {
    /// A reserve that is not there yet.
    pub(crate) fn new(directory: &Path, bytes: usize) -> Self {
        Self {
            path: directory.join("reserve"),
            bytes,
        }
    }

    /// Whether it is there.
    pub(crate) fn is_there(&self) -> bool {
        fs::metadata(&self.path).is_ok_and(|file| file.len() == self.bytes as u64)
    }

    /// Puts it there, whole or not at all.
    pub(crate) fn restore(&self) -> io::Result<()> {
        if self.is_there() {
            return Ok(());
        }
        let written = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&self.path)
            .and_then(|mut file| {
                file.write_all(&vec![0; self.bytes])?;
                file.sync_all()
            });
        if written.is_err() {
            self.give_up();
        }
        written
    }

    /// Gives its space back to the disk; says whether there was any.
    pub(crate) fn give_up(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_there_whole_or_not_at_all() {
        let directory = tempfile::tempdir().unwrap();
        let reserve = Reserve::new(directory.path(), 10_000);
        assert!(!reserve.is_there() && !reserve.give_up());
        reserve.restore().unwrap();
        assert!(reserve.is_there());
        fs::write(&reserve.path, "half").unwrap();
        assert!(!reserve.is_there());
        reserve.restore().unwrap();
        assert!(reserve.is_there() && reserve.give_up() && !reserve.is_there());
        let nowhere = Reserve::new(&directory.path().join("none"), 1);
        assert!(nowhere.restore().is_err() && !nowhere.is_there());
    }
}
