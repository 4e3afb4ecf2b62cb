//! The load: senders that are kept, each asking its next question when it has its answer.

use crate::{config::LISTENER, exchange::Exchange};
use anyhow::{Context, ensure};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, header::HOST};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::Bytes,
    client::conn::{http1, http2},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, task::JoinSet};

/// When a slice ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Until {
    /// After this time, and the answers still owed then.
    Elapsed(Duration),
    /// After one answer to each sender. All of them must have been owed at once.
    AllAtOnce,
    /// After this many answers to each sender.
    Answers(u64),
}

/// A sender of one request at a time.
#[derive(Debug)]
enum Sender {
    /// With a connection of its own.
    Http1(http1::SendRequest<Empty<Bytes>>),
    /// On a connection that it shares.
    Http2(http2::SendRequest<Empty<Bytes>>),
}

/// As many streams as Envoy allows on an HTTP/2 connection that says nothing else.
const STREAMS: usize = 100;

/// Open connections to one Envoy.
#[derive(Debug)]
pub(crate) struct Load {
    senders: Vec<Sender>,
}

impl Load {
    /// Opens `count` HTTP/1.1 connections.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut senders = Vec::with_capacity(count);
        for _ in 0..count {
            let (sender, connection) = http1::handshake(connect(address).await?).await?;
            // Its error also fails the request that is under way, and is reported there.
            tokio::spawn(connection);
            senders.push(Sender::Http1(sender));
        }
        Ok(Self { senders })
    }

    /// Opens HTTP/2 connections for `count` senders: as many of HTTP/1.1 would need more files than
    /// a process may have open.
    ///
    /// # Errors
    /// One could not be opened.
    pub(crate) async fn open_streams(address: SocketAddr, count: usize) -> anyhow::Result<Self> {
        let mut senders = Vec::with_capacity(count);
        for _ in 0..count.div_ceil(STREAMS) {
            let stream = connect(address).await?;
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
            tokio::spawn(connection);
            let copies = (count - senders.len()).min(STREAMS);
            senders.extend((0..copies).map(|_| Sender::Http2(sender.clone())));
        }
        Ok(Self { senders })
    }

    /// Asks from every sender until `until`, and returns the number of answers, all checked,
    /// once none is owed.
    ///
    /// # Errors
    /// A connection failed, or an answer was not what `exchange` expects.
    pub(crate) async fn run(
        &mut self,
        exchange: &Arc<Exchange>,
        until: Until,
    ) -> anyhow::Result<u64> {
        let count = self.senders.len();
        let mut slice = JoinSet::new();
        let start = Instant::now();
        let owed = Arc::new(Owed::default());
        for (n, sender) in self.senders.drain(..).enumerate() {
            let question = Question {
                exchange: Arc::clone(exchange),
                first: n * exchange.targets.len() / count,
                start,
                until,
                owed: Arc::clone(&owed),
            };
            slice.spawn(question.ask(sender));
        }
        let mut answers = 0;
        while let Some(ended) = slice.join_next().await {
            let (sender, answered) = ended??;
            self.senders.push(sender);
            answers += answered;
        }
        let most = owed.most.load(Relaxed);
        if matches!(until, Until::AllAtOnce) {
            ensure!(
                most == count,
                "{most} of {count} requests were under way at once: this machine is too slow, or too busy"
            );
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
        let sender = self.senders.first_mut().context("no connection")?;
        send(sender, method, target, headers).await
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

/// How many answers are owed now, and how many were at most.
#[derive(Debug, Default)]
struct Owed {
    now: AtomicUsize,
    most: AtomicUsize,
}

/// The requests of one sender in one slice.
struct Question {
    exchange: Arc<Exchange>,
    /// The place of the first target.
    first: usize,
    /// The start of the slice.
    start: Instant,
    until: Until,
    owed: Arc<Owed>,
}

impl Question {
    async fn ask(self, mut sender: Sender) -> anyhow::Result<(Sender, u64)> {
        let exchange = &self.exchange;
        let mut answered = 0;
        for target in exchange.targets.iter().cycle().skip(self.first) {
            let is_over = match self.until {
                Until::Elapsed(duration) => self.start.elapsed() >= duration,
                Until::AllAtOnce => answered >= 1,
                Until::Answers(count) => answered >= count,
            };
            if is_over {
                break;
            }
            let owed = self.owed.now.fetch_add(1, Relaxed) + 1;
            self.owed.most.fetch_max(owed, Relaxed);
            let answer = send(&mut sender, Method::GET, target, &exchange.request_headers).await?;
            self.owed.now.fetch_sub(1, Relaxed);
            exchange
                .check(answer.status(), answer.headers(), answer.body())
                .with_context(|| format!("GET {target}"))?;
            answered += 1;
        }
        Ok((sender, answered))
    }
}

async fn send(
    sender: &mut Sender,
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
    let answer = match sender {
        Sender::Http1(sender) => {
            sender.ready().await?;
            sender.send_request(request).await?
        }
        Sender::Http2(sender) => {
            sender.ready().await?;
            *request.uri_mut() = format!("http://{LISTENER}{target}").parse()?;
            sender.send_request(request).await?
        }
    };
    let (parts, body) = answer.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}
