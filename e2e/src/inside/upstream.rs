//! `upstream`: an application of a rule's proof. It says what arrived, counts it, and answers as it is told to.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::client_hello::HANDSHAKE;
use crate::exchange::{self, Ask};

/// The header by which a request, and each try of it, is counted.
pub const MARK: &str = "x-faultline-proof";
/// The page with the [`Counted`] of a mark, which follows.
pub const COUNTED: &str = "/.faultline/counted/";
/// The page that takes a PUT of an [`Answering`].
pub const ANSWERING: &str = "/.faultline/answering";

/// Longer than any head that a proxy passes on.
const LARGEST_HEAD: usize = 256 * 1024;
const MOST_FIELDS: usize = 200;

/// Be an application that says what arrived, and counts it.
#[derive(Args, Clone, Debug)]
pub struct Upstream {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The name to answer with.
    #[arg(long)]
    name: String,
    /// How to answer, as JSON: `{"delay_ms": 0, "status": 200, "calls": "http://HOST/"}`.
    #[arg(long, default_value = "{}", value_parser = answering)]
    answering: Answering,
}

/// How to answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answering {
    /// After this many milliseconds.
    pub delay_ms: u64,
    /// With this status; absent: 200.
    pub status: Option<u16>,
    /// After a GET of this URL, whose status it answers with.
    pub calls: Option<String>,
}

/// The requests of a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Those that have arrived.
    pub tries: u64,
    /// The most that were here at the same time.
    pub concurrent: u64,
    /// Those that are here.
    #[serde(skip)]
    here: u64,
}

/// What an answer's body says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// The application's name.
    pub upstream: String,
    /// Its pod.
    pub pod: String,
    /// The path that arrived, with its query.
    pub path: String,
}

fn answering(text: &str) -> Result<Answering, serde_json::Error> {
    serde_json::from_str(text)
}

struct State {
    name: String,
    pod: String,
    answering: Mutex<Answering>,
    counted: Mutex<BTreeMap<String, Counted>>,
}

/// Serves until SIGTERM.
///
/// # Errors
/// When signals cannot be listened for, or the address cannot be bound.
pub async fn run(options: Upstream) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("--listen {}", options.listen))?;
    let state = Arc::new(State {
        name: options.name,
        pod: std::env::var("HOSTNAME").unwrap_or_default(),
        answering: Mutex::new(options.answering),
        counted: Mutex::default(),
    });
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                let state = Arc::clone(&state);
                // a caller that goes away early is its own affair
                tokio::spawn(async move { serve(stream, &state).await.ok() });
            },
        }
    }
}

#[derive(Default)]
struct Request {
    method: String,
    target: String,
    mark: Option<String>,
    length: usize,
}

/// A request's head and its length, once all of it is there.
fn head(bytes: &[u8]) -> Result<Option<(usize, Request)>> {
    // TLS that a proxy has passed through: what arrived is answered in plaintext, which only the probe reads.
    if bytes.first() == Some(&HANDSHAKE) {
        return Ok(Some((bytes.len(), Request::default())));
    }
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(read) = request.parse(bytes)? else {
        return Ok(None);
    };
    let field = |name: &str| {
        let mut fields = request.headers.iter();
        let field = fields.find(|it| it.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(field.value).into_owned())
    };
    let length = field("content-length").and_then(|it| it.parse().ok());
    let request = Request {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        mark: field(MARK),
        length: length.unwrap_or(0),
    };
    Ok(Some((read, request)))
}

async fn serve(mut stream: TcpStream, state: &State) -> Result<()> {
    let mut bytes = Vec::new();
    let (read, request) = loop {
        if let Some(whole) = head(&bytes)? {
            break whole;
        }
        if bytes.len() > LARGEST_HEAD || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(());
        }
    };
    let end = read.saturating_add(request.length.min(LARGEST_HEAD));
    while bytes.len() < end && stream.read_buf(&mut bytes).await? > 0 {}
    let body = bytes.get(read..).unwrap_or_default();
    let (status, body) = state.answer(&request, body).await?;
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} Faultline\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if request.method != "HEAD" {
        stream.write_all(body.as_bytes()).await?;
    }
    Ok(stream.shutdown().await?)
}

impl State {
    async fn answer(&self, request: &Request, body: &[u8]) -> Result<(u16, String)> {
        if let Some(mark) = request.target.strip_prefix(COUNTED) {
            let mut counted = Counted::default();
            self.count(mark, |it| counted = *it);
            return Ok((200, serde_json::to_string(&counted)?));
        }
        if request.target == ANSWERING && request.method == "PUT" {
            let told = serde_json::from_slice(body)?;
            *self
                .answering
                .lock()
                .unwrap_or_else(PoisonError::into_inner) = told;
            return Ok((204, String::new()));
        }
        let mark = request.mark.as_deref().unwrap_or_default();
        self.count(mark, |it| {
            it.tries += 1;
            it.here += 1;
            it.concurrent = it.concurrent.max(it.here);
        });
        let answer = self.answer_in_time(request, mark).await;
        self.count(mark, |it| it.here -= 1);
        answer
    }

    fn count(&self, mark: &str, change: impl FnOnce(&mut Counted)) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        change(counted.entry(mark.to_owned()).or_default());
    }

    async fn answer_in_time(&self, request: &Request, mark: &str) -> Result<(u16, String)> {
        let answering = self.answering.lock();
        let answering = answering.unwrap_or_else(PoisonError::into_inner).clone();
        tokio::time::sleep(Duration::from_millis(answering.delay_ms)).await;
        let called = match &answering.calls {
            Some(url) => call(url, mark).await?,
            None => 200,
        };
        let arrived = Arrived {
            upstream: self.name.clone(),
            pod: self.pod.clone(),
            path: request.target.clone(),
        };
        let status = answering.status.unwrap_or(called);
        Ok((status, serde_json::to_string(&arrived)?))
    }
}

/// The status of a GET; 502 where there is none.
async fn call(url: &str, mark: &str) -> Result<u16> {
    let ask = Ask::get(url).header(MARK, mark);
    let reply = exchange::exchange(&exchange::client()?, ask).await;
    Ok(reply.answer().map_or(502, |answer| answer.status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Method;
    use tokio::task::JoinHandle;

    async fn start(answering: Answering) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State {
            name: "v1".to_owned(),
            pod: "v1-0".to_owned(),
            answering: Mutex::new(answering),
            counted: Mutex::default(),
        });
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move { serve(stream, &state).await.ok() });
            }
        });
        (url, serving)
    }

    async fn ask(ask: Ask) -> exchange::Answer {
        let client = exchange::client().unwrap();
        exchange::exchange(&client, ask).await.answer().unwrap()
    }

    async fn counted(url: &str, mark: &str) -> Counted {
        let page = ask(Ask::get(format!("{url}{COUNTED}{mark}"))).await;
        serde_json::from_str(&page.body).unwrap()
    }

    #[tokio::test]
    async fn requests_that_are_here_together_are_counted() {
        let slow = Answering {
            delay_ms: 200,
            ..Answering::default()
        };
        let (url, _serving) = start(slow).await;
        let get = || ask(Ask::get(&*url).header(MARK, "a"));
        tokio::join!(get(), get(), get());
        let seen = counted(&url, "a").await;
        assert_eq!((seen.tries, seen.concurrent), (3, 3));
    }

    #[tokio::test]
    async fn it_says_what_arrived_and_counts_it_by_its_mark() {
        let (url, _serving) = start(Answering::default()).await;
        for mark in ["a", "a", "b"] {
            let answer = ask(Ask::get(format!("{url}//x?y")).header(MARK, mark)).await;
            let arrived: Arrived = serde_json::from_str(&answer.body).unwrap();
            assert_eq!((answer.status, arrived.path.as_str()), (200, "//x?y"));
            assert_eq!((&*arrived.upstream, &*arrived.pod), ("v1", "v1-0"));
        }
        for (mark, tries) in [("a", 2), ("b", 1), ("c", 0)] {
            assert_eq!(counted(&url, mark).await.tries, tries, "{mark}");
        }
    }

    #[tokio::test]
    async fn it_answers_as_it_is_told_to() {
        let (failing, _serving) = start(Answering {
            status: Some(503),
            ..Answering::default()
        })
        .await;
        let calls = Some(format!("{failing}/"));
        let (url, _calling) = start(Answering {
            calls,
            ..Answering::default()
        })
        .await;
        assert_eq!(ask(Ask::get(&*url).header(MARK, "a")).await.status, 503);
        let tries = counted(&failing, "a").await.tries;
        assert_eq!(tries, 1, "the mark goes with the call");
        let put = Ask {
            body: Some(r#"{"status": 418, "delay_ms": 30}"#.to_owned()),
            ..Ask::get(format!("{url}{ANSWERING}")).method(Method::PUT)
        };
        assert_eq!(ask(put).await.status, 204);
        let answer = ask(Ask::get(&*url)).await;
        assert!(
            answer.status == 418 && answer.elapsed_ms >= 30,
            "{answer:?}"
        );
    }
}
