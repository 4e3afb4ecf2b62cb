//! One ordinary HTTP exchange, the same from outside (the suite) and from inside (the probe).

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use reqwest::{Client, Method};
use serde::{Deserialize, Serialize};

/// Longer than anything Faultline does on purpose; the delay is 2 s.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// A request to make.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Method.
    pub method: Method,
    /// Absolute `http://` URL.
    pub url: String,
    /// Header fields, in order.
    pub headers: Vec<(String, String)>,
    /// Body, sent as it is.
    pub body: Option<String>,
    /// How long the caller waits for the whole answer before it goes away.
    pub timeout: Duration,
}

impl Ask {
    /// A GET that waits for [`PATIENCE`].
    #[must_use]
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: Vec::new(),
            body: None,
            timeout: PATIENCE,
        }
    }

    /// A POST of a JSON body.
    #[must_use]
    pub fn post_json(url: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: Method::POST,
            body: Some(body.to_string()),
            ..Self::get(url)
        }
        .header("content-type", "application/json")
    }

    /// The same with another method.
    #[must_use]
    pub fn method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// The same with one more header field.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same, recognisable in an application's log by its user agent.
    #[must_use]
    pub fn marked(self, marker: &str) -> Self {
        self.header("user-agent", marker)
    }

    /// The same from a caller that gives up after `timeout`.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// An answer as it came over the wire. Bytes that are not UTF-8 are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
    /// From the first byte sent to the last byte received, in milliseconds.
    pub elapsed_ms: u64,
}

impl Answer {
    /// The combined value of a header field (its lines joined by a comma, RFC 9110 section 5.3).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// Status and beginning of the body, for a message.
    #[must_use]
    pub fn summary(&self) -> String {
        let body: String = self.body.chars().take(120).collect();
        format!(
            "{} after {} ms: {}",
            self.status,
            self.elapsed_ms,
            body.trim()
        )
    }
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// An answer, of whatever status.
    Answer(Answer),
    /// No answer: refused, reset, or the caller's own timeout.
    NoAnswer {
        /// Why, for a person.
        error: String,
        /// How long it took to know, in milliseconds.
        elapsed_ms: u64,
    },
}

impl Reply {
    /// The answer.
    ///
    /// # Errors
    /// When there was none.
    pub fn answer(self) -> Result<Answer> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::NoAnswer { error, elapsed_ms } => {
                Err(anyhow::anyhow!("no answer after {elapsed_ms} ms: {error}"))
            }
        }
    }

    /// One line for a message.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Answer(answer) => answer.summary(),
            Self::NoAnswer { error, elapsed_ms } => {
                format!("no answer after {elapsed_ms} ms: {error}")
            }
        }
    }
}

/// A client that goes straight to the address it is given: no proxy, no redirect, no kept connection
/// (so that a burst of N requests is N connections).
///
/// # Errors
/// When the client cannot be built.
pub fn client() -> Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(0)
        .build()
        .context("building the HTTP client")
}

/// Makes one request and says what became of it.
pub async fn exchange(client: &Client, ask: Ask) -> Reply {
    let start = Instant::now();
    match attempt(client, ask).await {
        Ok(answer) => Reply::Answer(Answer {
            elapsed_ms: millis(start),
            ..answer
        }),
        Err(error) => Reply::NoAnswer {
            error: chain(&error),
            elapsed_ms: millis(start),
        },
    }
}

async fn attempt(client: &Client, ask: Ask) -> Result<Answer, reqwest::Error> {
    let mut request = client.request(ask.method, ask.url).timeout(ask.timeout);
    for (name, value) in ask.headers {
        request = request.header(name, value);
    }
    if let Some(body) = ask.body {
        request = request.body(body);
    }
    let response = request.send().await?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect();
    let body = String::from_utf8_lossy(&response.bytes().await?).into_owned();
    Ok(Answer {
        status,
        headers,
        body,
        elapsed_ms: 0,
    })
}

fn millis(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX)
}

fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    async fn serve_once(response: &'static str) -> (String, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = vec![0; 4096];
            let read = stream.read(&mut buffer).await.unwrap();
            stream.write_all(response.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&buffer[..read]).into_owned()
        });
        (url, served)
    }

    #[tokio::test]
    async fn an_answer_keeps_status_headers_and_body() {
        let (url, served) = serve_once(
            "HTTP/1.1 504 Gateway Timeout\r\nProxy-Status: a\r\nproxy-status: b\r\ncontent-length: 4\r\n\r\nlate",
        )
        .await;
        let ask = Ask::get(url).marked("mark-1");
        let answer = exchange(&client().unwrap(), ask).await.answer().unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (504, "late"));
        assert_eq!(answer.header("Proxy-Status").as_deref(), Some("a, b"));
        assert!(served.await.unwrap().contains("user-agent: mark-1"));
    }

    #[tokio::test]
    async fn a_refused_connection_is_no_answer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let reply = exchange(&client().unwrap(), Ask::get(format!("http://{address}/"))).await;
        assert!(reply.summary().contains("refused"), "{}", reply.summary());
        assert!(reply.answer().is_err());
    }

    #[tokio::test]
    async fn a_caller_gives_up_at_its_own_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let ask = Ask::get(url).timeout(Duration::from_millis(30));
        let reply = exchange(&client().unwrap(), ask).await;
        assert!(matches!(reply, Reply::NoAnswer { elapsed_ms, .. } if elapsed_ms >= 30));
    }
}
