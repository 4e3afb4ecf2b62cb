//! What is asked, and what must be answered: a guard that does not do its work fails the run.

use crate::{
    config::{NAME, PASSED, route},
    peer::Peer,
    variant::{COOKIE, Guard, Kind, Shape, Variant},
};
use anyhow::{Context, bail, ensure};
use faultline_filter_core::problem;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};

/// How many different unknown paths are asked for.
const UNKNOWN_PATHS: usize = 64;

/// The paths of one variant and their answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Request targets, asked for in turn.
    pub(crate) targets: Vec<Uri>,
    /// Headers that go with every request.
    pub(crate) request_headers: HeaderMap,
    status: StatusCode,
    body: &'static str,
    headers: Vec<(&'static str, Header)>,
}

/// What a header of the answer must be.
#[derive(Debug)]
enum Header {
    Is(&'static str),
    Contains(&'static str),
    Absent,
}

impl Exchange {
    /// The exchange of this variant.
    ///
    /// # Errors
    /// A path is no URI, or nothing of this kind is asked of a peer.
    pub(crate) fn of(variant: Variant) -> anyhow::Result<Self> {
        let Variant { setup, path } = variant;
        if let Guard::Peer(peer) = setup.guard {
            return Self::of_peer(peer, path);
        }
        // Where nothing guards, every path passes.
        let path = match setup.guard {
            Guard::Bare => Kind::Allowed,
            _ => path,
        };
        let targets = match setup.guard {
            Guard::Bare => vec![route(0).parse()?],
            _ => targets(setup.routes, path)?,
        };
        let headers = match (setup.guard, path) {
            (_, Kind::Unknown) => vec![
                ("content-type", Header::Is("application/problem+json")),
                ("proxy-status", Header::Is(NAME.unknown_route())),
            ],
            (Guard::Native | Guard::NativeTree, Kind::Observed) => vec![
                ("proxy-status", Header::Contains("flags=")),
                ("server-timing", Header::Contains("faultline;dur=")),
            ],
            (_, Kind::Observed) => vec![
                ("proxy-status", Header::Contains("outcome=ok")),
                ("server-timing", Header::Contains("faultline;dur=")),
            ],
            (_, Kind::Open | Kind::Allowed) => vec![
                ("proxy-status", Header::Absent),
                ("server-timing", Header::Absent),
            ],
        };
        let (status, body) = match path {
            Kind::Unknown => (StatusCode::NOT_FOUND, problem::unknown_route(&NAME).body),
            _ => (StatusCode::OK, PASSED),
        };
        Ok(Self {
            targets,
            request_headers: request_headers(setup.shape)?,
            status,
            body,
            headers,
        })
    }

    fn of_peer(peer: &'static Peer, path: Kind) -> anyhow::Result<Self> {
        let request = peer.request(path);
        let request = request.with_context(|| format!("{}: no such request", peer.name))?;
        Ok(Self {
            targets: match &request.paths {
                Some(paths) => paths.clone(),
                None => targets(peer.routes, path)?,
            },
            request_headers: request.headers.clone(),
            status: request.status,
            body: request.body.as_deref().unwrap_or(PASSED),
            headers: Vec::new(),
        })
    }

    /// Checks an answer.
    ///
    /// # Errors
    /// It is not the answer of a guard that works: what was answered instead.
    pub(crate) fn check(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> anyhow::Result<()> {
        ensure!(
            status == self.status,
            "answered {status} instead of {}",
            self.status
        );
        ensure!(
            body == self.body.as_bytes(),
            "the body was {:?}",
            String::from_utf8_lossy(body)
        );
        for (name, expected) in &self.headers {
            let value = headers.get(*name).map(|value| value.to_str());
            match (expected, value) {
                (Header::Is(expected), Some(Ok(value))) if value == *expected => {}
                (Header::Contains(part), Some(Ok(value))) if value.contains(part) => {}
                (Header::Absent, None) => {}
                (expected, value) => bail!("header {name} is {value:?}, expected {expected:?}"),
            }
        }
        Ok(())
    }
}

/// What a request of this shape has beside what every request has.
fn request_headers(shape: Shape) -> anyhow::Result<HeaderMap> {
    let mut headers = HeaderMap::new();
    if shape == Shape::Cookie {
        let cookie = format!("session={}", "c".repeat(COOKIE - "session=".len()));
        headers.insert(header::COOKIE, HeaderValue::try_from(cookie)?);
    }
    Ok(headers)
}

/// The paths of this kind, in random order: in that of the table, a cache would always have the
/// next entry ready.
fn targets(routes: usize, path: Kind) -> anyhow::Result<Vec<Uri>> {
    let numbers: Vec<usize> = match path {
        Kind::Unknown => (routes..routes + UNKNOWN_PATHS).collect(),
        _ => (0..routes).filter(|&n| Kind::of_route(n) == path).collect(),
    };
    let targets: Result<Vec<Uri>, _> = numbers.iter().map(|&n| route(n).parse()).collect();
    let mut targets = targets.context("a path is no URI")?;
    fastrand::shuffle(&mut targets);
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variant::Setup;

    fn exchange(guard: Guard, path: Kind) -> Exchange {
        let setup = Setup::plain(guard, 10);
        Exchange::of(Variant { setup, path }).unwrap()
    }

    #[test]
    fn every_variant_asks_for_something() {
        for variant in crate::variant::all(&[]) {
            assert!(
                !Exchange::of(variant).unwrap().targets.is_empty(),
                "{variant}"
            );
        }
    }

    #[test]
    fn an_answer_without_its_mark_is_refused() {
        let exchange = exchange(Guard::Lua, Kind::Unknown);
        let body = problem::unknown_route(&NAME).body.as_bytes();
        let mut headers = HeaderMap::new();
        headers.insert(
            "content-type",
            HeaderValue::from_static("application/problem+json"),
        );
        assert!(
            exchange
                .check(StatusCode::NOT_FOUND, &headers, body)
                .is_err()
        );
        headers.insert(
            "proxy-status",
            HeaderValue::from_static(NAME.unknown_route()),
        );
        exchange
            .check(StatusCode::NOT_FOUND, &headers, body)
            .unwrap();
        assert!(exchange.check(StatusCode::OK, &headers, body).is_err());
        assert!(
            exchange
                .check(StatusCode::NOT_FOUND, &headers, b"")
                .is_err()
        );
    }

    #[test]
    fn a_cookie_is_as_long_as_it_is_said_to_be() {
        let headers = request_headers(Shape::Cookie).unwrap();
        assert_eq!(headers.get(header::COOKIE).unwrap().len(), COOKIE);
        assert!(request_headers(Shape::Slow).unwrap().is_empty());
    }

    #[test]
    fn an_annotation_where_none_belongs_is_refused() {
        let exchange = exchange(Guard::Faultline, Kind::Allowed);
        let mut headers = HeaderMap::new();
        let body = PASSED.as_bytes();
        exchange.check(StatusCode::OK, &headers, body).unwrap();
        headers.insert("proxy-status", HeaderValue::from_static("faultline"));
        assert!(exchange.check(StatusCode::OK, &headers, body).is_err());
    }
}
