//! Finding PostgreSQL's programs: installed, or fetched as Debian's packages into the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use rustix::process::geteuid;

/// The programs of one version.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    folder: PathBuf,
    /// Libraries that were fetched with them.
    libraries: Option<PathBuf>,
}

impl Programs {
    /// Those of the PATH, of the newest version that the system has, or fetched.
    pub(super) fn find() -> Result<Self, String> {
        static FOUND: Mutex<Option<Result<Programs, String>>> = Mutex::new(None);
        let mut found = FOUND.lock().expect("finding does not panic");
        found.get_or_insert_with(Self::look).clone()
    }

    fn look() -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        folders.extend(versions(Path::new("/usr/lib/postgresql")));
        folders.extend(versions(Path::new("/usr/local/pgsql")));
        if let Some(folder) = folders.into_iter().find(|folder| holds_it(folder)) {
            // Through links, since a server looks for its files beside itself.
            let postgres = folder.join("postgres").canonicalize();
            let folder = postgres.ok().and_then(|it| Some(it.parent()?.to_owned()));
            return folder
                .map(|folder| Self {
                    folder,
                    libraries: None,
                })
                .ok_or_else(|| "its programs cannot be read".to_owned());
        }
        let installed = cache().join("postgresql");
        if !Self::unpacked(&installed).is_some_and(|it| holds_it(&it.folder)) {
            fetch(&installed)?;
        }
        Self::unpacked(&installed).ok_or_else(|| "the packages hold no server".to_owned())
    }

    /// In a folder into which packages were unpacked.
    fn unpacked(folder: &Path) -> Option<Self> {
        let programs = versions(&folder.join("usr/lib/postgresql"));
        let programs = programs.into_iter().find(|folder| holds_it(folder))?;
        let libraries = std::fs::read_dir(folder.join("usr/lib")).ok()?;
        let is_for_a_machine = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with("-linux-gnu")
        };
        let mut libraries = libraries.filter_map(|entry| Some(entry.ok()?.path()));
        Some(Self {
            folder: programs,
            libraries: libraries.find(is_for_a_machine),
        })
    }

    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.folder.join(program)
    }

    pub(super) fn environment(&self, command: &mut Command) {
        if let Some(libraries) = &self.libraries {
            command.env("LD_LIBRARY_PATH", libraries);
        }
    }
}

fn holds_it(folder: &Path) -> bool {
    let mut programs = ["postgres", "initdb"].iter();
    programs.all(|program| folder.join(program).is_file())
}

/// The program folders of the versions in a folder, newest first.
fn versions(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut versions: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    versions.sort();
    versions.reverse();
    versions
}

/// No package is installed for this: they are fetched and unpacked, readable for everybody.
fn fetch(installed: &Path) -> Result<(), String> {
    let parent = installed.parent().unwrap_or(installed);
    std::fs::create_dir_all(parent).map_err(|error| error.to_string())?;
    // Unpacked beside and renamed, so that no one ever finds half of it.
    let fresh = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
    let script = r#"
        set -e
        server=$(apt-cache depends postgresql | sed -n 's/.*Depends: \(postgresql-[0-9]*\)$/\1/p' | head -n 1)
        test -n "$server"
        libraries=$(apt-cache depends "$server" | sed -n 's/.*Depends: \(lib[a-z].*\)$/\1/p' | grep -v -e libc6 -e llvm -e '<')
        apt-get -qq download "$server" "postgresql-client-${server#postgresql-}" $libraries
        for package in *.deb; do dpkg-deb --extract "$package" unpacked; done
        chmod -R a+rX unpacked
    "#;
    let done = Command::new("sh")
        .args(["-c", script])
        .current_dir(fresh.path())
        .output()
        .map_err(|error| error.to_string())?;
    if !done.status.success() {
        let words = String::from_utf8_lossy(&done.stderr);
        let last = words
            .trim()
            .lines()
            .last()
            .unwrap_or("no packages of Debian's here");
        return Err(format!(
            "it is not installed, and cannot be fetched: {last}"
        ));
    }
    match std::fs::rename(fresh.path().join("unpacked"), installed) {
        // Another process may have been faster: its own is as good.
        Err(_) if installed.is_dir() => Ok(()),
        done => done.map_err(|error| error.to_string()),
    }
}

/// Root's home is closed to the user that its servers run as.
fn cache() -> PathBuf {
    if geteuid().is_root() {
        return PathBuf::from("/var/cache/faultline");
    }
    let from = |name| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("faultline")
}
