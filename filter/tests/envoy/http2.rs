//! An HTTP/2 client without TLS, which sends bodies and trailers piece by piece.

use crate::client::Response;
use faultline_testbed::DEADLINE;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, channel::Channel};
use hyper::{
    body::{Bytes, Incoming},
    client::conn::http2::handshake,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::net::SocketAddr;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

/// Where a request's body is written.
pub(crate) type Sender = http_body_util::channel::Sender<Bytes>;

/// A request that has been sent, on a connection of its own. Dropped, it leaves.
pub(crate) struct Exchange {
    response: JoinHandle<Result<http::Response<Incoming>, hyper::Error>>,
    connection: JoinHandle<Result<(), hyper::Error>>,
}

impl Drop for Exchange {
    fn drop(&mut self) {
        // Both hold the connection.
        self.response.abort();
        self.connection.abort();
    }
}

/// Sends a request's headers; its body follows by the sender, and ends when that is dropped.
pub(crate) async fn open(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
) -> (Exchange, Sender) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut client, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://test{target}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (sender, body) = Channel::<Bytes>::new(4);
    let request = request.body(body).unwrap();
    let response = tokio::spawn(async move { client.send_request(request).await });
    let exchange = Exchange {
        response,
        connection,
    };
    (exchange, sender)
}

impl Exchange {
    /// The response's head, as soon as it is there; its body follows.
    pub(crate) async fn head(&mut self) -> (Response, Incoming) {
        let response = timeout(DEADLINE, &mut self.response)
            .await
            .expect("a response");
        let (parts, body) = response.unwrap().unwrap().into_parts();
        let text =
            |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = parts
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)));
        let head = Response {
            status: parts.status.as_u16(),
            headers: headers.collect(),
            body: Vec::new(),
        };
        (head, body)
    }

    /// The whole response, and its trailers. A body that breaks off is as long as it came.
    pub(crate) async fn whole(&mut self) -> (Response, HeaderMap) {
        let (mut response, mut body) = self.head().await;
        let mut trailers = HeaderMap::new();
        while let Some(Ok(frame)) = timeout(DEADLINE, body.frame()).await.expect("an end") {
            match frame.into_data() {
                Ok(data) => response.body.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        (response, trailers)
    }
}

/// Sends a request without a body and reads the response.
pub(crate) async fn send(address: SocketAddr, method: &str, target: &str) -> Response {
    let (mut exchange, _) = open(address, method, target, &[]).await;
    exchange.whole().await.0
}
