//! Makes images of what was compiled, and puts them into a registry. The same files give the same digests on every
//! machine: no container tool takes part, and none needs to be there. The logins are docker's, podman's and buildah's.

mod blob;
mod image;
mod layer;
mod layout;
mod login;
mod options;
mod registry;
mod wanted;

use std::process::ExitCode;

use clap::Parser as _;

use crate::image::Image;
use crate::options::{Command, Options};
use crate::registry::{Outcome, Registry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Check { at } => Registry::open(&at)?.check().await,
        Command::Push {
            at,
            tag,
            keep,
            images,
        } => {
            let registry = Registry::open(&at)?;
            let images = images
                .iter()
                .map(|wanted| Ok((wanted, Image::make(wanted)?)))
                .collect::<anyhow::Result<Vec<_>>>()?;
            // All of them before the first is pushed.
            if let (true, Some(tag)) = (keep, &tag) {
                for (wanted, image) in &images {
                    registry.keep(&wanted.name, image, tag).await?;
                }
            }
            for (wanted, image) in &images {
                let (place, outcome) = registry.push(&wanted.name, image, tag.as_deref()).await?;
                let outcome = match outcome {
                    Outcome::Pushed => "pushed",
                    Outcome::ThereAlready => "there",
                };
                print(&format!("{} {place} {outcome}", wanted.name));
            }
            Ok(())
        }
        Command::Open { at, image } => {
            let answer = if Registry::open(&at)?.is_open(&image).await? {
                "open"
            } else {
                "closed"
            };
            print(answer);
            Ok(())
        }
        Command::Layout { folder, images } => {
            for wanted in &images {
                let image = Image::make(wanted)?;
                layout::write(&folder.join(&wanted.name), &image)?;
                print(&format!("{} {}", wanted.name, image.digest()));
            }
            Ok(())
        }
    }
}

#[expect(clippy::print_stdout, reason = "it is what the program is for")]
fn print(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "nothing reads its log but a person")]
fn tell(line: &str) {
    eprintln!("{line}");
}
