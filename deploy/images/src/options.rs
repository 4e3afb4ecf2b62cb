//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::wanted::Wanted;

/// Makes images of what was compiled, and puts them into a registry.
///
/// An IMAGE is `NAME=amd64:FILE[,arm64:FILE]` for the programs custom-app, log-agent and e2e; NAME=module:FILE for a
/// WebAssembly module in an image; NAME=artifact:FILE for the module as an OCI artifact.
#[derive(Debug, Parser)]
#[command(name = "faultline-images", version)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Says whether the registry can be reached, and whether the login that is known for it is good.
    Check {
        #[command(flatten)]
        at: At,
    },
    /// Pushes each image unless the registry has it; prints NAME REPOSITORY@DIGEST, and pushed or there.
    Push {
        #[command(flatten)]
        at: At,
        /// A tag for all of them; else each gets one that is made from its digest.
        #[arg(long)]
        tag: Option<String>,
        /// Refuse where the tag names another image already.
        #[arg(long, requires = "tag")]
        keep: bool,
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<Wanted>,
    },
    /// Prints open or closed: may one pull REPOSITORY@DIGEST without a login?
    Open {
        #[command(flatten)]
        at: At,
        #[arg(value_name = "REPOSITORY@DIGEST")]
        image: String,
    },
    /// Writes each image as an OCI image layout to FOLDER/NAME; prints NAME and DIGEST.
    Layout {
        folder: PathBuf,
        #[arg(required = true, value_name = "IMAGE")]
        images: Vec<Wanted>,
    },
}

/// A registry.
#[derive(Debug, Args)]
pub(crate) struct At {
    /// `HOST[:PORT][/PATH]`; images lie below it in faultline/.
    #[arg(long)]
    pub(crate) registry: String,
    #[arg(long, value_enum, default_value_t = Scheme::Https)]
    pub(crate) scheme: Scheme,
    /// Take any certificate.
    #[arg(long)]
    pub(crate) any_certificate: bool,
    /// Certificates of authorities, in PEM, that are trusted beside the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheme {
    Https,
    Http,
}
