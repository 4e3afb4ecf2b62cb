//! Serving until a signal, then draining.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};
use tower::ServiceExt;

use crate::health::Health;

/// How long a request's head may take, and so how long a connection may idle between requests:
/// longer than a client keeps one idle, lest a request meet a closing connection.
const HEAD_TIME: Duration = Duration::from_secs(60);

/// The largest head of a request, in bytes; a larger one gets 431.
const HEAD_BYTES: usize = 64 * 1024;

/// How a process goes away.
#[derive(Clone, Copy, Debug)]
pub struct Drain {
    /// How long to go on serving, not ready, so that whoever balances load sends no more.
    pub delay: Duration,
    /// How long everything after that may take: requests under way, then the service's own rest.
    pub grace: Duration,
}

/// The signals that ask a process to end.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes them over from the system, which would end the process at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn install() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// Serves `routes` until a signal; then readiness goes off, serving goes on for `drain.delay`, the
/// listener closes, requests under way end, and the deadline for whatever is left is returned.
/// A second signal ends the process at once.
pub async fn serve(
    listener: TcpListener,
    routes: Router,
    health: &Health,
    mut signals: Signals,
    drain: Drain,
) -> Instant {
    let connections = GracefulShutdown::new();
    tokio::select! {
        () = accept(&listener, &routes, &connections) => {}
        signal = signals.next() => {
            health.drain();
            tracing::info!(signal, delay_ms = drain.delay.as_millis(), "draining");
        }
    }
    tokio::spawn(async move {
        let signal = signals.next().await;
        tracing::warn!(signal, "ending at once: second signal");
        std::process::exit(1);
    });
    tokio::select! {
        () = accept(&listener, &routes, &connections) => {}
        () = sleep(drain.delay) => {}
    }
    drop(listener);
    let deadline = Instant::now() + drain.grace;
    let under_way = connections.count();
    if timeout_at(deadline, connections.shutdown()).await.is_err() {
        tracing::warn!(
            connections = under_way,
            "requests did not end within the grace"
        );
    }
    deadline
}

async fn accept(listener: &TcpListener, routes: &Router, connections: &GracefulShutdown) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve_connection(stream, routes.clone(), connections),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                // Most likely out of file descriptors: trying again at once would only spin.
                tracing::error!(%error, "cannot accept connections");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

fn serve_connection(stream: TcpStream, routes: Router, connections: &GracefulShutdown) {
    // Without it answers wait for the peer's acknowledgements; with an error they only wait.
    let _ = stream.set_nodelay(true);
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIME);
    let service = TowerToHyperService::new(
        routes.map_request(|request: http::Request<_>| request.map(Body::new)),
    );
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    let connection = connections.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(error, "connection ended early");
        }
    });
}
