//! The filter under test, built from the sources as they are now.

use crate::{Error, install::run};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// The path of the filter's module, built by `filter/build.sh` once in this process.
///
/// # Errors
/// The build failed: the compiler's last lines are in the error.
pub fn filter() -> Result<PathBuf, &'static Error> {
    static BUILT: OnceLock<Result<PathBuf, Error>> = OnceLock::new();
    BUILT.get_or_init(build).as_ref().cloned()
}

fn build() -> Result<PathBuf, Error> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let printed = run(&mut Command::new(root.join("filter/build.sh")))?;
    // Its first word is the module's path.
    let path = printed.split_whitespace().next().unwrap_or_default();
    Ok(PathBuf::from(path))
}
