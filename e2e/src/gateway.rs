//! The deployment as its callers see it: the gateway's address.

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Url};
use uuid::Uuid;

use crate::exchange::{self, Answer, Ask, Reply};
use crate::raw;

/// The gateway, from outside the cluster.
#[derive(Clone, Debug)]
pub struct Gateway {
    client: Client,
    origin: String,
    address: String,
    host: String,
    /// Whether the host is another than the URL's.
    named: bool,
}

impl Gateway {
    /// The gateway at an `http://host[:port]` URL; with a name, every request is for that host.
    ///
    /// # Errors
    /// When the URL is not such a URL.
    pub fn new(url: &str, name: Option<&str>) -> Result<Self> {
        let parsed = Url::parse(url).with_context(|| format!("gateway URL {url:?}"))?;
        let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else {
            bail!("gateway URL {url:?} has no host");
        };
        if parsed.scheme() != "http" || !matches!(parsed.path(), "" | "/") {
            bail!("gateway URL {url:?}: expected http://HOST[:PORT] without a path");
        }
        Ok(Self {
            client: exchange::client()?,
            origin: parsed.origin().ascii_serialization(),
            address: format!("{host}:{port}"),
            host: name.unwrap_or(host).to_owned(),
            named: name.is_some(),
        })
    }

    /// The absolute URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// A GET of `path`, to be refined and sent.
    #[must_use]
    pub fn get(&self, path: &str) -> Ask {
        Ask::get(self.url(path))
    }

    /// Makes a request; one that names a host itself goes to that.
    pub async fn send(&self, ask: Ask) -> Reply {
        let told = ask
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let ask = if self.named && !told {
            ask.header("host", &self.host)
        } else {
            ask
        };
        exchange::exchange(&self.client, ask).await
    }

    /// GETs a path, marked.
    ///
    /// # Errors
    /// When nothing answers.
    pub async fn fetch(&self, path: &str, marker: &str) -> Result<Answer> {
        self.send(self.get(path).marked(marker))
            .await
            .answer()
            .with_context(|| format!("GET {}", self.url(path)))
    }

    /// Makes a request of exactly these bytes.
    ///
    /// # Errors
    /// As [`raw::send`].
    pub async fn send_raw(&self, method: &[u8], target: &[u8], marker: &str) -> Result<Answer> {
        let bytes = raw::request(method, target, &self.host, marker);
        raw::send(&self.address, &bytes, exchange::PATIENCE).await
    }
}

/// How the message of every entry begins that the suite posts.
pub const TEST: &str = "faultline-e2e (a test: ";

/// A user agent that nobody else uses, so that a request can be found in an application's log. The entries that the
/// suite posts begin with it, so it says in plain words that they are tests ([`TEST`]).
#[must_use]
pub fn marker(case: &str) -> String {
    format!("{TEST}{case} {})", Uuid::new_v4().simple())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_joined() {
        let gateway = Gateway::new("http://192.0.2.7:8080/", None).unwrap();
        assert_eq!(gateway.url("/log"), "http://192.0.2.7:8080/log");
        assert_eq!(gateway.address, "192.0.2.7:8080");
        assert_eq!(Gateway::new("http://[::1]", None).unwrap().address, "[::1]:80");
    }

    #[test]
    fn other_urls_are_refused() {
        for url in ["https://a/", "http://a/b", "a", "", "file:///x"] {
            assert!(Gateway::new(url, None).is_err(), "{url}");
        }
    }

    #[test]
    fn markers_differ_and_say_what_they_are() {
        assert_ne!(marker("a"), marker("a"));
        assert!(marker("a").starts_with("faultline-e2e (a test: a "));
    }
}
