//! `idle`: the first process of a probe pod. Does nothing until told to stop.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{WaitOptions, waitpid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// The magic number and version of WebAssembly, then a section that does not exist: whoever fetches it
/// finds nothing wrong, and no engine loads it.
const UNLOADABLE: &[u8] = b"\0asm\x01\0\0\0\xff\xff\xff\xff\x0fnot a module";
/// Not WebAssembly at all.
const GARBAGE: &[u8] = b"not a module";

/// Wait for SIGTERM, and clear up after orphaned children as a first process must.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Serve broken modules: under /garbage what is not WebAssembly at all, elsewhere what looks like it
    /// and cannot be loaded.
    #[arg(long, value_name = "ADDRESS:PORT")]
    broken_modules_at: Option<SocketAddr>,
    /// End after this long also without SIGTERM.
    #[arg(long, value_name = "SECONDS")]
    at_most: Option<u64>,
}

/// Idles.
///
/// # Errors
/// When signals cannot be listened for, or the address cannot be bound.
pub async fn run(idle: Idle) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut orphans = signal(SignalKind::child()).context("listening for SIGCHLD")?;
    let listener = match idle.broken_modules_at {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            Some(listener.with_context(|| format!("--broken-modules-at {address}"))?)
        }
        None => None,
    };
    let mut end = pin!(end(idle.at_most));
    loop {
        tokio::select! {
            () = &mut end => return Ok(()),
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = orphans.recv() => while let Ok(Some(_)) = waitpid(None, WaitOptions::NOHANG) {},
            Some(stream) = accept(listener.as_ref()) => {
                // a caller that goes away early is its own affair
                tokio::spawn(async move { serve(stream).await.ok() });
            }
        }
    }
}

async fn end(at_most: Option<u64>) {
    match at_most {
        Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
        None => std::future::pending().await,
    }
}

async fn accept(listener: Option<&TcpListener>) -> Option<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.ok().map(|(stream, _)| stream),
        None => std::future::pending().await,
    }
}

async fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && request.len() < 64 * 1024 {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let module = match request.starts_with(b"GET /garbage") {
        true => GARBAGE,
        false => UNLOADABLE,
    };
    let length = module.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/wasm\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(module).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Ask, client, exchange};

    #[tokio::test]
    async fn broken_modules_are_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            for _ in 0..2 {
                serve(accept(Some(&listener)).await.unwrap()).await.unwrap();
            }
        });
        let client = client().unwrap();
        for (path, start) in [("/x", "\0asm\u{1}\0\0\0"), ("/garbage/1", "not")] {
            let ask = Ask::get(format!("{origin}{path}"));
            let answer = exchange(&client, ask).await.answer().unwrap();
            assert_eq!(answer.status, 200);
            assert!(answer.body.starts_with(start), "{path}");
        }
        server.await.unwrap();
    }
}
