//! HTTP/1.1 as exact bytes over TCP: for requests that no client library would send.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
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

/// Sends bytes and reads the answer until the server closes.
///
/// # Errors
/// When the server cannot be reached, closes without an answer, does not close within `patience`, or
/// answers something that is not HTTP/1.1.
pub async fn send(address: &str, bytes: &[u8], patience: Duration) -> Result<Answer> {
    let start = Instant::now();
    let received = tokio::time::timeout(patience, round_trip(address, bytes))
        .await
        .with_context(|| format!("{address} did not finish its answer within {patience:?}"))??;
    let mut answer = parse(&received)?;
    answer.elapsed_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(answer)
}

async fn round_trip(address: &str, bytes: &[u8]) -> Result<Vec<u8>> {
    let stream = TcpStream::connect(address)
        .await
        .with_context(|| format!("connecting to {address}"))?;
    let (reader, mut writer) = stream.into_split();
    let mut received = Vec::new();
    let mut limited = reader.take(LARGEST_ANSWER);
    // A server that refuses a long request answers and closes while it is still being sent: a failed
    // write is then no failure, and the answer is what counts.
    let (_, read) = tokio::join!(writer.write_all(bytes), limited.read_to_end(&mut received));
    match read {
        Err(error) if received.is_empty() => Err(error).context("reading the answer"),
        _ => Ok(received),
    }
}

/// Reads an answer whose end is the end of the connection.
///
/// # Errors
/// When the bytes are not an HTTP/1.1 answer.
pub fn parse(bytes: &[u8]) -> Result<Answer> {
    let mut fields = [httparse::EMPTY_HEADER; 96];
    let mut response = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(head) = response.parse(bytes).context("not an HTTP answer")?
    else {
        bail!(
            "the connection was closed after {} bytes, before a whole answer",
            bytes.len()
        );
    };
    Ok(Answer {
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
    })
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
        let answer = parse(b"HTTP/1.1 404 Not Found\r\nProxy-Status: x\r\n\r\n{}").unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (404, "{}"));
        assert_eq!(answer.header("proxy-status").as_deref(), Some("x"));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        assert!(parse(b"HTTP/1.1 404 Not").is_err());
        assert!(parse(b"").is_err());
        assert!(parse(b"SSH-2.0-x\r\n").is_err());
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
