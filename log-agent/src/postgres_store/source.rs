//! Where a database is: a URL, as it was given or as a file says it now.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

/// A database's URL, or a file that holds it and is read before each connection: a password that
/// changes is then used without a restart. Shown without its password.
#[derive(Clone)]
pub struct Source(Kind);

#[derive(Clone)]
enum Kind {
    Url(Arc<Result<PgConnectOptions, SourceError>>),
    File(PathBuf),
}

/// Why a URL names no database. Never holds the URL, since that may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// Not a URL of PostgreSQL's.
    #[error(
        "the store's URL is none: expected postgres://USER:PASSWORD@HOST:PORT/DATABASE, with other characters than letters and digits as %XX"
    )]
    NoUrl,
    /// A parameter that would be ignored.
    #[error(
        "the store's URL has a parameter that is not known: {0}; there are sslmode, sslrootcert, sslcert, sslkey, application_name, host, hostaddr, port, dbname, user, password and options"
    )]
    Parameter(String),
    /// The file cannot be read.
    #[error("cannot read the file with the store's URL, {0}: {1}")]
    File(PathBuf, String),
}

/// The place of a server and the name of a database there, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Server(String);

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Server {
    pub(super) fn of(options: &PgConnectOptions) -> Self {
        let database = options.get_database();
        let database = database.unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => Self(format!(
                "the database {database} of PostgreSQL in {}",
                socket.display()
            )),
            None => Self(format!(
                "the database {database} of PostgreSQL at {}:{}",
                options.get_host(),
                options.get_port()
            )),
        }
    }
}

/// What sqlx reads of a URL; it warns of everything else, with its value.
const PARAMETERS: [&str; 18] = [
    "sslmode",
    "ssl-mode",
    "sslrootcert",
    "ssl-root-cert",
    "ssl-ca",
    "sslcert",
    "ssl-cert",
    "sslkey",
    "ssl-key",
    "statement-cache-capacity",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

impl Source {
    /// What a URL says; one that says nothing is an error each time it is used.
    pub fn url(url: &str) -> Self {
        Self(Kind::Url(Arc::new(options(url))))
    }

    /// The file that holds the URL.
    pub fn file(path: PathBuf) -> Self {
        Self(Kind::File(path))
    }

    /// The options of a connection, as of now.
    pub(super) async fn options(&self) -> Result<PgConnectOptions, SourceError> {
        match &self.0 {
            Kind::Url(options) => Result::clone(options),
            Kind::File(path) => {
                let read = tokio::fs::read_to_string(path).await;
                let text =
                    read.map_err(|error| SourceError::File(path.clone(), error.to_string()))?;
                options(text.trim())
            }
        }
    }
}

/// As people see it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Url(options) => match options.as_ref() {
                Ok(options) => Server::of(options).fmt(f),
                Err(error) => error.fmt(f),
            },
            Kind::File(path) => write!(f, "the database whose URL is in {}", path.display()),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn options(url: &str) -> Result<PgConnectOptions, SourceError> {
    let is_postgres = url.starts_with("postgres://") || url.starts_with("postgresql://");
    let query = url.split_once('?').map_or("", |(_, query)| query);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !PARAMETERS.contains(&name) {
            return Err(SourceError::Parameter(name.to_owned()));
        }
    }
    let read = url.parse().ok().filter(|_| is_postgres);
    let options: PgConnectOptions = read.ok_or(SourceError::NoUrl)?;
    Ok(options.disable_statement_logging())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_it_holds_the_password() {
        let source = Source::url("postgres://user:s3cr3t@db:5433/logs");
        let told = format!("{source} {source:?}");
        assert!(told.contains("logs of PostgreSQL at db:5433"), "{told}");
        assert!(!told.contains("s3cr3t"), "{told}");
        for url in [
            "postgres://user:s3cr3t@[::/logs",
            "mysql://user:s3cr3t@db/logs",
            "postgres:/user:s3cr3t@db",
            "postgres://user:s3cr3t@db:port/logs",
            "postgres://db/logs?passwort=s3cr3t",
            "postgres://db/logs?sslmode=s3cr3t",
        ] {
            let refused = options(url).unwrap_err();
            let told = format!("{refused} {refused:?} {}", Source::url(url));
            assert!(!told.contains("s3cr3t"), "{told}");
        }
    }
}
