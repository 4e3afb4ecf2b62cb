//! From the command line to a running process: flags and environment, logs, runtime.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use tokio::net::TcpListener;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::metrics::Metrics;
use crate::server::Drain;

/// The flags every service has.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArgs {
    /// Address and port to listen on
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,

    /// On SIGTERM: how long to go on serving, not ready, before the listener closes
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub drain_delay: Duration,

    /// On SIGTERM: how long requests under way and undelivered entries may take after that
    #[arg(long, value_name = "TIME", default_value = "45s", value_parser = duration)]
    pub grace: Duration,

    /// What to log: trace, debug, info, warn, error, off; or by module, as in info,sqlx=debug
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub log_level: Targets,

    /// How to log; auto: for people on a terminal, JSON elsewhere
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    pub log_format: LogFormat,
}

impl ServerArgs {
    /// How to go away.
    pub const fn drain(&self) -> Drain {
        Drain {
            delay: self.drain_delay,
            grace: self.grace,
        }
    }

    /// Opens the socket.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub async fn bind(&self) -> Result<TcpListener, BindError> {
        let listener = TcpListener::bind(self.listen).await;
        listener.map_err(|error| BindError(self.listen, error))
    }
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {0}: {1}; choose another with --listen")]
pub struct BindError(SocketAddr, #[source] io::Error);

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LogFormat {
    /// For people on a terminal, JSON elsewhere
    Auto,
    /// One flat JSON object per line
    Json,
    /// For people
    Human,
}

/// Reads a time such as `500ms`, `3s` or `1m 30s`.
///
/// # Errors
/// What is wrong with it.
pub fn duration(text: &str) -> Result<Duration, String> {
    let example = "expected a time such as 500ms, 3s or 1m";
    let span: jiff::SignedDuration = text.parse().map_err(|_| example)?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

/// Reads the command line. Every flag is also read from the environment: `--data-dir` of a
/// service whose prefix is `LOG_AGENT` from `LOG_AGENT_DATA_DIR`. Ends the process on `--help`,
/// and with status 2 on anything unknown.
pub fn parse<C: Parser>(prefix: &str) -> C {
    match try_parse(prefix, std::env::args_os()) {
        Ok(config) => config,
        Err(error) => error.exit(),
    }
}

fn try_parse<C: Parser>(
    prefix: &str,
    arguments: impl Iterator<Item = OsString>,
) -> Result<C, clap::Error> {
    let mut command = C::command().mut_args(|argument| {
        let name = argument.get_id().as_str().to_uppercase();
        argument.env(format!("{prefix}_{name}"))
    });
    let matches = command.try_get_matches_from_mut(arguments)?;
    C::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Runs a service to its end on a runtime of two threads, with logs and metrics; why it failed is
/// its last log line.
pub fn run<E, F>(args: &ServerArgs, service: impl FnOnce(Metrics) -> F) -> ExitCode
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>>,
{
    start_logs(args);
    match try_run(service) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            tracing::error!(reason, "stopped");
            ExitCode::FAILURE
        }
    }
}

fn try_run<E, F>(service: impl FnOnce(Metrics) -> F) -> Result<(), String>
where
    E: std::error::Error,
    F: Future<Output = Result<(), E>>,
{
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot start threads: {error}"))?;
    let metrics = Metrics::install().map_err(|error| format!("cannot measure: {error}"))?;
    runtime.spawn(metrics.clone().keep_up());
    runtime
        .block_on(service(metrics))
        .map_err(|error| error.to_string())
}

fn start_logs(args: &ServerArgs) {
    let human = match args.log_format {
        LogFormat::Auto => io::stdout().is_terminal(),
        LogFormat::Human => true,
        LogFormat::Json => false,
    };
    // A reader of the logs that went away must not end the service.
    let lines = fmt::layer().log_internal_errors(false);
    let lines = if human {
        lines.with_ansi(io::stdout().is_terminal()).boxed()
    } else {
        lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed()
    };
    // It fails if a test has set another one, which then takes the lines.
    let _ = tracing_subscriber::registry()
        .with(lines.with_filter(args.log_level.clone()))
        .try_init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        server: ServerArgs,
    }

    fn parsed(arguments: &[&str]) -> Result<Config, clap::Error> {
        try_parse(
            "FAULTLINE_TEST",
            std::iter::once("test")
                .chain(arguments.iter().copied())
                .map(Into::into),
        )
    }

    #[test]
    fn defaults_hold_together() {
        let config = parsed(&[]).unwrap();
        assert_eq!(config.server.drain().delay, Duration::from_secs(3));
    }

    #[test]
    fn bad_values_are_refused_by_name() {
        for (flag, value) in [
            ("--listen", "8080"),
            ("--grace", "soon"),
            ("--grace", "-1s"),
            ("--drain-delay", ""),
            ("--log-format", "xml"),
            ("--log-level", "loud=very"),
        ] {
            let error = parsed(&[&format!("{flag}={value}")])
                .unwrap_err()
                .to_string();
            assert!(error.contains(flag), "{error}");
        }
    }

    #[test]
    fn every_flag_names_its_variable() {
        let help = parsed(&["--help"]).unwrap_err().to_string();
        for variable in ["LISTEN", "DRAIN_DELAY", "GRACE", "LOG_LEVEL", "LOG_FORMAT"] {
            assert!(
                help.contains(&format!("[env: FAULTLINE_TEST_{variable}=]")),
                "{help}"
            );
        }
    }
}
