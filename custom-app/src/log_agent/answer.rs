//! What the log agent's answers mean.

use std::time::Duration;

use faultline_service::api::{Newest, Receipt, Receipts};
use faultline_service::openapi::Problems;
use faultline_service::problem::Problem;
use http::StatusCode;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

/// The longest reason kept, in characters.
const REASON_CHARS: usize = 300;

/// The largest answer read, in bytes: a page of a mebibyte of text, every byte of it escaped.
const ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// When to ask again a log agent that says it cannot answer now.
const AGAIN: Duration = Duration::from_secs(1);

/// What became of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The log agent's word on each entry, in the order sent.
    Receipts(Vec<Receipt>),
    /// It will not have it as it is: 400 or 422 from the log agent, 413 from anybody. Another
    /// version or another limit may take it.
    Refused(String),
    /// Anything else: it may have arrived or not, and must come again.
    Failed(String),
}

impl Answer {
    /// The meaning of an answer to a delivery of these entries.
    pub(super) fn to_delivery(
        sent: impl Iterator<Item = Uuid>,
        status: StatusCode,
        body: &[u8],
    ) -> Self {
        let shortened = |detail: String| detail.chars().take(REASON_CHARS).collect::<String>();
        let detail = Refusal::read(body).map(|refusal| shortened(refusal.detail));
        let reason = detail.as_ref().map_or_else(
            || status.to_string(),
            |detail| format!("{status}: {detail}"),
        );
        match (status, detail) {
            (StatusCode::CREATED, _) => acknowledged(sent, body),
            // Only a problem is the log agent's word; what stands between may answer for itself.
            (StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY, Some(_))
            | (StatusCode::PAYLOAD_TOO_LARGE, _) => Self::Refused(reason),
            _ => Self::Failed(reason),
        }
    }
}

/// Anything may answer 201; only the log agent sends receipts for exactly what it was sent.
fn acknowledged(sent: impl Iterator<Item = Uuid>, body: &[u8]) -> Answer {
    match serde_json::from_slice::<Receipts>(body) {
        Ok(receipts) if receipts.entries.iter().map(|receipt| receipt.id).eq(sent) => {
            Answer::Receipts(receipts.entries)
        }
        Ok(_) => Answer::Failed("201 with receipts for other entries".to_owned()),
        Err(error) => Answer::Failed(format!("201 without receipts: {error}")),
    }
}

/// The part of a problem that says what to mend.
#[derive(Deserialize)]
struct Refusal {
    detail: String,
    field: Option<String>,
}

impl Refusal {
    fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

/// The meaning of an answer to a question: its content, or a problem for who asked.
pub(super) fn to_question<T: DeserializeOwned>(
    status: StatusCode,
    body: &[u8],
) -> Result<T, Problem> {
    match (status, Refusal::read(body)) {
        (StatusCode::OK, _) => serde_json::from_slice(body).map_err(|error| {
            tracing::warn!(%error, "the log agent's answer makes no sense");
            bad_gateway("the log agent's answer makes no sense")
        }),
        (
            StatusCode::BAD_REQUEST,
            Some(Refusal {
                detail,
                field: Some(field),
            }),
        ) => Err(Problem::new(status, detail).about(field)),
        (StatusCode::GATEWAY_TIMEOUT, _) => Err(NoAnswer::TimedOut.into()),
        // Only a problem is the log agent's word; a proxy's 503 says that it cannot be reached.
        (StatusCode::SERVICE_UNAVAILABLE, Some(Refusal { detail, .. })) => {
            Err(Problem::new(status, format!("the log agent: {detail}")).retry_after(AGAIN))
        }
        (status, _) => Err(bad_gateway(&format!("the log agent answered {status}"))),
    }
}

/// The problems of a question that gets no good answer, for the document.
pub(crate) fn failures(problems: Problems) -> Problems {
    let unavailable = serde_json::to_vec(&Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "the store cannot be read now",
    ));
    let answered = |status, body: &[u8]| to_question::<Newest>(status, body);
    problems
        .with("unreachable", NoAnswer::NotConnected(String::new()).into())
        .with("broken", NoAnswer::Broken(String::new()).into())
        .refused("nonsense", answered(StatusCode::OK, b"<html>"))
        .refused("unexpected", answered(StatusCode::FORBIDDEN, b""))
        .refused(
            "unavailable",
            answered(
                StatusCode::SERVICE_UNAVAILABLE,
                &unavailable.unwrap_or_default(),
            ),
        )
        .with("silent", NoAnswer::TimedOut.into())
}

fn bad_gateway(detail: &str) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, detail)
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("no answer in time")]
    TimedOut,
    #[error("cannot connect: {0}")]
    NotConnected(String),
    #[error("the answer broke off: {0}")]
    Broken(String),
    #[error("the answer is larger than {ANSWER_BYTES} bytes")]
    TooLarge,
}

impl From<reqwest::Error> for NoAnswer {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::TimedOut
        } else if error.is_connect() {
            Self::NotConnected(causes(&error))
        } else {
            Self::Broken(causes(&error))
        }
    }
}

/// What caused an error: reqwest's own text says little more than the URL.
fn causes(error: &reqwest::Error) -> String {
    let first = std::error::Error::source(error);
    let causes: Vec<String> = std::iter::successors(first, |error| error.source())
        .map(ToString::to_string)
        .collect();
    if causes.is_empty() {
        error.to_string()
    } else {
        causes.join(": ")
    }
}

/// For who asked; the details are for the log.
impl From<NoAnswer> for Problem {
    fn from(error: NoAnswer) -> Self {
        tracing::warn!(%error, "no answer from the log agent");
        match error {
            NoAnswer::TimedOut => Self::new(
                StatusCode::GATEWAY_TIMEOUT,
                "the log agent did not answer in time",
            ),
            NoAnswer::NotConnected(_) => bad_gateway("the log agent cannot be reached"),
            NoAnswer::Broken(_) => bad_gateway("the log agent's answer broke off"),
            NoAnswer::TooLarge => bad_gateway("the log agent's answer is too large"),
        }
    }
}

/// Sends a request and reads the whole answer, but no more than [`ANSWER_BYTES`].
pub(super) async fn receive(request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), NoAnswer> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(NoAnswer::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status(), body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: &str =
        r#"{"type":"about:blank","title":"t","status":400,"detail":"no","field":"after"}"#;

    fn delivered(sent: &[Uuid], status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer::to_delivery(sent.iter().copied(), status, body.as_bytes())
    }

    #[test]
    fn only_receipts_for_what_was_sent_confirm_it() {
        let (a, b) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let receipts = |ids: &[Uuid]| {
            let entries: Vec<_> = ids
                .iter()
                .map(|id| format!(r#"{{"id":"{id}","outcome":"stored"}}"#))
                .collect();
            format!(r#"{{"entries":[{}]}}"#, entries.join(","))
        };
        let answer = delivered(&[a, b], 201, &receipts(&[a, b]));
        assert!(matches!(answer, Answer::Receipts(both) if both.len() == 2));
        for (status, body) in [
            (201, receipts(&[a])),
            (201, receipts(&[b, a])),
            (201, receipts(&[])),
            (201, String::new()),
            (201, "<html>".to_owned()),
            (200, receipts(&[a, b])),
            (202, receipts(&[a, b])),
            (204, String::new()),
        ] {
            let answer = delivered(&[a, b], status, &body);
            assert!(
                matches!(answer, Answer::Failed(_)),
                "{status} {body}: {answer:?}"
            );
        }
    }

    #[test]
    fn only_the_log_agents_own_word_refuses_what_is_not_too_large() {
        for (status, body) in [(400, PROBLEM), (422, PROBLEM), (413, PROBLEM), (413, "")] {
            let answer = delivered(&[], status, body);
            assert!(matches!(answer, Answer::Refused(_)), "{status} {body}");
        }
        for status in [400, 422] {
            assert!(
                matches!(delivered(&[], status, "Bad Request"), Answer::Failed(_)),
                "{status}"
            );
        }
        for status in [
            301, 401, 403, 404, 405, 408, 415, 429, 500, 502, 503, 504, 507,
        ] {
            assert!(
                matches!(delivered(&[], status, PROBLEM), Answer::Failed(_)),
                "{status}"
            );
        }
    }

    #[test]
    fn no_answer_to_a_question_becomes_a_500() {
        for (status, body, expected) in [
            (400, PROBLEM, 400),
            (400, "", 502),
            (200, "<html>", 502),
            (200, PROBLEM, 502),
            (403, PROBLEM, 502),
            (404, PROBLEM, 502),
            (500, PROBLEM, 502),
            (503, "", 502),
            (503, PROBLEM, 503),
            (504, "", 504),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let problem = to_question::<faultline_service::api::Newest>(status, body.as_bytes());
            assert_eq!(
                problem.unwrap_err().status().as_u16(),
                expected,
                "{status} {body}"
            );
        }
    }
}
