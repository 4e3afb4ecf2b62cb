//! `tricks`: those of [`crate::shop`], played from inside the cluster, since no client library would send them and no
//! address of the gateway may be had from outside.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use clap::Args;
use serde::{Deserialize, Serialize};

use super::shop::{ARRIVED, LEAKED};
use crate::cases::tricks as acceptance;
use crate::exchange::{Answer, PATIENCE};
use crate::gateway::marker;
use crate::raw;
use crate::shop::{self, SHOP, TAKEN, Trick};

/// Play every trick on the shop behind a gateway, and print in one JSON line how it went.
#[derive(Args, Clone, Debug)]
pub struct Tricks {
    /// The gateway's address.
    address: String,
}

/// How it went.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Played {
    /// Tricks.
    pub tried: usize,
    /// Those that arrived at the shop, as a path that its table names.
    pub arrived: usize,
    /// Those that somebody else answered: refused, or of another host.
    pub elsewhere: usize,
    /// Those that a server could read as a path that the table does not name.
    pub leaked: Vec<String>,
    /// Requests that were not answered as they must be.
    pub wrong: Vec<String>,
}

/// Plays them.
///
/// # Errors
/// When the output cannot be written.
pub async fn run(options: Tricks) -> Result<()> {
    let played = play(&options.address).await;
    let line = serde_json::to_string(&played)?;
    writeln!(std::io::stdout(), "{line}").context("writing how it went")
}

async fn play(address: &str) -> Played {
    let mut played = Played::default();
    let marker = marker("tricks");
    // Before and after: the gateway serves what the table names, so a refusal is one.
    taken(address, &marker, &mut played).await;
    let spellings = acceptance::SPELLINGS.iter().chain(acceptance::UNSETTLED);
    let spellings = spellings.map(|spelling| ("GET", spelling.target.into()));
    let refused = acceptance::tricks().into_iter();
    let refused = refused.map(|trick| (trick.method, trick.target));
    for trick in shop::tricks(spellings.chain(refused)) {
        played.tried += 1;
        let Trick {
            method,
            target,
            host,
        } = &trick;
        let request = raw::request(method.as_bytes(), target, host, &marker);
        let answer = raw::send(address, &request, PATIENCE).await;
        let start = target.get(..80).unwrap_or(target).escape_ascii();
        let name = format!("{method} {start} of {host}");
        match answer {
            Ok(answer) => played.count(&name, &answer),
            Err(error) => played.wrong.push(format!("{name}: {error:#}")),
        }
    }
    taken(address, &marker, &mut played).await;
    played
}

/// Asks for what the table names.
async fn taken(address: &str, marker: &str, played: &mut Played) {
    for path in TAKEN {
        for host in [SHOP, "a.SHOP.test:80"] {
            let request = raw::request(b"GET", path.as_bytes(), host, marker);
            let answer = raw::send(address, &request, PATIENCE).await;
            let arrived = answer.as_ref().ok().and_then(|it| it.header(ARRIVED));
            if arrived.as_deref() != Some(path) {
                played
                    .wrong
                    .push(format!("{path} of {host}: {answer:?}, not the shop's"));
            }
        }
    }
}

impl Played {
    fn count(&mut self, name: &str, answer: &Answer) {
        match (answer.header(ARRIVED), answer.header(LEAKED)) {
            (Some(path), Some(reading)) => {
                self.leaked
                    .push(format!("{name}: {path}, read as {reading}"));
            }
            (Some(_), None) => self.arrived += 1,
            (None, _) if matches!(answer.status, 200 | 400 | 403 | 404 | 431) => {
                self.elsewhere += 1;
            }
            (None, _) => self.wrong.push(format!("{name}: {}", answer.summary())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    /// Plays the tricks on a server that gives every request the same answer.
    async fn played_on(answer: &'static str) -> Played {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut read = Vec::new();
                while !read.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut read).await.unwrap() == 0 {
                        break;
                    }
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let played = play(&address).await;
        server.abort();
        played
    }

    #[tokio::test]
    async fn what_leaks_is_seen_and_a_gateway_that_serves_nothing_too() {
        let leaks = "HTTP/1.1 200 OK\r\nx-arrived: /status\r\nx-leaked: /admin\r\ncontent-length: 0\r\n\r\n";
        let played = played_on(leaks).await;
        assert_eq!(played.leaked.len(), played.tried);
        assert!(
            played
                .leaked
                .iter()
                .any(|it| it.ends_with(" of shop.test: /status, read as /admin"))
        );

        let refuses = "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n";
        let played = played_on(refuses).await;
        assert_eq!(played.elsewhere, played.tried);
        assert_eq!(played.wrong.len(), 4 * TAKEN.len());

        let breaks = "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n";
        let played = played_on(breaks).await;
        assert_eq!(played.wrong.len(), played.tried + 4 * TAKEN.len());
    }
}
