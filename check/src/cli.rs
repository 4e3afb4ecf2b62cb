//! The command line.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::check::{Options, Problem, Report, Source, check};
use crate::config::Config;
use crate::finding::Level;
use crate::model::{Context, Place};
use crate::output::{self, Detail, Format, Shown, Style};
use crate::rules::{self, RULES, Rule};
use crate::version::Version;
use crate::{cluster, files};

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
    /// Prints a script that completes commands and options in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

const EXIT: &str = "Exit codes: 0 no finding at or above --fail-on; 1 findings; 2 something could not be checked.\n\
Settings for all runs are read from .faultline.yaml: check: {istio, fail-on, namespace, cluster-domain, ignore: {RULE: \
reason}, exclude: [PATH]}.\n\
One resource is exempt by its annotation faultline/ignore: \"RULE: reason\".";

#[derive(Args, Debug)]
struct Check {
    /// Files, directories (every .yaml, .yml and .json below), or - for standard input
    #[arg(value_name = "FILE|DIR|-", required_unless_present_any = ["cluster", "explain", "list"])]
    paths: Vec<PathBuf>,
    /// Reads the cluster of the current kubectl context too; nothing is written
    #[arg(long)]
    cluster: bool,
    /// The kubectl context of --cluster
    #[arg(long, value_name = "NAME", requires = "cluster")]
    context: Option<String>,
    /// The form of the output
    #[arg(long, short, value_enum, default_value_t)]
    format: Format,
    /// The least level that makes the exit code 1 [default: warning]
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    fail_on: Option<Level>,
    /// Shows findings of level info too, and everything that could not be decided
    #[arg(long)]
    all: bool,
    /// A rule that is not asked; may be repeated
    #[arg(long, value_name = "RULE", value_parser = rule, value_delimiter = ',')]
    ignore: Vec<&'static Rule>,
    /// The version of Istio that will serve the resources [default: the newest known]
    #[arg(long, value_name = "VERSION")]
    istio: Option<Version>,
    /// The namespace of resources that name none [default: default]
    #[arg(long, short)]
    namespace: Option<String>,
    /// The file with settings [default: .faultline.yaml, if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Explains a rule, and checks nothing
    #[arg(long, value_name = "RULE", value_parser = rule)]
    explain: Option<&'static Rule>,
    /// Lists the rules, and checks nothing
    #[arg(long)]
    list: bool,
}

fn level(text: &str) -> Result<Level, String> {
    let mut levels = [Level::Info, Level::Warning, Level::Error].into_iter();
    let found = levels.find(|it| it.name() == text);
    found.ok_or_else(|| "expected info, warning or error".to_owned())
}

fn rule(text: &str) -> Result<&'static Rule, String> {
    rules::find(text).ok_or_else(|| "there is no such rule; --list shows them".to_owned())
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let mut stdout = io::stdout().lock();
    let done = match Cli::parse().command {
        Command::Check(arguments) => arguments.run(&mut stdout),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "faultline", &mut script);
            stdout.write_all(&script).map(|()| ExitCode::SUCCESS)
        }
    };
    match done.and_then(|code| stdout.flush().map(|()| code)) {
        Ok(code) => code,
        Err(_) => ExitCode::from(UNCHECKED),
    }
}

const FOUND: u8 = 1;
const UNCHECKED: u8 = 2;

impl Check {
    fn run(self, to: &mut impl Write) -> io::Result<ExitCode> {
        if let Some(rule) = self.explain {
            write!(to, "{}", output::explain(rule))?;
            return Ok(ExitCode::SUCCESS);
        }
        if self.list {
            for rule in RULES {
                writeln!(
                    to,
                    "{:<4} {:<8} {:<32} {}",
                    rule.id,
                    rule.level.name(),
                    rule.name,
                    rule.title
                )?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let config = match Config::find(self.config.as_deref()) {
            Ok(config) => config,
            Err(error) => {
                writeln!(io::stderr(), "faultline: {error}")?;
                return Ok(ExitCode::from(UNCHECKED));
            }
        };
        let report = self.report(&config);
        output::write(&report, self.format, self.shown(), to)?;
        let fail_on = self.fail_on.or(config.fail_on).unwrap_or(Level::Warning);
        Ok(match report.worst() {
            _ if !report.problems.is_empty() => ExitCode::from(UNCHECKED),
            Some(worst) if worst >= fail_on => ExitCode::from(FOUND),
            _ => ExitCode::SUCCESS,
        })
    }

    fn report(&self, config: &Config) -> Report {
        let (mut sources, mut problems) = files::collect(&self.paths, &config.exclude);
        if self.cluster {
            match cluster::read(self.context.as_deref()) {
                Ok(mut read) => sources.append(&mut read),
                Err(error) => {
                    let file = u32::try_from(sources.len()).unwrap_or(u32::MAX);
                    let place = Place {
                        file,
                        ..Place::default()
                    };
                    let reason = error.to_string();
                    problems.push(Problem { place, reason });
                    sources.push(Source {
                        name: "cluster".to_owned(),
                        text: String::new(),
                    });
                }
            }
        }
        let mut report = check(sources, &self.options(config));
        problems.append(&mut report.problems);
        report.problems = problems;
        report
    }

    fn options(&self, config: &Config) -> Options {
        let defaults = Context::default();
        let said = self.ignore.iter().map(|rule| rule.id.to_owned());
        let configured = config.ignore.keys().filter_map(|it| rules::find(it));
        let ignored: BTreeSet<String> = said
            .chain(configured.map(|rule| rule.id.to_owned()))
            .collect();
        Options {
            istio: self.istio.or(config.istio).unwrap_or(Version::NEWEST),
            context: Context {
                namespace: self
                    .namespace
                    .clone()
                    .or_else(|| config.namespace.clone())
                    .unwrap_or(defaults.namespace),
                domain: config.cluster_domain.clone().unwrap_or(defaults.domain),
            },
            ignored,
            ..Options::default()
        }
    }

    fn shown(&self) -> Shown {
        let (least, detail) = match (self.all, self.fail_on) {
            (true, _) => (Level::Info, Detail::Full),
            (false, Some(Level::Info)) => (Level::Info, Detail::Short),
            (false, _) => (Level::Warning, Detail::Short),
        };
        let terminal = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let style = if terminal {
            Style::Coloured
        } else {
            Style::Plain
        };
        Shown {
            least,
            style,
            detail,
        }
    }
}
