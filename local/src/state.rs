//! The folders of the runs: private to the user, locked by whoever lives in them, gone at the end.
//!
//! Locks are on the folders themselves, and the system takes them back from a process that was
//! killed: what nobody holds is dead, and the next run removes it.

use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock, statvfs};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::Error;
use crate::envoy::Files;
use crate::run_file::RunFile;

/// What a run needs at least: logs, and the entries of a while.
const NEEDED_MIB: u64 = 32;
/// The name of the note that a detached run leaves when it fails.
const LAST_WORDS: &str = "last-words";

/// Where a user's runs are.
#[derive(Clone, Debug)]
pub struct State(PathBuf);

impl State {
    /// At `path`, or in the folder for temporary files under a name of this user's.
    #[must_use]
    pub fn at(path: Option<PathBuf>) -> Self {
        Self(path.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("faultline-local-{}", geteuid().as_raw()))
        }))
    }

    /// Makes sure of it, and keeps other runs in it from starting until the returned lock is dropped.
    ///
    /// # Errors
    /// When it cannot be made, or is not private. Blocks while another run starts.
    pub fn lock(&self) -> Result<Lock, Error> {
        loop {
            make_private(&self.0)?;
            let Hold::Taken(file) = hold(&self.0, FlockOperation::LockExclusive)? else {
                continue;
            };
            // The last run to end may have removed it in the meantime.
            let there = fs::metadata(&self.0).map(|found| found.ino());
            let locked = file.metadata().map(|held| held.ino());
            if let (Ok(there), Ok(locked)) = (there, locked)
                && there == locked
            {
                let state = self.0.clone();
                return Ok(Lock { state, _file: file });
            }
        }
    }

    /// The living runs.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn runs(&self) -> Result<Vec<RunFile>, Error> {
        let folders = self.folders()?;
        let living = folders.into_iter().filter(|folder| is_held(folder));
        // A run that has not written its file yet has nothing to say.
        Ok(living
            .filter_map(|folder| RunFile::read(&folder).ok())
            .collect())
    }

    /// Removes what killed runs have left. Only under the lock: a run about to begin holds nothing yet.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn tidy(&self, _: &Lock) -> Result<(), Error> {
        for folder in self.folders()? {
            if !is_held(&folder) {
                fs::remove_dir_all(&folder).map_err(Error::at("remove", &folder))?;
            }
        }
        Ok(())
    }

    fn folders(&self) -> Result<Vec<PathBuf>, Error> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(Error::at("read", &self.0))?,
        };
        let mut folders = Vec::new();
        for entry in entries {
            let path = entry.map_err(Error::at("read", &self.0))?.path();
            if path.is_dir() {
                folders.push(path);
            }
        }
        Ok(folders)
    }

    /// A new run's folder.
    ///
    /// # Errors
    /// When it cannot be made, or there is too little room.
    pub fn begin(&self, _: &Lock) -> Result<Folder, Error> {
        enough_room(&self.0)?;
        let folder = tempfile::Builder::new()
            .prefix("run-")
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir_in(&self.0)
            .map_err(Error::at("make a folder in", &self.0))?;
        let held = hold(folder.path(), FlockOperation::NonBlockingLockExclusive)?;
        for name in ["certificates", "logs", "data"] {
            let path = folder.path().join(name);
            make_private(&path)?;
        }
        Ok(Folder {
            folder,
            _held: held,
            state: self.clone(),
        })
    }

    /// Leaves the reason why a detached run ended.
    pub fn leave_last_words(&self, words: &str) {
        // Nobody is there to be told if even this fails.
        let _ = make_private(&self.0).map(|()| fs::write(self.0.join(LAST_WORDS), words));
    }

    /// The reason why the last detached run ended, if it failed.
    #[must_use]
    pub fn last_words(&self) -> Option<String> {
        fs::read_to_string(self.0.join(LAST_WORDS)).ok()
    }

    /// Forgets that reason.
    pub fn forget_last_words(&self, _: &Lock) {
        // It is not there, or stays for the next one to forget.
        let _ = fs::remove_file(self.0.join(LAST_WORDS));
    }

    /// Whether a run still lives.
    #[must_use]
    pub fn is_alive(&self, run: &RunFile) -> bool {
        run.path.parent().is_some_and(is_held)
    }

    /// Removes everything that belongs to no living run.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn clear(&self) -> Result<(), Error> {
        if !self.0.exists() {
            return Ok(());
        }
        let lock = self.lock()?;
        self.tidy(&lock)?;
        self.forget_last_words(&lock);
        Ok(())
    }
}

/// The right to choose ports: one run of this user at a time has it, whatever its state folder.
///
/// # Errors
/// As [`State::lock`].
pub fn lock_ports() -> Result<Lock, Error> {
    let user = geteuid().as_raw();
    State(std::env::temp_dir().join(format!("faultline-local-ports-{user}"))).lock()
}

/// The right to begin a run, and to remove what is left of others. Dropping it gives it back, and removes
/// the folder of all runs if there is none.
#[derive(Debug)]
pub struct Lock {
    state: PathBuf,
    _file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Not empty: somebody lives there. Whoever waits for the lock looks whether the folder is still there.
        let _ = fs::remove_dir(&self.state);
    }
}

/// What came of taking a lock.
#[derive(Debug)]
enum Hold {
    /// It is this process's now.
    Taken(File),
    /// Somebody else has it, and it was not to be waited for.
    Busy,
    /// There is no such folder.
    Gone,
}

/// Takes the lock on a folder.
fn hold(folder: &Path, how: FlockOperation) -> Result<Hold, Error> {
    let file = match File::open(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Hold::Gone),
        file => file.map_err(Error::at("open", folder))?,
    };
    match flock(&file, how) {
        Ok(()) => Ok(Hold::Taken(file)),
        Err(error) if error == rustix::io::Errno::WOULDBLOCK => Ok(Hold::Busy),
        Err(error) => Err(Error::at("lock", folder)(error.into())),
    }
}

fn is_held(folder: &Path) -> bool {
    let held = hold(folder, FlockOperation::NonBlockingLockExclusive);
    matches!(held, Ok(Hold::Busy))
}

fn make_private(path: &Path) -> Result<(), Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let found = fs::symlink_metadata(path).map_err(Error::at("look at", path))?;
            let private =
                found.is_dir() && found.uid() == geteuid().as_raw() && found.mode() & 0o077 == 0;
            private
                .then_some(())
                .ok_or_else(|| Error::NotPrivate(path.to_owned()))
        }
        Err(error) => Err(Error::at("make the folder", path)(error)),
    }
}

fn enough_room(path: &Path) -> Result<(), Error> {
    let room = statvfs(path).map_err(|error| Error::at("look at", path)(error.into()))?;
    let free_mib = room.f_bavail.saturating_mul(room.f_frsize) / (1024 * 1024);
    if free_mib >= NEEDED_MIB {
        return Ok(());
    }
    Err(Error::NoRoom {
        path: path.to_owned(),
        free_mib,
        needed_mib: NEEDED_MIB,
    })
}

/// A run's folder; dropping it removes it.
#[derive(Debug)]
pub struct Folder {
    folder: TempDir,
    _held: Hold,
    state: State,
}

impl Folder {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The files that Envoy reads and writes.
    #[must_use]
    pub fn files(&self, module: PathBuf) -> Files {
        Files {
            module,
            listeners: self.path().join("listeners.json"),
            certificates: self.path().join("certificates"),
            logs: self.path().join("logs"),
        }
    }

    /// The log of a part.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.path().join("logs").join(format!("{name}.log"))
    }

    /// Puts a file there, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put(&self, name: &str, text: &str) -> Result<PathBuf, Error> {
        put(&self.path().join(name), text)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed now, the next run removes.
        let _ = fs::remove_dir_all(self.folder.path());
        // Only if no other run is about to begin; that one removes it then.
        if let Ok(Hold::Taken(_file)) =
            hold(&self.state.0, FlockOperation::NonBlockingLockExclusive)
        {
            let _ = fs::remove_dir(&self.state.0);
        }
    }
}

/// Writes beside and renames, so that a reader never sees half of it.
fn put(path: &Path, text: &str) -> Result<PathBuf, Error> {
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, text).map_err(Error::at("write", path))?;
    fs::rename(&fresh, path).map_err(Error::at("write", path))?;
    Ok(path.to_owned())
}

/// The folders in which the instances keep what must outlive them.
#[derive(Debug)]
pub struct Data {
    root: PathBuf,
    _lock: Option<File>,
}

impl Data {
    /// In the run's folder, or in one that stays.
    ///
    /// # Errors
    /// When it cannot be made, or another run uses it.
    pub fn open(folder: &Folder, kept: Option<PathBuf>) -> Result<Self, Error> {
        let Some(root) = kept else {
            return Ok(Self {
                root: folder.path().join("data"),
                _lock: None,
            });
        };
        fs::create_dir_all(&root).map_err(Error::at("make the folder", &root))?;
        enough_room(&root)?;
        match hold(&root, FlockOperation::NonBlockingLockExclusive)? {
            Hold::Taken(file) => Ok(Self {
                root,
                _lock: Some(file),
            }),
            _ => Err(Error::DataInUse(root)),
        }
    }

    /// An instance's own.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn of(&self, instance: &str) -> Result<PathBuf, Error> {
        let path = self.root.join(instance);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(Error::at("make the folder", &path))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (TempDir, State) {
        let parent = tempfile::tempdir().unwrap();
        let state = State::at(Some(parent.path().join("state")));
        (parent, state)
    }

    #[test]
    fn a_run_leaves_nothing() {
        let (_parent, state) = state();
        let lock = state.lock().unwrap();
        let folder = state.begin(&lock).unwrap();
        folder.put("x.json", "{}").unwrap();
        drop(lock);
        assert_eq!(state.folders().unwrap().len(), 1);
        drop(folder);
        assert!(!state.0.exists());
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_a_living_one_stays() {
        let (_parent, state) = state();
        let lock = state.lock().unwrap();
        let living = state.begin(&lock).unwrap();
        let dead = state.0.join("run-dead");
        make_private(&dead).unwrap();
        state.tidy(&lock).unwrap();
        assert!(living.path().exists() && !dead.exists());
        assert!(is_held(living.path()) && !is_held(&dead));
    }

    #[test]
    fn a_folder_open_to_others_is_refused() {
        let (parent, state) = state();
        fs::create_dir(parent.path().join("state")).unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&state.0, open).unwrap();
        assert!(matches!(state.lock(), Err(Error::NotPrivate(_))));
        let link = State::at(Some(parent.path().join("link")));
        std::os::unix::fs::symlink(&state.0, &link.0).unwrap();
        assert!(matches!(link.lock(), Err(Error::NotPrivate(_))));
    }

    #[test]
    fn a_data_folder_has_one_user() {
        let (parent, state) = state();
        let lock = state.lock().unwrap();
        let folder = state.begin(&lock).unwrap();
        let kept = Some(parent.path().join("data"));
        let data = Data::open(&folder, kept.clone()).unwrap();
        assert!(matches!(
            Data::open(&folder, kept.clone()),
            Err(Error::DataInUse(_))
        ));
        drop(data);
        assert!(Data::open(&folder, kept).is_ok());
    }

    #[test]
    fn ports_are_chosen_by_one_run_at_a_time() {
        let choosing = lock_ports().unwrap();
        assert!(is_held(&choosing.state));
    }
}
