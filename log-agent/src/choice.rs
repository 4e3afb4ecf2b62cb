//! Which store `--store` and `--store-url-file` choose.

use std::fmt;
use std::path::PathBuf;

use crate::postgres_store::Source;

/// The flags that choose a store.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct StoreArgs {
    /// Where the entries are kept: sqlite:DIRECTORY (as --data-dir) or postgres://USER@HOST/DATABASE;
    /// without it, SQLite in --data-dir
    #[arg(
        long,
        value_name = "URL",
        value_parser = |text: &str| Ok::<_, String>(StoreUrl(text.to_owned())),
        hide_env_values = true,
        conflicts_with = "store_url_file"
    )]
    pub store: Option<StoreUrl>,

    /// A file that holds what --store would say, so that no password stands among a process's
    /// arguments; it is read again before each connection
    #[arg(long, value_name = "FILE")]
    pub store_url_file: Option<PathBuf>,
}

/// What `--store` says, which may hold a password: never shown.
#[derive(Clone)]
pub struct StoreUrl(String);

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl(…)")
    }
}

/// A store that was chosen.
#[derive(Clone, Debug)]
pub enum Choice {
    /// A SQLite file in this directory, or in the one of `--data-dir`.
    Sqlite(Option<PathBuf>),
    /// A database of PostgreSQL.
    Postgres(Source),
}

/// The store's URL is of no engine.
#[derive(Debug, thiserror::Error)]
#[error("--store: expected sqlite:DIRECTORY or postgres://USER:PASSWORD@HOST:PORT/DATABASE")]
pub struct NoStore;

impl StoreArgs {
    /// The store that these flags choose. A URL of PostgreSQL's is read later, when it is used: one
    /// that is wrong is then said like a server that is away.
    ///
    /// # Errors
    /// The URL is of no engine.
    pub fn choice(&self) -> Result<Choice, NoStore> {
        if let Some(path) = &self.store_url_file {
            return Ok(Choice::Postgres(Source::file(path.clone())));
        }
        let Some(StoreUrl(url)) = &self.store else {
            return Ok(Choice::Sqlite(None));
        };
        match url.split_once(':') {
            Some(("sqlite", directory)) if !directory.is_empty() => {
                let directory = directory.strip_prefix("//").unwrap_or(directory);
                Ok(Choice::Sqlite(Some(directory.into())))
            }
            Some(("postgres" | "postgresql", _)) => Ok(Choice::Postgres(Source::url(url))),
            _ => Err(NoStore),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Config {
        #[command(flatten)]
        store: StoreArgs,
    }

    fn chosen(arguments: &[&str]) -> Result<Choice, NoStore> {
        let arguments = std::iter::once(&"log-agent").chain(arguments);
        Config::try_parse_from(arguments).unwrap().store.choice()
    }

    #[test]
    fn the_scheme_is_the_engine() {
        let directory = |choice| match choice {
            Ok(Choice::Sqlite(directory)) => directory,
            other => panic!("{other:?}"),
        };
        assert_eq!(directory(chosen(&[])), None);
        for url in ["sqlite:/data", "sqlite:///data"] {
            assert_eq!(directory(chosen(&["--store", url])), Some("/data".into()));
        }
        for arguments in [
            ["--store", "postgres://db/logs"],
            ["--store", "postgresql://db/logs"],
            ["--store", "postgres://db:s3cr3t"],
            ["--store-url-file", "/run/secrets/url"],
        ] {
            assert!(matches!(chosen(&arguments), Ok(Choice::Postgres(_))));
        }
        for url in ["", "/data", "sqlite:", "mysql://user:s3cr3t@db/logs"] {
            let refused = chosen(&["--store", url]).unwrap_err();
            assert!(!refused.to_string().contains("s3cr3t"));
        }
    }

    #[test]
    fn only_one_of_the_two_is_given_and_none_is_shown() {
        let both = [
            "log-agent",
            "--store=postgres://u:s3cr3t@db/logs",
            "--store-url-file=/url",
        ];
        let refused = Config::try_parse_from(both).unwrap_err().to_string();
        assert!(refused.contains("cannot be used with"), "{refused}");
        assert!(!refused.contains("s3cr3t"), "{refused}");
        let config = Config::try_parse_from([both[0], both[1]]).unwrap();
        assert!(!format!("{config:?}").contains("s3cr3t"));
    }
}
