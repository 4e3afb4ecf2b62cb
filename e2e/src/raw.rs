//! HTTP/1.1 as exact bytes over TCP: for requests that no client library would send.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::exchange::Answer;

/// Enough for any answer to a request that is refused.
const LARGEST_ANSWER: u64 = 1024 * 1024;

/// The bytes of a request: `target` and `method` exactly as given, a Host field, the marker as user
/// agent, and no body.
#[must_use]
pub fn request(method: &[u8], target: &[u8], host: &str, marker: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(method.len() + target.len() + 128);
    bytes.extend_from_slice(method);
    bytes.push(b' ');
    bytes.extend_from_slice(target);
    bytes.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in [
        ("host", host),
        ("user-agent", marker),
        ("connection", "close"),
    ] {
        bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Sends bytes and reads one answer. (A proxy may keep the connection for a second after it, so the
/// answer's own length says where it ends.)
///
/// # Errors
/// When the server cannot be reached, does not finish an answer within `patience`, or answers something
/// that is not HTTP/1.1.
pub async fn send(address: &str, bytes: &[u8], patience: Duration) -> Result<Answer> {
    let start = Instant::now();
    let mut answer = tokio::time::timeout(patience, round_trip(address, bytes))
        .await
        .with_context(|| format!("{address} did not finish its answer within {patience:?}"))??;
    answer.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(answer)
}

async fn round_trip(address: &str, bytes: &[u8]) -> Result<Answer> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    let (reader, mut writer) = stream.into_split();
    // A server that refuses a long request answers and closes while it is still being sent: a failed
    // write is then no failure, and the answer is what counts.
    let write = async {
        let _refused = writer.write_all(bytes).await;
        std::future::pending::<Result<Answer>>().await
    };
    let no_body = bytes.starts_with(b"HEAD ");
    tokio::select! {
        answer = read(reader.take(LARGEST_ANSWER), no_body) => answer,
        answer = write => answer,
    }
}

async fn read(mut reader: impl AsyncRead + Unpin, no_body: bool) -> Result<Answer> {
    let mut received = Vec::new();
    loop {
        let read = reader.read_buf(&mut received).await;
        let ended = match read {
            Ok(count) => count == 0,
            Err(error) if received.is_empty() => return Err(error).context("reading the answer"),
            Err(_) => true,
        };
        match parse(&received)? {
            Some(answer) if ended || no_body || is_whole(&answer) => return Ok(answer),
            None if ended => {
                let count = received.len();
                bail!("the connection was closed after {count} bytes, before a whole answer");
            }
            _ => {}
        }
    }
}

/// Whether the body has the length that the answer gives it. One of unknown length ends with the connection.
fn is_whole(answer: &Answer) -> bool {
    let length = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    length.is_some_and(|length: usize| answer.body.len() >= length)
}

/// Reads an answer as far as it has come; `None` before the end of its head.
///
/// # Errors
/// When the bytes are not an HTTP/1.1 answer.
pub fn parse(bytes: &[u8]) -> Result<Option<Answer>> {
    let mut fields = [httparse::EMPTY_HEADER; 96];
    let mut response = httparse::Response::new(&mut fields);
    let parsed = response.parse(bytes).context("not an HTTP answer")?;
    let httparse::Status::Complete(head) = parsed else {
        return Ok(None);
    };
    Ok(Some(Answer {
        status: response.code.context("an answer without a status")?,
        headers: response
            .headers
            .iter()
            .map(|field| {
                let value = String::from_utf8_lossy(field.value).into_owned();
                (field.name.to_ascii_lowercase(), value)
            })
            .collect(),
        body: String::from_utf8_lossy(bytes.get(head..).unwrap_or_default()).into_owned(),
        elapsed_ms: 0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[test]
    fn a_request_is_exactly_the_bytes_given() {
        let bytes = request(b"BREW", b"/\0%2f;\xff", "h", "m");
        let expected =
            b"BREW /\0%2f;\xff HTTP/1.1\r\nhost: h\r\nuser-agent: m\r\nconnection: close\r\n\r\n";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn an_answer_is_read() {
        let bytes = b"HTTP/1.1 404 Not Found\r\nProxy-Status: x\r\n\r\n{}";
        let answer = parse(bytes).unwrap().unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "{}"));
        assert_eq!(answer.header("proxy-status").as_deref(), Some("x"));
        assert!(parse(b"HTTP/1.1 404 Not").unwrap().is_none());
        assert!(parse(b"SSH-2.0-x\r\n").is_err());
    }

    #[tokio::test]
    async fn an_answer_ends_where_it_says() {
        let bytes = b"HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\n\r\n{}";
        let (ours, mut theirs) = tokio::io::duplex(64);
        theirs.write_all(bytes).await.unwrap();
        // the other end stays open
        assert_eq!(read(ours, false).await.unwrap().body, "{}");
        let head = bytes.strip_suffix(b"{}").unwrap();
        assert_eq!(read(head, true).await.unwrap().status, 404);
        assert!(read(&b"HTTP/1.1 404 Not"[..], false).await.is_err());
        assert!(read(&b""[..], false).await.is_err());
        let unknown_length = &b"HTTP/1.1 200 OK\r\n\r\nabc"[..];
        assert_eq!(read(unknown_length, false).await.unwrap().body, "abc");
    }

    #[tokio::test]
    async fn an_early_answer_to_a_long_request_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut some = [0; 512];
            stream.read_exact(&mut some).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 431 Too Large\r\n\r\n")
                .await
                .unwrap();
            stream.shutdown().await.unwrap();
            // what a proxy does with the rest: read and forget, so that the answer is not reset away
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
        });
        let bytes = request(b"GET", &vec![b'a'; 100_000], "h", "m");
        let answer = send(&address, &bytes, Duration::from_secs(5))
            .await
            .unwrap();
        assert_eq!(answer.status, 431);
        server.await.unwrap();
    }
}
