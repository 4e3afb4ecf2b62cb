//! An image as it is asked for: a name, and the files that go into it.

use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context as _, bail};

/// An image as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The last part of its repository.
    pub(crate) name: String,
    pub(crate) content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Content {
    /// One static program, for each architecture that nodes have.
    Program(Program, Vec<(Architecture, PathBuf)>),
    /// A WebAssembly module in an image.
    Module(PathBuf),
    /// The module as it is, in an artifact.
    Artifact(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    CustomApp,
    LogAgent,
    E2e,
}

/// As Kubernetes and OCI call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Architecture {
    Amd64,
    Arm64,
}

impl FromStr for Wanted {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, files) = text.split_once('=').context("an IMAGE is NAME=FORM:FILE")?;
        let files: Vec<_> = files
            .split(',')
            .map(|file| {
                file.split_once(':')
                    .context("an IMAGE is NAME=FORM:FILE[,FORM:FILE]")
            })
            .collect::<anyhow::Result<_>>()?;
        let content = match files.as_slice() {
            [("module", file)] => Content::Module(file.into()),
            [("artifact", file)] => Content::Artifact(file.into()),
            files => Content::Program(name.parse()?, programs(files)?),
        };
        Ok(Self {
            name: name.to_owned(),
            content,
        })
    }
}

/// In one order, whatever the order on the command line: it decides the digest.
fn programs(files: &[(&str, &str)]) -> anyhow::Result<Vec<(Architecture, PathBuf)>> {
    let mut programs = files
        .iter()
        .map(|(architecture, file)| Ok((architecture.parse()?, PathBuf::from(file))))
        .collect::<anyhow::Result<Vec<(Architecture, PathBuf)>>>()?;
    programs.sort();
    let twice = programs
        .iter()
        .zip(programs.iter().skip(1))
        .find(|((one, _), (next, _))| one == next);
    if let Some(((architecture, _), _)) = twice {
        bail!("two files for {}", architecture.as_str());
    }
    Ok(programs)
}

impl FromStr for Program {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "custom-app" => Self::CustomApp,
            "log-agent" => Self::LogAgent,
            "e2e" => Self::E2e,
            _ => bail!("{name} is none of custom-app, log-agent and e2e"),
        })
    }
}

impl FromStr for Architecture {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "amd64" => Self::Amd64,
            "arm64" => Self::Arm64,
            _ => bail!("{name} is none of amd64 and arm64"),
        })
    }
}

impl Architecture {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_architectures_does_not_matter() {
        let one: Wanted = "log-agent=arm64:b,amd64:a".parse().unwrap();
        assert_eq!(one, "log-agent=amd64:a,arm64:b".parse().unwrap());
        let files = vec![
            (Architecture::Amd64, "a".into()),
            (Architecture::Arm64, "b".into()),
        ];
        assert_eq!(one.content, Content::Program(Program::LogAgent, files));
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, said) in [
            ("custom-app", "NAME=FORM:FILE"),
            ("custom-app=file", "NAME=FORM:FILE[,FORM:FILE]"),
            ("custom-app=s390x:file", "s390x is none of amd64 and arm64"),
            ("other=amd64:file", "other is none of"),
            ("e2e=amd64:a,amd64:b", "two files for amd64"),
            ("filter=module:a,module:b", "filter is none of"),
        ] {
            let error = text.parse::<Wanted>().unwrap_err();
            assert!(format!("{error:#}").contains(said), "{text}: {error:#}");
        }
    }
}
