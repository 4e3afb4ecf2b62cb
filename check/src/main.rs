//! The program `faultline`.

fn main() -> std::process::ExitCode {
    faultline_check::cli::run()
}
