//! `shop`: the application of [`crate::shop`], which says how a path that it gets could be read.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

use crate::shop;

/// The header with the path that arrived, escaped.
pub(super) const ARRIVED: &str = "x-arrived";
/// The header with a reading of that path that the table does not name, escaped; absent where there is none.
pub(super) const LEAKED: &str = "x-leaked";

/// Longer than any head that a proxy passes on.
const LARGEST_HEAD: usize = 256 * 1024;

/// Be the application that is guarded by hosts, templates and prefixes.
#[derive(Args, Clone, Debug)]
pub struct Shop {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
}

/// Serves until SIGTERM.
///
/// # Errors
/// When signals cannot be listened for, or the address cannot be bound.
pub async fn run(options: Shop) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let listener = TcpListener::bind(options.listen).await;
    let listener = listener.with_context(|| format!("--listen {}", options.listen))?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                // a caller that goes away early is its own affair
                tokio::spawn(async move { serve(stream).await.ok() });
            },
        }
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < LARGEST_HEAD {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    stream.write_all(answer(path(&request)).as_bytes()).await?;
    stream.shutdown().await
}

/// The path of a request: what stands between the method and the version, without its query.
fn path(request: &[u8]) -> &[u8] {
    let line = request.split(|byte| *byte == b'\r').next();
    let target = line.and_then(|line| line.split(|byte| *byte == b' ').nth(1));
    let path = target.and_then(|target| target.split(|byte| *byte == b'?').next());
    path.unwrap_or_default()
}

fn answer(path: &[u8]) -> String {
    let arrived = path.escape_ascii();
    let leaked = shop::unnamed_reading(path);
    let leaked = leaked.map(|reading| format!("{LEAKED}: {}\r\n", reading.escape_ascii()));
    format!(
        "HTTP/1.1 200 OK\r\n{ARRIVED}: {arrived}\r\n{}content-length: 0\r\nconnection: close\r\n\r\n",
        leaked.unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_said_with_how_it_could_be_read() {
        let request = b"GET /static/..%2fadmin?a=b HTTP/1.1\r\nhost: x\r\n\r\n";
        assert_eq!(path(request), b"/static/..%2fadmin");
        let leaked = answer(path(request));
        assert!(
            leaked.contains("\r\nx-arrived: /static/..%2fadmin\r\nx-leaked: "),
            "{leaked}"
        );
        let fine = answer(b"/users/7");
        assert!(
            fine.contains("x-arrived: /users/7\r\ncontent-length"),
            "{fine}"
        );
    }
}
