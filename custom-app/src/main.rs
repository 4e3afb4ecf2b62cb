//! `custom-app`: takes log entries and hands each over to the log agent exactly once.

use std::process::ExitCode;

use custom_app::Config;
use faultline_service::startup;

fn main() -> ExitCode {
    let config: Config = startup::parse("CUSTOM_APP");
    startup::run(&config.server.clone(), |metrics| {
        custom_app::serve(config, metrics)
    })
}
