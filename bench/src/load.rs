//! The load: connections that are kept, each asking its next question when it has its answer.

use crate::{config::LISTENER, exchange::Exchange};
use anyhow::Context;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Bytes,
    client::conn::http1::{SendRequest, handshake},
};
use hyper_util::rt::TokioIo;
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet};

/// When a slice ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After this time, and the answers still owed then.
    Elapsed(Duration),
    /// After this many answers on each connection.
    Answers(u64),
}

/// Open connections to one Envoy.
#[derive(Debug)]
pub(crate) struct Load {
    connections: Vec<SendRequest<Empty<Bytes>>>,
}

impl Load {
    /// Opens `count` connections.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // Its error also fails the request that is under way, and is reported there.
            tokio::spawn(connection);
            connections.push(sender);
        }
        Ok(Self { connections })
    }

    /// Asks on every connection until `until`, and returns the number of answers, all checked,
    /// once none is owed.
    ///
    /// # Errors
    /// A connection failed, or an answer was not what `exchange` expects.
    pub(crate) async fn run(
        &mut self,
        exchange: &Arc<Exchange>,
        until: Until,
    ) -> anyhow::Result<u64> {
        let count = self.connections.len();
        let mut slice = JoinSet::new();
        let start = Instant::now();
        for (n, sender) in self.connections.drain(..).enumerate() {
            let first = n * exchange.targets.len() / count;
            slice.spawn(ask(sender, Arc::clone(exchange), first, start, until));
        }
        let mut answers = 0;
        while let Some(ended) = slice.join_next().await {
            let (sender, answered) = ended??;
            self.connections.push(sender);
            answers += answered;
        }
        Ok(answers)
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// There are no connections, or the first one failed.
    pub(crate) async fn once(
        &mut self,
        method: Method,
        target: &Uri,
        headers: &HeaderMap,
    ) -> anyhow::Result<Response<Bytes>> {
        let sender = self.connections.first_mut().context("no connection")?;
        send(sender, method, target, headers).await
    }
}

async fn ask(
    mut sender: SendRequest<Empty<Bytes>>,
    exchange: Arc<Exchange>,
    first: usize,
    start: Instant,
    until: Until,
) -> anyhow::Result<(SendRequest<Empty<Bytes>>, u64)> {
    let mut answered = 0;
    for target in exchange.targets.iter().cycle().skip(first) {
        let is_over = match until {
            Until::Elapsed(duration) => start.elapsed() >= duration,
            Until::Answers(count) => answered >= count,
        };
        if is_over {
            break;
        }
        let answer = send(&mut sender, Method::GET, target, &exchange.request_headers).await?;
        exchange
            .check(answer.status(), answer.headers(), answer.body())
            .with_context(|| format!("GET {target}"))?;
        answered += 1;
    }
    Ok((sender, answered))
}

async fn send(
    sender: &mut SendRequest<Empty<Bytes>>,
    method: Method,
    target: &Uri,
    headers: &HeaderMap,
) -> anyhow::Result<Response<Bytes>> {
    let mut request = Request::new(Empty::new());
    request.headers_mut().clone_from(headers);
    *request.method_mut() = method;
    *request.uri_mut() = target.clone();
    request
        .headers_mut()
        .insert(HOST, HeaderValue::from_static(LISTENER));
    sender.ready().await?;
    let (parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
