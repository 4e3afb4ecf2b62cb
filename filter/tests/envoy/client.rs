//! Clients that send exactly what they are told, well-formed or not.

use faultline_testbed::DEADLINE;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// A response as it came over the wire.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// Every value of a header, in order.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let same = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The last value of a header.
    pub(crate) fn last(&self, name: &str) -> Option<&str> {
        self.all(name).last().copied()
    }

    /// Whether nothing more can come. Waiting for the proxy to close instead takes a second each
    /// time: it waits for the client to close first.
    fn is_whole(&self, has_body: bool) -> bool {
        match self
            .last("content-length")
            .and_then(|length| length.parse().ok())
        {
            Some(length) => !has_body || self.body.len() >= length,
            None => !has_body || self.body.ends_with(b"0\r\n\r\n"),
        }
    }

    /// `None` if the bytes are no response: the connection was closed without one.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_owned(), value.to_owned()))
        };
        Some(Self {
            status,
            headers: lines.filter_map(header).collect(),
            body: bytes[end + 4..].to_vec(),
        })
    }
}

/// Sends these bytes and reads the response, or to the end if it does not say where it ends.
pub(crate) async fn send(address: SocketAddr, request: &[u8]) -> Option<Response> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The proxy may close before it has read everything: what it said is what counts.
    let _ = stream.write_all(request).await;
    let has_body = !request.starts_with(b"HEAD ");
    let mut bytes = Vec::new();
    loop {
        let response = Response::parse(&bytes);
        if response
            .as_ref()
            .is_some_and(|response| response.is_whole(has_body))
        {
            return response;
        }
        match timeout(DEADLINE, stream.read_buf(&mut bytes))
            .await
            .expect("an end")
        {
            Ok(0) | Err(_) => return response,
            Ok(_) => {}
        }
    }
}

/// An HTTP/1.1 request for one exchange.
pub(crate) fn request(method: &[u8], target: &[u8]) -> Vec<u8> {
    request_to("test", method, target)
}

/// The same for this host.
pub(crate) fn request_to(host: &str, method: &[u8], target: &[u8]) -> Vec<u8> {
    let rest =
        format!(" HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    [method, b" ", target, rest.as_bytes()].concat()
}

/// Sends a GET and reads the response.
pub(crate) async fn get(address: SocketAddr, target: &str) -> Response {
    let response = send(address, &request(b"GET", target.as_bytes())).await;
    response.unwrap_or_else(|| panic!("no response for {target}"))
}
