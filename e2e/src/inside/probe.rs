//! `probe`: requests from inside the mesh, the answers as JSON lines.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use reqwest::Method;
use tokio::task::JoinSet;

use crate::client_hello::client_hello;
use crate::exchange::{self, Ask, Reply};
use crate::raw;

/// Make requests and print, per request, one JSON line with the answer or why there is none.
#[derive(Args, Clone, Debug)]
pub struct Probe {
    /// Absolute URL.
    url: String,
    /// Method.
    #[arg(long, default_value = "GET")]
    method: Method,
    /// A header field; may be given again.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Body.
    #[arg(long)]
    body: Option<String>,
    /// Go away when there is no whole answer after this long.
    #[arg(long, value_name = "MS", default_value_t = 15_000)]
    timeout_ms: u64,
    /// How many requests to make at once.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    concurrency: u16,
    /// Send the first message of TLS for a server of this name in place of a request.
    #[arg(long, value_name = "SERVER")]
    client_hello: Option<String>,
    /// A header field whose value is the request's number; for --times.
    #[arg(long, value_name = "NAME")]
    numbered: Option<String>,
    /// How often to do that, one time after another.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    times: u16,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Makes the requests and prints each answer as it comes.
///
/// # Errors
/// When the client cannot be built or the output cannot be written.
pub async fn run(probe: Probe) -> Result<()> {
    let client = exchange::client()?;
    let ask = Ask {
        method: probe.method,
        url: probe.url,
        headers: probe.headers,
        body: probe.body,
        timeout: Duration::from_millis(probe.timeout_ms),
    };
    let mut out = std::io::stdout().lock();
    for number in 0..probe.times {
        let mut ask = ask.clone();
        if let Some(name) = &probe.numbered {
            ask = ask.header(name, &number.to_string());
        }
        let mut calls = JoinSet::new();
        for _ in 0..probe.concurrency {
            let (client, ask, server) = (client.clone(), ask.clone(), probe.client_hello.clone());
            calls.spawn(async move {
                match server {
                    Some(server) => hello(&ask, &server).await,
                    None => exchange::exchange(&client, ask).await,
                }
            });
        }
        while let Some(reply) = calls.join_next().await {
            let line = serde_json::to_string(&reply.context("a request was lost")?)?;
            writeln!(out, "{line}").context("writing the answer")?;
        }
    }
    Ok(())
}

async fn hello(ask: &Ask, server: &str) -> Reply {
    let start = Instant::now();
    let address = ask.url.strip_prefix("http://").unwrap_or(&ask.url);
    let address = address.split('/').next().unwrap_or_default();
    match raw::send(address, &client_hello(server), ask.timeout).await {
        Ok(answer) => Reply::Answer(answer),
        Err(error) => Reply::NoAnswer {
            error: format!("{error:#}"),
            elapsed_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields_are_read() {
        assert_eq!(
            header("a: b:c ").unwrap(),
            ("a".to_owned(), "b:c".to_owned())
        );
        assert!(header("a").is_err());
    }
}
