//! The command line.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::check::{Options, check};
use crate::files;
use crate::finding::Level;
use crate::model::Context;
use crate::output::{self, Detail, Format, Shown, Style};
use crate::version::Version;

/// Finds what no validator says about Istio resources.
#[derive(Debug, Parser)]
#[command(name = "faultline", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks Istio and Kubernetes resources for what validates and still does something else than it says
    #[command(after_help = EXIT)]
    Check(Check),
}

const EXIT: &str =
    "Exit codes: 0 nothing at or above --fail-on; 1 findings; 2 something could not be checked.";

#[derive(Args, Debug)]
struct Check {
    /// Files, directories, or - for standard input
    #[arg(value_name = "FILE|DIR|-")]
    paths: Vec<PathBuf>,
    /// The version of Istio that will serve the resources
    #[arg(long, value_name = "VERSION", default_value_t = Version::NEWEST)]
    istio: Version,
    /// The form of the output
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
    /// The namespace of resources that name none
    #[arg(long, short, default_value = "default")]
    namespace: String,
    /// Shows findings of level info too, and everything that could not be decided
    #[arg(long)]
    all: bool,
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let Command::Check(arguments) = Cli::parse().command;
    let (sources, mut unread) = files::collect(&arguments.paths, &[]);
    let options = Options {
        istio: arguments.istio,
        context: Context {
            namespace: arguments.namespace.clone(),
            ..Context::default()
        },
        ..Options::default()
    };
    let mut report = check(sources, &options);
    unread.append(&mut report.problems);
    report.problems = unread;
    let (least, detail) = match arguments.all {
        true => (Level::Info, Detail::Full),
        false => (Level::Warning, Detail::Short),
    };
    let style = match io::stdout().is_terminal() {
        true => Style::Coloured,
        false => Style::Plain,
    };
    let shown = Shown {
        least,
        style,
        detail,
    };
    let mut stdout = io::stdout().lock();
    let written = output::write(&report, arguments.format, shown, &mut stdout);
    match (written.and_then(|()| stdout.flush()), report.worst()) {
        (Err(_), _) => ExitCode::from(2),
        _ if !report.problems.is_empty() => ExitCode::from(2),
        (_, Some(Level::Warning | Level::Error)) => ExitCode::from(1),
        _ => ExitCode::SUCCESS,
    }
}
