//! A server that does what a script says, and remembers what it was asked.

use crate::Error;
use futures_util::{FutureExt, StreamExt, stream};
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{CONNECTION, UPGRADE},
};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Body, Bytes, Frame, Incoming},
    service::service_fn,
    upgrade::OnUpgrade,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use std::{
    future, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// What the upstream does with one request.
#[derive(Debug, Clone)]
pub enum Step {
    /// Answers.
    Answer {
        /// The status.
        status: StatusCode,
        /// Headers; a name may come more than once.
        headers: Vec<(&'static str, &'static str)>,
        /// The body.
        body: Bytes,
    },
    /// Says nothing until the proxy gives up.
    Stall,
    /// Sends the headers of a 200, then says nothing until the proxy gives up.
    StallMidBody,
    /// Ends the connection (or, over HTTP/2, resets the stream) before any header.
    Reset,
    /// The same after the headers of a 200 and half of its body.
    ResetMidBody,
    /// Answers 200 at once and sends the request's body back as it comes, trailers too.
    Echo {
        /// Headers; a name may come more than once.
        headers: Vec<(&'static str, &'static str)>,
    },
    /// Switches to the protocol asked for, over HTTP/1.1, and then sends every byte back.
    Upgrade,
}

impl Step {
    /// An answer with this status and body, and no headers of its own.
    ///
    /// A number that is no status gives a 500, which a test will notice.
    pub fn answer(status: u16, body: impl Into<Bytes>) -> Self {
        Self::Answer {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            headers: Vec::new(),
            body: body.into(),
        }
    }
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its method.
    pub method: Method,
    /// Its target: path and query.
    pub uri: Uri,
    /// Its headers.
    pub headers: HeaderMap,
    /// How many requests for the same path came before it.
    pub before: usize,
}

/// A server on a port of its own, speaking HTTP/1.1 and HTTP/2 without TLS, until dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    server: JoinHandle<()>,
}

impl Upstream {
    /// Starts a server that does `script` with every request.
    ///
    /// # Errors
    /// No socket could be had.
    pub async fn start(
        script: impl Fn(&Seen) -> Step + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let failed = || Error::io("listen for the upstream");
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(failed())?;
        let address = listener.local_addr().map_err(failed())?;
        let seen = Arc::new(Mutex::new(Vec::new()));
        let server = tokio::spawn(serve(listener, Arc::new(script), Arc::clone(&seen)));
        Ok(Self {
            address,
            seen,
            server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request so far, in the order of arrival.
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.seen).clone()
    }

    /// The requests so far for this path.
    pub fn seen_at(&self, path: &str) -> Vec<Seen> {
        let mut seen = self.seen();
        seen.retain(|request| request.uri.path() == path);
        seen
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

type Script = dyn Fn(&Seen) -> Step + Send + Sync;

async fn serve(listener: TcpListener, script: Arc<Script>, seen: Arc<Mutex<Vec<Seen>>>) {
    // Connections end with the server: a stalled one would otherwise outlive the test.
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                async move { respond(request, &script, &seen).await }
            });
            let server = auto::Builder::new(TokioExecutor::new());
            // An error here is one the script asked for, or the proxy's leaving.
            let _ = server
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn respond(
    request: Request<Incoming>,
    script: &Arc<Script>,
    seen: &Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, io::Error> {
    let mut request = request;
    let on_upgrade = hyper::upgrade::on(&mut request);
    let (parts, body) = request.into_parts();
    let request = {
        let mut seen = lock(seen);
        let before = seen
            .iter()
            .filter(|other| other.uri.path() == parts.uri.path());
        let request = Seen {
            before: before.count(),
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
        };
        seen.push(request.clone());
        request
    };
    let step = script(&request);
    match step {
        Step::Echo { headers } => {
            return answer(StatusCode::OK, headers, body.map_err(io::Error::other));
        }
        Step::Upgrade => return upgrade(&request, on_upgrade),
        _ => {}
    }
    // Read whole, so that an unread body never looks like a fault.
    body.collect().await.map_err(io::Error::other)?;
    match step {
        Step::Answer {
            status,
            headers,
            body,
        } => answer(
            status,
            headers,
            Full::new(body).map_err(|never| match never {}),
        ),
        Step::StallMidBody => Ok(Response::new(half_a_body(future::pending()))),
        Step::Reset => Err(reset()),
        Step::ResetMidBody => Ok(Response::new(half_a_body(reset_after_flush()))),
        Step::Stall | Step::Echo { .. } | Step::Upgrade => future::pending().await,
    }
}

fn answer(
    status: StatusCode,
    headers: Vec<(&'static str, &'static str)>,
    body: impl Body<Data = Bytes, Error = io::Error> + Send + 'static,
) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, io::Error> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    response.body(body.boxed_unsync()).map_err(io::Error::other)
}

/// Switches protocols; from then on every byte goes back, until the other side ends.
fn upgrade(
    request: &Seen,
    upgraded: OnUpgrade,
) -> Result<Response<UnsyncBoxBody<Bytes, io::Error>>, io::Error> {
    tokio::spawn(async move {
        let Ok(stream) = upgraded.await else { return };
        let (mut reader, mut writer) = tokio::io::split(TokioIo::new(stream));
        // An error is the other side's leaving.
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    });
    let protocol = request.headers.get(UPGRADE).cloned();
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(CONNECTION, "upgrade")
        .header(
            UPGRADE,
            protocol.unwrap_or(HeaderValue::from_static("none")),
        )
        .body(Empty::new().map_err(|never| match never {}).boxed_unsync())
        .map_err(io::Error::other)
}

/// Half of a body, then whatever `rest` does.
fn half_a_body(
    rest: impl Future<Output = io::Error> + Send + 'static,
) -> UnsyncBoxBody<Bytes, io::Error> {
    let half = Ok(Frame::data(Bytes::from_static(b"half of ")));
    StreamBody::new(stream::iter([half]).chain(stream::once(rest.map(Err)))).boxed_unsync()
}

/// An error once the server has had the chance to send what came before it.
async fn reset_after_flush() -> io::Error {
    tokio::task::yield_now().await;
    reset()
}

fn reset() -> io::Error {
    io::Error::from(io::ErrorKind::ConnectionReset)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // A script that panicked has failed its test already.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
