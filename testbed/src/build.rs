//! The filter under test, built from the sources as they are now.

use crate::{Error, install::run};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A build of the filter: once in this process, so that no test meets a stale one.
struct Build {
    script: &'static str,
    arguments: &'static [&'static str],
    built: OnceLock<Result<PathBuf, Error>>,
}

impl Build {
    const fn new(script: &'static str, arguments: &'static [&'static str]) -> Self {
        Self {
            script,
            arguments,
            built: OnceLock::new(),
        }
    }

    fn path(&'static self) -> Result<PathBuf, &'static Error> {
        self.built.get_or_init(|| self.run()).as_ref().cloned()
    }

    fn run(&self) -> Result<PathBuf, Error> {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let printed = run(Command::new(root.join(self.script)).args(self.arguments))?;
        // Its first word is the path.
        let path = printed.split_whitespace().next().unwrap_or_default();
        Ok(PathBuf::from(path))
    }
}

/// The path of the filter's WebAssembly module, built by `filter/build.sh`.
///
/// # Errors
/// The build failed: the compiler's last lines are in the error.
pub fn filter() -> Result<PathBuf, &'static Error> {
    static BUILD: Build = Build::new("filter/build.sh", &[]);
    BUILD.path()
}

/// The path of the filter's dynamic module for this machine, built by `filter/module/build.sh`.
///
/// # Errors
/// The build failed, or its tools are missing: the last lines are in the error.
pub fn dynamic_module() -> Result<PathBuf, &'static Error> {
    static BUILD: Build = Build::new("filter/module/build.sh", &[ARCHITECTURE]);
    BUILD.path()
}

/// As [`dynamic_module`], but the one that panics where it is told to.
///
/// # Errors
/// As [`dynamic_module`].
pub fn provoking_module() -> Result<PathBuf, &'static Error> {
    static BUILD: Build = Build::new("filter/module/build.sh", &["--provoke", ARCHITECTURE]);
    BUILD.path()
}

/// This machine, as images of containers name it.
const ARCHITECTURE: &str = match cfg!(target_arch = "aarch64") {
    true => "arm64",
    false => "amd64",
};
