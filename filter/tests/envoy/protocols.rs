//! What a stream may be besides a request and an answer: bodies, trailers, 100-continue, upgrades,
//! gRPC. The filter sees headers only; all the rest goes through it as it is.

use crate::{
    annotations::proxy_status,
    client::{Response, send},
    host::{Host, each_host},
    http2,
    proxy::{Proxy, cluster},
    scenario::http2_options,
    statistics::{counted, logged, statistics},
};
use faultline_testbed::{DEADLINE, Envoy, Step, Upstream};
use http::HeaderMap;
use http_body_util::BodyExt;
use serde_json::json;
use std::net::SocketAddr;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

each_host!(
    bodies_and_trailers_pass_over_http2,
    a_stream_in_both_directions_is_counted_at_its_end,
    grpc_is_refused_as_grpc,
    a_body_is_sent_once_it_is_asked_for,
    a_refused_request_reaches_nobody_with_its_body,
    an_upgrade_is_annotated_and_counted_when_it_ends,
    an_upgrade_of_an_unknown_path_is_refused,
);

const GRPC: &str = "application/grpc";

/// A proxy whose routes are `/echo` and `/socket`, observed; the upstream echoes over HTTP/2, and
/// switches protocols over HTTP/1.1.
async fn echoing(host: Host) -> (Upstream, Envoy, SocketAddr) {
    let upstream = Upstream::start(|request| match request.uri.path() {
        "/socket" => Step::Upgrade,
        _ => Step::Echo {
            headers: vec![("content-type", GRPC)],
        },
    });
    let upstream = upstream.await.unwrap();
    let config = json!({"routes": [
        {"path": "/echo", "methods": ["POST"], "observe": "echo"},
        {"path": "/socket", "methods": ["GET"], "observe": "socket"},
    ]});
    let mut proxy = Proxy::to(host, &upstream, &config);
    let options = json!({"typed_extension_protocol_options": http2_options()});
    proxy
        .clusters
        .push(cluster("http2", Some(upstream.address()), options));
    proxy.routes = vec![
        json!({"match": {"path": "/socket"}, "route": {
            "cluster": "app",
            "upgrade_configs": [{"upgrade_type": "websocket"}],
        }}),
        json!({"match": {"prefix": "/"}, "route": {"cluster": "http2", "timeout": "0s"}}),
    ];
    let (envoy, address) = proxy.start().await;
    (upstream, envoy, address)
}

fn assert_ok(response: &Response) {
    assert_eq!(response.status, 200, "{response:?}");
    let status = proxy_status(response);
    assert_eq!(status.details, "outcome=ok attempts=1");
    assert_eq!((status.error, status.received), (None, Some(200)));
}

async fn bodies_and_trailers_pass_over_http2(host: Host) {
    let (_upstream, envoy, address) = echoing(host).await;
    let (mut exchange, mut body) = http2::open(address, "POST", "/echo", &[]).await;
    let piece = vec![b'x'; 100_000];
    let writing = tokio::spawn(async move {
        for _ in 0..10 {
            body.send_data(piece.clone().into()).await.unwrap();
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", "ten".parse().unwrap());
        body.send_trailers(trailers).await.unwrap();
    });
    let (response, trailers) = exchange.whole().await;
    writing.await.unwrap();
    assert_ok(&response);
    assert_eq!(response.body.len(), 1_000_000);
    assert_eq!(trailers["checksum"], "ten");
    counted(&envoy, "faultline_requests_total.echo.ok", 1).await;
}

/// Both sides talk at once; the outcome is decided when the last byte has gone, not before.
async fn a_stream_in_both_directions_is_counted_at_its_end(host: Host) {
    let (_upstream, envoy, address) = echoing(host).await;
    let headers = [("content-type", GRPC), ("te", "trailers")];
    let (mut exchange, mut body) = http2::open(address, "POST", "/echo", &headers).await;
    let (head, mut answer) = exchange.head().await;
    assert_ok(&head);
    for message in ["one", "two", "three"] {
        body.send_data(message.into()).await.unwrap();
        let frame = timeout(DEADLINE, answer.frame()).await.expect("an echo");
        assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), message);
    }
    let stats = statistics(&envoy).await;
    assert_eq!(stats["faultline_requests_total.echo.ok"], 0);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    body.send_trailers(trailers).await.unwrap();
    drop(body);
    let end = answer.frame().await.unwrap().unwrap();
    assert_eq!(end.into_trailers().unwrap()["grpc-status"], "0");
    counted(&envoy, "faultline_requests_total.echo.ok", 1).await;
}

/// A gRPC client reads a refusal as a status of its own protocol.
async fn grpc_is_refused_as_grpc(host: Host) {
    let (upstream, envoy, address) = echoing(host).await;
    let headers = [("content-type", GRPC), ("te", "trailers")];
    let (mut exchange, _body) = http2::open(address, "POST", "/nowhere", &headers).await;
    let (response, _) = exchange.whole().await;
    assert_eq!(response.status, 200);
    // What the gRPC specification makes of a 404: UNIMPLEMENTED.
    assert_eq!(response.last("grpc-status"), Some("12"));
    let status = proxy_status(&response);
    assert_eq!(status.error.as_deref(), Some("destination_not_found"));
    counted(&envoy, "faultline_unknown_routes_total", 1).await;
    assert!(upstream.seen().is_empty());
}

const EXPECTING: &str = "HTTP/1.1\r\nhost: test\r\nconnection: close\r\nexpect: 100-continue\r\ntransfer-encoding: chunked\r\n\r\n";

/// Reads until the end of a response's head.
async fn head(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = timeout(DEADLINE, stream.read_u8()).await.expect("a head");
        bytes.push(byte.unwrap());
    }
    String::from_utf8(bytes).unwrap()
}

async fn a_body_is_sent_once_it_is_asked_for(host: Host) {
    let (_upstream, envoy, address) = echoing(host).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("POST /echo {EXPECTING}");
    stream.write_all(request.as_bytes()).await.unwrap();
    assert!(head(&mut stream).await.starts_with("HTTP/1.1 100"));
    stream.write_all(b"4\r\nbody\r\n0\r\n\r\n").await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let annotation =
        r#"proxy-status: faultline; received-status=200; details="outcome=ok attempts=1""#;
    assert!(head.contains(annotation), "{head}");
    let mut body = String::new();
    stream.read_to_string(&mut body).await.unwrap();
    assert!(body.contains("body"), "{body}");
    counted(&envoy, "faultline_requests_total.echo.ok", 1).await;
}

/// Where nothing is, no body is asked for... by the filter; Envoy itself says 100 at once.
async fn a_refused_request_reaches_nobody_with_its_body(host: Host) {
    let (upstream, envoy, address) = echoing(host).await;
    let request = format!("POST /nowhere {EXPECTING}4\r\nbody\r\n0\r\n\r\n");
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut first = head(&mut stream).await;
    if first.starts_with("HTTP/1.1 100") {
        first = head(&mut stream).await;
    }
    assert!(first.starts_with("HTTP/1.1 404"), "{first}");
    counted(&envoy, "faultline_unknown_routes_total", 1).await;
    assert!(upstream.seen().is_empty());
}

const UPGRADE: &str = "HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";

async fn an_upgrade_is_annotated_and_counted_when_it_ends(host: Host) {
    let (_upstream, envoy, address) = echoing(host).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET /socket {UPGRADE}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    let annotation =
        r#"proxy-status: faultline; received-status=101; details="outcome=ok attempts=1""#;
    assert!(head.contains(annotation), "{head}");
    for message in ["ping", "pong"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut echo = [0; 4];
        timeout(DEADLINE, stream.read_exact(&mut echo))
            .await
            .expect("an echo")
            .unwrap();
        assert_eq!(echo, message.as_bytes());
    }
    let stats = statistics(&envoy).await;
    let requests =
        |(name, count): (&String, &u64)| name.contains("requests.socket").then_some(*count);
    assert_eq!(stats.iter().filter_map(requests).sum::<u64>(), 0);
    stream.shutdown().await.unwrap();
    drop(stream);
    logged(&envoy, "/socket", Some("client_gone")).await;
    counted(&envoy, "faultline_requests_total.socket.client_gone", 1).await;
}

async fn an_upgrade_of_an_unknown_path_is_refused(host: Host) {
    let (upstream, envoy, address) = echoing(host).await;
    let request = format!("GET /nowhere {UPGRADE}");
    let response = send(address, request.as_bytes()).await.unwrap();
    // Envoy refuses upgrades of its own where no route allows them, before or after the filter.
    assert!(matches!(response.status, 403 | 404), "{response:?}");
    assert!(upstream.seen().is_empty());
    if response.status == 404 {
        counted(&envoy, "faultline_unknown_routes_total", 1).await;
    }
}
