//! Side-by-side benchmarks of the filter: interleaved, as ratios to bare Envoy.
//!
//! A [`variant`] is a [`config`] for Envoy and an [`exchange`] to ask of it. [`rounds`] puts
//! [`load`] on the [`running`] Envoys slice by slice and reads their [`cpu`] clocks; [`memory`]
//! compares processes. A [`peer`] is another project's module. The [`report`] becomes a [`table`], JSON, and a [`plot`].

mod config;
mod cpu;
mod environment;
mod exchange;
mod load;
mod memory;
mod peer;
mod plot;
mod report;
mod rounds;
mod running;
mod statistics;
mod table;
mod variant;

use anyhow::Context;
use clap::{Parser, Subcommand};
use config::Modules;
use environment::{Environment, Moment};
use faultline_testbed::Envoy;
use report::{Module, Report};
use rounds::Method;
use serde_json::Value;
use std::{
    fs,
    io::{IsTerminal, Write, stderr, stdout},
    path::PathBuf,
};

/// Side-by-side benchmarks of Faultline.
#[derive(Debug, Parser)]
#[command(name = "faultline-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compares what the filter costs in real Envoy with native routes and with Lua.
    ///
    /// Every Envoy runs throughout; short slices of load alternate between a variant and bare
    /// Envoy, in random order. The figures are CPU per request, as ratios to the bare slices
    /// beside them. docs/bench.md tells how to read them.
    Filter(Filter),
}

#[derive(Debug, clap::Args)]
struct Filter {
    /// How often each variant is measured.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u16).range(1..))]
    rounds: u16,
    /// The length of a slice.
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS", value_parser = slice_seconds)]
    slice_seconds: f64,
    /// Connections that ask at once.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=1000))]
    connections: u16,
    /// Only variants whose names contain one of these, such as lua-10-,faultline-10-.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    variants: Vec<String>,
    /// Also a module of another project, described in this file; may be repeated.
    #[arg(long, value_name = "FILE")]
    peer: Vec<PathBuf>,
    /// Also write everything, round by round, to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw the smallest table's variants into this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A slice must be long beside the clock's steps, and short beside the machine's moods.
fn slice_seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.05..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected a number of seconds from 0.05 to 60".to_owned()),
    }
}

// One thread: the other processor is Envoy's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Filter(options) => filter(options).await,
    }
}

async fn filter(options: Filter) -> anyhow::Result<()> {
    let peers = peer::read(&options.peer)?;
    let variants = variant::select(&options.variants, &peers)?;
    let method = Method {
        rounds: options.rounds.into(),
        slice_seconds: options.slice_seconds,
        connections: options.connections.into(),
    };
    let filter = Modules {
        wasm: faultline_testbed::filter()?,
        native: faultline_testbed::dynamic_module()?,
    };
    let modules = Module::all(&filter, &peers)?;
    let envoy = envoy_version().await?;
    let memory = memory::measure(&filter, &peers).await?;

    let start = Moment::now();
    let measured = rounds::measure(&variants, &filter, method, progress).await?;
    let environment = Environment::between(start, Moment::now(), envoy);
    let report = Report {
        environment,
        method,
        modules,
        memory,
        comparisons: report::compare(&measured, &peers),
        variants: measured,
    };

    write!(stdout(), "{report}")?;
    if let Some(path) = &options.json {
        write_file(path, &serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = &options.svg {
        write_file(path, &plot::svg(&report)?)?;
    }
    Ok(())
}

fn write_file(path: &PathBuf, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// The version the binary tells, such as `1.39.3`.
async fn envoy_version() -> anyhow::Result<String> {
    let answer = Envoy::start("static_resources: {}")
        .await?
        .get("/server_info")
        .await?;
    let info: Value = serde_json::from_str(&answer)?;
    // revision/version/state/build/tls
    let version = info.get("version").and_then(Value::as_str);
    let version = version.and_then(|version| version.split('/').nth(1));
    Ok(version.context("Envoy tells no version")?.to_owned())
}

/// One line that overwrites itself, on a terminal only.
fn progress(done: usize, total: usize) {
    let mut terminal = stderr();
    if terminal.is_terminal() {
        // A run does not end because nobody can see how far it is.
        let _ = write!(terminal, "\r\x1b[Kslice {done} of {total}");
        if done == total {
            let _ = write!(terminal, "\r\x1b[K");
        }
        let _ = terminal.flush();
    }
}
