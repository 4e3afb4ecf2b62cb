//! `faultline-e2e`: proves a deployed Faultline, and is the probe inside its mesh.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use faultline_e2e::case::Tier;
use faultline_e2e::cases;
use faultline_e2e::cluster::{Cluster, Names, Told};
use faultline_e2e::environment::{Deletion, DeployScript, Environment, Mesh};
use faultline_e2e::gateway::Gateway;
use faultline_e2e::inside::{idle, kill, probe, shop, tricks, upstream};
use faultline_e2e::listing::Listing;
use faultline_e2e::local::Local;
use faultline_e2e::prove::{self, Format, Selection};
use faultline_e2e::report::Colour;
use faultline_e2e::rules;
use faultline_e2e::watch;
use tokio::signal::unix::{SignalKind, signal};

/// Proves every feature of a deployed Faultline with real requests.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the cases and print what each has seen. Exit code 1 when one fails.
    ///
    /// What a case changes is put back, and the probe pods are removed, also after a failure or Ctrl-C.
    /// One run at a time: two on one deployment count each other's requests.
    Prove(Prove),
    /// List the cases: name, tier, feature, claim.
    List {
        /// For a terminal, or as a page of the documentation.
        #[arg(long, value_enum, default_value_t)]
        format: Listing,
    },
    Rules(rules::Rules),
    /// Ask for a URL every 50 ms until SIGTERM; exit code 1 when any request was not answered with 200.
    Watch(watch::Watch),
    /// Inside the mesh: make requests.
    Probe(probe::Probe),
    /// Inside the mesh: wait for SIGTERM.
    Idle(idle::Idle),
    /// Inside the cluster: be the application that the tricks are played on.
    Shop(shop::Shop),
    /// Inside the cluster: play the tricks on it.
    Tricks(tricks::Tricks),
    /// Inside the cluster: be an application of a rule's proof.
    Upstream(upstream::Upstream),
    /// Inside the mesh, with hostPID: kill a process of a pod.
    KillContainer(kill::Kill),
}

#[derive(Args)]
struct Prove {
    /// The gateway's address, as http://HOST[:PORT].
    #[arg(
        long,
        env = "GATEWAY_URL",
        value_name = "URL",
        required_unless_present = "local"
    )]
    gateway_url: Option<String>,
    /// Prove a local run in place of a cluster: the run file that `deploy.sh --local --status` names.
    #[arg(long, value_name = "RUNFILE")]
    local: Option<PathBuf>,
    /// The deployment's namespace.
    #[arg(
        long,
        env = "FAULTLINE_NAMESPACE",
        value_name = "NS",
        default_value = "faultline"
    )]
    namespace: String,
    /// The ingress gateway's namespace [default: that of Faultline's plugin].
    #[arg(long, env = "FAULTLINE_GATEWAY_NAMESPACE", value_name = "NS")]
    gateway_namespace: Option<String>,
    /// The one host that is served, sent with every request [default: the one that Faultline's plugin at the gateway names].
    #[arg(long, env = "FAULTLINE_HOST", value_name = "NAME")]
    host: Option<String>,
    /// The image of this program, for the probes inside the mesh [default: the one deploy.sh pushed].
    #[arg(long, env = "FAULTLINE_PROBE_IMAGE", value_name = "REF")]
    probe_image: Option<String>,
    /// An image with the filter's dynamic module and `cp`, for the case that runs its example.
    #[arg(long, env = "FAULTLINE_MODULE_IMAGE", value_name = "REF")]
    module_image: Option<String>,
    /// Only what reads and makes ordinary requests; nothing changes the mesh.
    #[arg(long)]
    quick: bool,
    /// Only this case or feature; may be given again.
    #[arg(long, value_name = "CASE")]
    only: Vec<String>,
    /// Print one JSON document in place of the table.
    #[arg(long)]
    json: bool,
    /// Also write here, in one line, how many cases were proved of how many.
    #[arg(long, value_name = "FILE")]
    summary: Option<PathBuf>,
    /// Prove this deploy.sh too: its second run and its refusals.
    #[arg(long, value_name = "PATH")]
    deploy_script: Option<PathBuf>,
    /// Last of all, prove that `deploy.sh --delete` leaves nothing. The deployment is gone afterwards.
    #[arg(long, requires = "deploy_script")]
    with_delete: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Prove(options) => prove(options).await,
        Command::List { format } => list(format).map(|()| true),
        Command::Rules(options) => prove_rules(options).await,
        Command::Watch(options) => watch::run(options, &mut std::io::stdout()).await,
        Command::Probe(options) => probe::run(options).await.map(|()| true),
        Command::Idle(options) => idle::run(options).await.map(|()| true),
        Command::Shop(options) => shop::run(options).await.map(|()| true),
        Command::Tricks(options) => tricks::run(options).await.map(|()| true),
        Command::Upstream(options) => upstream::run(options).await.map(|()| true),
        Command::KillContainer(options) => kill::run(&options).map(|()| true),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // nothing is left to do if even this cannot be written
            let _unwritten = writeln!(std::io::stderr(), "faultline-e2e: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn prove(options: Prove) -> Result<bool> {
    let selection = Selection {
        tier: options.quick.then_some(Tier::Quick),
        only: options.only,
    };
    let cases = prove::select(cases::ALL, &selection)?;
    let (gateway_url, mesh) = if let Some(run_file) = &options.local {
        let local = Local::new(run_file)?;
        (local.run()?.gateway_url, Mesh::Local(local))
    } else {
        let told = Told {
            namespace: options.namespace,
            gateway_namespace: options.gateway_namespace,
            host: options.host,
            probe_image: options.probe_image,
            module_image: options.module_image,
        };
        let cluster = Cluster::new(Names::find(told).await?);
        (
            options.gateway_url.unwrap_or_default(),
            Mesh::Cluster(cluster),
        )
    };
    let host = match &mesh {
        Mesh::Cluster(cluster) => cluster.names.host.as_deref(),
        Mesh::Local(_) => None,
    };
    let environment = Environment {
        gateway: Gateway::new(&gateway_url, host)?,
        mesh,
        deploy_script: options.deploy_script.map(|path| DeployScript {
            path,
            delete: if options.with_delete {
                Deletion::Allowed
            } else {
                Deletion::Refused
            },
        }),
    };
    let mut out = std::io::stdout();
    let colour = out.is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let format = match (options.json, colour) {
        (true, _) => Format::Json,
        (false, true) => Format::Table(Colour::On),
        (false, false) => Format::Table(Colour::Off),
    };
    let interrupted = interruption()?;
    let proof = prove::prove(&cases, &environment, format, &mut out, interrupted).await?;
    if let Some(path) = options.summary {
        let line = format!("{}\n", proof.summary);
        std::fs::write(&path, line).with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(proof.holds)
}

async fn prove_rules(options: rules::Rules) -> Result<bool> {
    let interrupted = interruption()?;
    rules::run(&options, &mut std::io::stdout(), interrupted).await
}

/// Resolves at Ctrl-C and SIGTERM.
fn interruption() -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn list(listing: Listing) -> Result<()> {
    let list = listing.of(cases::ALL);
    let written = std::io::stdout().write_all(list.as_bytes());
    written.context("writing the list")
}
