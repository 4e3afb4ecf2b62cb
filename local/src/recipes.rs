//! How each part is started.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Error;
use crate::child::{Output, Recipe};
use crate::mesh::Service;
use crate::state::{Data, Folder};
use crate::topology::Instance;

/// The name of the one part that is no service.
pub const ENVOY: &str = "envoy";

/// Where the programs and the module are that the build makes.
#[derive(Clone, Debug)]
pub struct Built {
    folder: PathBuf,
    /// The filter's module.
    pub module: PathBuf,
}

impl Built {
    /// Beside this program, and the module where `filter/build.sh` leaves it, unless another is given.
    ///
    /// # Errors
    /// When something is missing.
    pub fn find(module: Option<PathBuf>) -> Result<Self, Error> {
        let own = std::env::current_exe().map_err(Error::io("find this program's own path"))?;
        let folder = own.parent().unwrap_or(Path::new("/")).to_owned();
        let module = module.unwrap_or_else(|| folder.with_file_name("filter").join("plugin.wasm"));
        let built = Self { folder, module };
        for file in [
            built.program(Service::CustomApp.workload()),
            built.program(Service::LogAgent.workload()),
            built.module.clone(),
        ] {
            if !file.is_file() {
                return Err(Error::NotBuilt(file));
            }
        }
        Ok(built)
    }

    /// A program of the build.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// A service's instance.
///
/// # Errors
/// When its data folder cannot be made.
pub fn instance(
    built: &Built,
    folder: &Folder,
    data: &Data,
    of: &Instance,
) -> Result<Recipe, Error> {
    let mut arguments: Vec<OsString> = Vec::new();
    let mut flag = |name: &str, value: OsString| arguments.extend([name.into(), value]);
    flag("--listen", format!("127.0.0.1:{}", of.app).into());
    flag("--data-dir", data.of(of.name)?.into());
    flag("--log-format", "json".into());
    // Nobody balances load by readiness here: there is nothing to wait for.
    flag("--drain-delay", "0s".into());
    flag("--grace", "30s".into());
    if let Some(port) = of.outbound {
        flag("--log-agent-url", format!("http://127.0.0.1:{port}").into());
        flag("--source", of.name.into());
    }
    Ok(Recipe {
        name: of.name,
        program: built.program(of.service.workload()),
        arguments,
        log: folder.log(of.name),
        output: Output::Log,
    })
}

/// The proxy.
#[must_use]
pub fn envoy(binary: &Path, folder: &Folder, bootstrap: &Path) -> Recipe {
    let mut arguments: Vec<OsString> = vec!["--config-path".into(), bootstrap.into()];
    for argument in [
        "--disable-hot-restart",
        "--concurrency",
        "2",
        "--log-level",
        "warning",
        // An access log is read while it is written.
        "--file-flush-interval-msec",
        "50",
        // After a change of the listeners, old connections are not kept for long.
        "--drain-time-s",
        "1",
    ] {
        arguments.push(argument.into());
    }
    Recipe {
        name: ENVOY,
        program: binary.to_owned(),
        arguments,
        log: folder.log(ENVOY),
        output: Output::Piped,
    }
}
