//! Everything that can be found, made and refused before a process runs.

use crate::binary::{self, Envoy};
use crate::console::Console;
use crate::envoy::Plan;
use crate::mesh::{Mesh, Sources};
use crate::options::Options;
use crate::recipes::Built;
use crate::run_file::RunFile;
use crate::state::{self, Data, Folder, Lock, State};
use crate::topology::{Identity, Topology};
use crate::{Error, certificates, ports};

/// What a run is made of before a process runs.
#[derive(Debug)]
pub struct Made {
    /// Who runs where.
    pub topology: Topology,
    /// The programs.
    pub built: Built,
    /// The proxy.
    pub envoy: Envoy,
    /// What the run says about itself.
    pub file: RunFile,
    /// Where entries are kept.
    pub data: Data,
    /// The run's folder; the last thing to go.
    pub folder: Folder,
}

/// Keeps other runs from starting until this one listens.
#[derive(Debug)]
pub struct Starting {
    _state: Lock,
    _ports: Lock,
}

/// Makes everything that can be made before a process runs.
///
/// # Errors
/// Whatever is missing.
pub async fn make(options: &Options, console: &mut Console) -> Result<(Made, Starting), Error> {
    let mesh = Mesh::read(&Sources::COMPILED_IN)?;
    let built = Built::find(options.module.clone())?;
    // It may fetch a hundred megabytes: signals are heard meanwhile.
    let envoy = blocking(|| binary::find().map_err(Error::from)).await?;
    let state = State::at(options.state_dir.clone());
    let lock = blocking({
        let state = state.clone();
        move || state.lock()
    })
    .await?;
    state.tidy(&lock)?;
    let runs = state.runs()?;
    if let Some(run) = runs.first().filter(|_| options.detached) {
        return Err(Error::Running {
            url: run.gateway_url.clone(),
            pid: run.pid,
        });
    }
    state.forget_last_words(&lock);
    let folder = state.begin(&lock)?;
    let data = Data::open(&folder, options.data_dir.clone())?;
    // Two runs that looked for free ports at once would find the same.
    let ports = blocking(state::lock_ports).await?;
    let topology = ports::choose(options.ports(), |port| holder(&runs, port))?;

    let files = folder.files(built.module.clone());
    let plan = Plan {
        mesh: &mesh,
        topology: &topology,
        files: &files,
    };
    let gateway = plan.gateway_identity();
    let identities = identities(&gateway, &topology);
    certificates::make(&files, &identities)?;
    let configuration = plan.configuration();
    folder.put("listeners.json", &configuration.listeners.to_string())?;
    folder.put("envoy.json", &configuration.bootstrap.to_string())?;
    let file = RunFile::new(folder.path(), &topology, &files, &gateway);
    let detail = format!(
        "Envoy {} ({}), gateway on port {}, {} certificates",
        envoy.version,
        envoy.found,
        topology.gateway,
        identities.len()
    );
    console.done("Check", &detail);
    let made = Made {
        topology,
        built,
        envoy,
        file,
        data,
        folder,
    };
    let starting = Starting {
        _state: lock,
        _ports: ports,
    };
    Ok((made, starting))
}

/// Runs what blocks where it blocks nothing else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Error::io("finish a task")(error.into())))
}

/// Everybody who needs a certificate, each once.
fn identities(gateway: &Identity, topology: &Topology) -> Vec<Identity> {
    let services = topology
        .instances
        .iter()
        .map(|instance| Identity::of(instance.service));
    let callers = topology
        .callers
        .iter()
        .map(|caller| caller.identity.clone());
    let mut all = vec![gateway.clone()];
    for identity in services.chain(callers) {
        if !all.contains(&identity) {
            all.push(identity);
        }
    }
    all
}

/// Who holds a port, and what frees it.
fn holder(runs: &[RunFile], port: u16) -> String {
    let suffix = format!(":{port}");
    let own = runs
        .iter()
        .find(|run| run.gateway_url.ends_with(&suffix) || run.admin_url.ends_with(&suffix));
    match own {
        Some(run) => format!(
            "another local Faultline (process {}): end it with ./deploy.sh --local --delete",
            run.pid
        ),
        None => format!("another program: `ss -ltnp 'sport = :{port}'` shows which; end that one"),
    }
}
