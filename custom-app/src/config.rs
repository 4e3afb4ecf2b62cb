//! Flags and environment.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use faultline_service::entry::Source;
use faultline_service::startup::{ServerArgs, duration};
use reqwest::Url;

use crate::outbox::{Amount, Limits};

/// Takes log entries and hands each over to the log agent exactly once.
///
/// Every flag can be given in the environment instead; a flag wins.
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "custom-app", version)]
pub struct Config {
    /// Where the log agent is
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://log-agent-service:8080"
    )]
    pub log_agent_url: LogAgentUrl,

    /// Where the outbox is kept; must exist and be writable, and belong to this instance alone
    #[arg(long, value_name = "DIRECTORY", default_value = "/var/lib/custom-app")]
    pub data_dir: PathBuf,

    /// The name of this instance in its entries [default: $HOSTNAME]
    #[arg(long, value_name = "NAME")]
    pub source: Option<Source>,

    /// How long POST /log waits for the log agent's confirmation before it answers 202
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub wait_limit: Duration,

    /// How long one delivery to the log agent may take; must be longer than the mesh delays it
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub delivery_timeout: Duration,

    /// How long a question to the log agent may take before GET /log and GET /logs answer 504
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub read_timeout: Duration,

    /// How long any answer may take before it becomes a 504
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub answer_time: Duration,

    /// How many entries wait for the log agent at most; one more gets 503
    #[arg(long, value_name = "COUNT", default_value_t = 100_000)]
    pub outbox_entries: u64,

    /// How many bytes of entries wait for the log agent at most; more get 503
    #[arg(long, value_name = "BYTES", default_value_t = 64 * 1024 * 1024)]
    pub outbox_bytes: u64,

    /// What every service has.
    #[command(flatten)]
    pub server: ServerArgs,
}

/// What is set aside beside the entries to deliver: as much as needs a person in any case.
const ASIDE: Amount = Amount {
    entries: 10_000,
    bytes: 16 * 1024 * 1024,
};

impl Config {
    /// What the outbox takes at most.
    pub const fn outbox_limits(&self) -> Limits {
        Limits {
            pending: Amount {
                entries: self.outbox_entries,
                bytes: self.outbox_bytes,
            },
            aside: ASIDE,
        }
    }

    /// The name of this instance: as given, else the host's, else `localhost`.
    pub fn source(&self) -> Source {
        let host = || std::env::var("HOSTNAME").ok()?.parse().ok();
        self.source.clone().or_else(host).unwrap_or_default()
    }
}

/// Where the log agent is: `http`, a host, a port, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogAgentUrl(Url);

impl LogAgentUrl {
    /// The URL of one of its paths, with a query (which may be empty).
    pub fn with(&self, path: &str, query: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url.set_query(Some(query).filter(|query| !query.is_empty()));
        url
    }
}

impl FromStr for LogAgentUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let url =
            Url::parse(text).map_err(|error| format!("{error}; expected http://HOST:PORT"))?;
        if url.scheme() != "http" {
            return Err("expected http://HOST:PORT; encryption is the mesh's".to_owned());
        }
        let bare = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if bare {
            Ok(Self(url))
        } else {
            Err("expected http://HOST:PORT and nothing else".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_nothing_else() {
        let url: LogAgentUrl = "http://log-agent-service:8080".parse().unwrap();
        assert_eq!(
            url.with("/logs", "q=%25").as_str(),
            "http://log-agent-service:8080/logs?q=%25"
        );
        assert_eq!(
            url.with("/log", "").as_str(),
            "http://log-agent-service:8080/log"
        );
        for bad in [
            "",
            "log-agent:8080",
            "https://a",
            "http://",
            "http://a/b",
            "http://a?b",
            "http://u@a",
            "ftp://a",
        ] {
            assert!(bad.parse::<LogAgentUrl>().is_err(), "{bad}");
        }
    }
}
