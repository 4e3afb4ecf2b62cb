//! The file `.faultline.yaml`: what a repository has decided for all of its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use crate::finding::Level;
use crate::rules;
use crate::version::Version;

/// The name that is looked for in the working directory.
pub const NAME: &str = ".faultline.yaml";

/// The file's content.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct File {
    /// For `faultline check`.
    pub check: Config,
}

/// Settings of `faultline check`; the command line wins.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// The version of Istio.
    pub istio: Option<Version>,
    /// The least level that makes the exit code 1.
    pub fail_on: Option<Level>,
    /// The namespace of resources that name none.
    pub namespace: Option<String>,
    /// The cluster's domain.
    pub cluster_domain: Option<String>,
    /// Rules that are not asked, and why.
    pub ignore: BTreeMap<String, String>,
    /// Files and folders below given directories that are left out.
    pub exclude: Vec<PathBuf>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// It cannot be read.
    #[error("{}: {error}", path.display())]
    Unread {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It says what is not understood.
    #[error("{}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What.
        reason: String,
    },
}

impl Config {
    /// Reads the given file, or the one in the working directory if there is one.
    ///
    /// # Errors
    /// When the file cannot be read, or has an unknown key, a bad value or a reason missing.
    pub fn find(given: Option<&Path>) -> Result<Self, Unusable> {
        let path = given.unwrap_or(Path::new(NAME));
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if given.is_none() && error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                let path = path.to_owned();
                return Err(Unusable::Unread { path, error });
            }
        };
        Self::parse(&text).map_err(|reason| Unusable::Wrong {
            path: path.to_owned(),
            reason,
        })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: Option<File> = serde_saphyr::from_str(text).map_err(|it| it.to_string())?;
        let config = file.unwrap_or_default().check;
        for (rule, reason) in &config.ignore {
            if rules::find(rule).is_none() {
                return Err(format!("check.ignore: there is no rule {rule}"));
            }
            if reason.trim().is_empty() {
                return Err(format!("check.ignore.{rule}: a reason is missing"));
            }
        }
        Ok(config)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::Config;
    use crate::finding::Level;

    #[test]
    fn a_file_says_what_the_options_say() {
        let config = Config::parse(
            "check:\n  istio: \"1.28\"\n  fail-on: error\n  namespace: shop\n  ignore: {A4: two by intent}\n  exclude: [charts]\n",
        )
        .unwrap();
        assert_eq!(config.istio.unwrap().to_string(), "1.28");
        assert_eq!(config.fail_on, Some(Level::Error));
        assert_eq!(config.ignore.len(), 1);
        assert!(Config::parse("").is_ok());
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "check: {fail: error}",
            "checks: {}",
            "check: {fail-on: never}",
            "check: {istio: new}",
            "check: {ignore: {A4: ''}}",
            "check: {ignore: {A99: x}}",
            "check: [",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
    }
}
