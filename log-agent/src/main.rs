//! `log-agent`: keeps log entries, each exactly once, on disk before it answers.

use std::process::ExitCode;

use faultline_service::startup;
use log_agent::Config;

fn main() -> ExitCode {
    let config: Config = startup::parse("LOG_AGENT");
    startup::run(&config.server.clone(), |metrics| {
        log_agent::serve(config, metrics)
    })
}
