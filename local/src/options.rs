//! The command line and the environment.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::child::Exec;
use crate::ports::Wanted;

/// Faultline without a cluster: the same hops as listeners of one real Envoy on 127.0.0.1.
///
/// Runs in the foreground until Ctrl-C and leaves nothing. Each flag is also read from the environment:
/// FAULTLINE_PORT, FAULTLINE_DETACH=true, and so on. Exit codes: 0 done, 1 failed (a sentence says why),
/// 2 wrong usage.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "faultline-local",
    version,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What this program does for itself.
    #[command(subcommand)]
    pub inner: Option<Inner>,
    /// What it does for a person.
    #[command(flatten)]
    pub options: Options,
}

/// What this program does for itself.
#[derive(Clone, Debug, Subcommand)]
pub enum Inner {
    /// Become another program that ends with its parent.
    #[command(hide = true)]
    Exec(Exec),
}

/// What it does for a person.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The gateway's port [default: 8080, or the next free one]
    #[arg(long, env = "FAULTLINE_PORT", value_name = "PORT", value_parser = port())]
    pub port: Option<u16>,

    /// The port of Envoy's administration: metrics, configuration [default: 9901, or the next free one]
    #[arg(long, env = "FAULTLINE_ADMIN_PORT", value_name = "PORT", value_parser = port())]
    pub admin_port: Option<u16>,

    /// The first port for what is inside the mesh; the next ten free ones are taken
    #[arg(long, env = "FAULTLINE_INNER_PORTS", value_name = "PORT", default_value_t = 18080, value_parser = port())]
    pub inner_ports: u16,

    /// Keep the entries in this folder; without it they end with the run
    #[arg(long, env = "FAULTLINE_DATA_DIR", value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,

    /// Where runs keep their keys, logs and entries [default: a private folder in $TMPDIR]
    #[arg(long, env = "FAULTLINE_STATE_DIR", value_name = "FOLDER")]
    pub state_dir: Option<PathBuf>,

    /// Send no requests to prove that it works
    #[arg(long, env = "FAULTLINE_SKIP_PROOF")]
    pub skip_proof: bool,

    /// Come back once it runs, and leave it running
    #[arg(long, env = "FAULTLINE_DETACH", group = "mode")]
    pub detach: bool,

    /// Show what runs; exit code 0 when all of it is ready
    #[arg(long, env = "FAULTLINE_STATUS", group = "mode")]
    pub status: bool,

    /// End what runs, and leave nothing
    #[arg(long, env = "FAULTLINE_DELETE", group = "mode")]
    pub delete: bool,

    /// The filter's module [default: where filter/build.sh leaves it]
    #[arg(long, env = "FAULTLINE_MODULE", value_name = "FILE", hide = true)]
    pub module: Option<PathBuf>,

    /// How many steps somebody else has done and shown already.
    #[arg(long, default_value_t = 0, hide = true)]
    pub steps_before: u32,

    /// This process is the one that --detach leaves running; its standard input is told when it is ready.
    #[arg(long, hide = true, conflicts_with = "mode")]
    pub detached: bool,
}

fn port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
}

impl Options {
    /// The ports that are wanted.
    #[must_use]
    pub const fn ports(&self) -> Wanted {
        Wanted {
            gateway: self.port,
            admin: self.admin_port,
            inner: self.inner_ports,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn wrong_usage_is_named() {
        for (arguments, told) in [
            (vec!["--port", "0"], "--port"),
            (vec!["--port", "http"], "--port"),
            (vec!["--status", "--delete"], "--delete"),
            (vec!["--namespace", "x"], "--namespace"),
        ] {
            let arguments = std::iter::once("faultline-local").chain(arguments);
            let error = Cli::try_parse_from(arguments).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
