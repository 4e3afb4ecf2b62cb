//! The deployment as its callers see it: the gateway's address.

use anyhow::{Context as _, Result, bail};
use reqwest::{Client, Url};
use uuid::Uuid;

use crate::exchange::{self, Answer, Ask, Reply};
use crate::raw;

/// A host that stands for any, in a target in absolute form.
const ANY_HOST: &str = "http://other.test";

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

    /// Makes a request of exactly these bytes. A target for `ANY_HOST` is one for the gateway's name, where it has one:
    /// it serves no other.
    ///
    /// # Errors
    /// As [`raw::send`].
    pub async fn send_raw(&self, method: &[u8], target: &[u8], marker: &str) -> Result<Answer> {
        let path = target.strip_prefix(ANY_HOST.as_bytes());
        let target = match path {
            Some(path) if self.named => [b"http://", self.host.as_bytes(), path].concat(),
            _ => target.to_vec(),
        };
        let bytes = raw::request(method, &target, &self.host, marker);
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    #[test]
    fn urls_are_joined() {
        let gateway = Gateway::new("http://192.0.2.7:8080/", None).unwrap();
        assert_eq!(gateway.url("/log"), "http://192.0.2.7:8080/log");
        assert_eq!(gateway.address, "192.0.2.7:8080");
        assert_eq!(
            Gateway::new("http://[::1]", None).unwrap().address,
            "[::1]:80"
        );
    }

    /// What a server is told of the host by a gateway of this name, asked as the cases ask.
    async fn hosts_told(name: Option<&str>, ask: fn(&Gateway) -> Ask) -> (String, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let gateway = Gateway::new(&format!("http://{address}"), name).unwrap();
        let served = tokio::spawn(async move {
            let mut told = Vec::new();
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let read = stream.read(&mut buffer).await.unwrap();
                let request = String::from_utf8_lossy(&buffer[..read]).to_lowercase();
                stream
                    .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                    .await
                    .unwrap();
                let hosts = request
                    .lines()
                    .filter_map(|line| line.strip_prefix("host: "));
                told.push(hosts.map(str::to_owned).collect::<Vec<_>>().join(", "));
            }
            told
        });
        gateway.send(ask(&gateway)).await.answer().unwrap();
        gateway.send_raw(b"GET", b"/", "m").await.unwrap();
        let address = |told: &String| told.replace(&address, "ADDRESS");
        let told: Vec<String> = served.await.unwrap().iter().map(address).collect();
        (told[0].clone(), told[1].clone())
    }

    #[tokio::test]
    async fn a_gateway_with_a_name_is_asked_for_that_host() {
        let get = |gateway: &Gateway| gateway.get("/");
        let told = |one: &str, other: &str| (one.to_owned(), other.to_owned());
        assert_eq!(hosts_told(None, get).await, told("ADDRESS", "127.0.0.1"));
        assert_eq!(
            hosts_told(Some("shop.test"), get).await,
            told("shop.test", "shop.test")
        );
        // the neighbour's caller says itself whom it asks for
        let other = |gateway: &Gateway| gateway.get("/").header("host", "other.test");
        assert_eq!(
            hosts_told(Some("shop.test"), other).await,
            told("other.test", "shop.test")
        );
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
