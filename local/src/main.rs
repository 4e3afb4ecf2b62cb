//! `faultline-local`: Faultline without a cluster.

use std::process::ExitCode;

use clap::Parser as _;
use faultline_local::Error;
use faultline_local::console::Console;
use faultline_local::console::{complain, say};
use faultline_local::control::{self, Word};
use faultline_local::options::{Cli, Inner, Options};
use faultline_local::prepare::{self, Starting};
use faultline_local::run::{Ending, Run};
use faultline_local::signals::Signals;
use faultline_local::state::State;

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(Inner::Exec(exec)) = &cli.inner {
        complain(&exec.run().to_string());
        return ExitCode::from(127);
    }
    // One thread: the system ends the children together with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let done = match runtime.map_err(Error::io("start the runtime")) {
        Ok(runtime) => {
            let done = runtime.block_on(act(&cli.options));
            // A download that was interrupted is not waited for.
            runtime.shutdown_background();
            done
        }
        Err(error) => Err(error),
    };
    done.unwrap_or_else(|error| {
        complain(&error.to_string());
        ExitCode::FAILURE
    })
}

async fn act(options: &Options) -> Result<ExitCode, Error> {
    let state = State::at(options.state_dir.clone());
    if options.status {
        return control::status(&state).await;
    }
    if options.delete {
        return control::delete(&state).await;
    }
    let mut signals = Signals::install()?;
    if options.detach {
        return control::detach(signals.next()).await;
    }
    if options.detached {
        // Not to be ended together with the terminal.
        rustix::process::setsid().map_err(|error| Error::io("leave the session")(error.into()))?;
    }
    let mut console = Console::new(options.steps_before, 4);
    let (made, starting) = tokio::select! {
        made = prepare::make(options, &mut console) => made?,
        () = signals.next() => return Ok(ExitCode::FAILURE),
    };
    let mut up = Run::new(made)?;
    let ended = tokio::select! {
        ended = live(&mut up, starting, options, &mut console) => ended,
        () = signals.next() => {
            say("\nending: the applications hand over what they have; again to end at once");
            Ending::AsTold
        }
    };
    if let Ending::Failed { error, .. } = &ended {
        complain(&error.to_string());
    }
    let proved = up.proved();
    up.stop(signals.next()).await;
    if let (
        true,
        Ending::Failed {
            error,
            was_ready: true,
        },
    ) = (options.detached, &ended)
    {
        state.leave_last_words(&error.to_string());
    }
    Ok(match ended {
        Ending::AsTold if proved => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

/// Everything between the first process and the last; comes back only if it cannot go on.
async fn live(
    up: &mut Run,
    starting: Starting,
    options: &Options,
    console: &mut Console,
) -> Ending {
    let failed = |error, was_ready| Ending::Failed { error, was_ready };
    if let Err(error) = up.start(console).await {
        return failed(error, false);
    }
    // From here on everything listens: no other run can be given the same ports.
    drop(starting);
    if options.skip_proof {
        console.done("Prove", "SKIPPED: --skip-proof");
    } else if let Err(error) = up.prove(console).await {
        return failed(error, false);
    }
    up.show_places(console);
    if options.detached {
        let word = if up.proved() {
            Word::Ready
        } else {
            Word::Unproved
        };
        if let Err(error) = control::let_go(word) {
            return failed(error, false);
        }
    } else {
        up.watch();
    }
    failed(up.attend().await, true)
}
