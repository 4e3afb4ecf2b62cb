//! `idle`: the first process of a probe pod. Does nothing until told to stop.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use clap::Args;
use rustix::process::{WaitOptions, waitpid};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

/// The magic number and version of WebAssembly, then a section that does not exist: fetched without
/// complaint, loaded by no engine.
const BROKEN_MODULE: &[u8] = b"\0asm\x01\0\0\0\xff\xff\xff\xff\x0fnot a module";

/// Wait for SIGTERM, and clear up after orphaned children as a first process must.
#[derive(Args, Clone, Debug)]
pub struct Idle {
    /// Serve a WebAssembly module that no engine can load, at any path.
    #[arg(long, value_name = "ADDRESS:PORT")]
    broken_module_at: Option<SocketAddr>,
}

/// Idles.
///
/// # Errors
/// When signals cannot be listened for, or the address cannot be bound.
pub async fn run(idle: Idle) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    let mut orphans = signal(SignalKind::child()).context("listening for SIGCHLD")?;
    let listener = match idle.broken_module_at {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            Some(listener.with_context(|| format!("--broken-module-at {address}"))?)
        }
        None => None,
    };
    loop {
        tokio::select! {
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
    let length = BROKEN_MODULE.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/wasm\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(BROKEN_MODULE).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::{Ask, client, exchange};

    #[tokio::test]
    async fn the_broken_module_is_served() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/plugin.wasm", listener.local_addr().unwrap());
        let server =
            tokio::spawn(async move { serve(accept(Some(&listener)).await.unwrap()).await });
        let answer = exchange(&client().unwrap(), Ask::get(url))
            .await
            .answer()
            .unwrap();
        assert_eq!(answer.status, 200);
        assert!(answer.body.starts_with("\0asm\u{1}\0\0\0"));
        server.await.unwrap().unwrap();
    }
}
