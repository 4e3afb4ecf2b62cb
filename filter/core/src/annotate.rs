//! Saying how a request went in standard headers: `proxy-status` (RFC 9209) and `server-timing`.

use crate::{flags::Flags, name::Name, outcome::Outcome, text::push_number};
use alloc::string::String;
use core::time::Duration;

/// Who wrote a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The upstream: it came over the wire.
    Upstream,
    /// This proxy: a failure, a fault, or another filter's answer.
    Proxy,
}

impl Origin {
    /// Who wrote it, by the property `response.code_details`.
    pub fn from_details(details: Option<&[u8]>) -> Self {
        match details {
            Some(b"via_upstream") => Self::Upstream,
            _ => Self::Proxy,
        }
    }
}

/// What is known about an exchange when its response headers go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Report {
    /// What the proxy noticed.
    pub flags: Flags,
    /// The status of the response.
    pub status: Option<u16>,
    /// Who wrote the response.
    pub origin: Origin,
    /// How often the upstream was tried; `None` if it never was.
    pub attempts: Option<u64>,
    /// Time since the request arrived, if the host told.
    pub elapsed: Option<Duration>,
}

impl Report {
    /// How it ended, as far as the headers can know: a response that breaks off in its body is
    /// counted as such later, but its headers have gone by then.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(self.flags, self.status)
    }

    /// The registered error (RFC 9209, section 2.3), where the proxy failed to get a response.
    ///
    /// As Envoy's own mapping, except that a rate limit is `http_request_denied` (policy, not
    /// connections), and a local reset is `connection_terminated` (no connection timed out).
    pub fn error(&self) -> Option<&'static str> {
        let flags = self.flags;
        match self.outcome() {
            Outcome::Ok | Outcome::ClientGone => None,
            Outcome::ClientError | Outcome::UpstreamError => match self.origin {
                Origin::Upstream => None,
                Origin::Proxy => Some("proxy_internal_response"),
            },
            Outcome::FaultAbort => Some("proxy_internal_response"),
            Outcome::RateLimited => Some("http_request_denied"),
            Outcome::Timeout => Some("http_response_timeout"),
            Outcome::Overflow => Some("connection_limit_reached"),
            Outcome::RetriesExhausted => Some("destination_unavailable"),
            Outcome::Unreachable if flags.intersects(Flags::UF) => Some("connection_refused"),
            Outcome::Unreachable if flags.intersects(Flags::UC | Flags::UR | Flags::LR) => {
                Some("connection_terminated")
            }
            Outcome::Unreachable if flags.intersects(Flags::NR) => Some("destination_not_found"),
            Outcome::Unreachable if flags.intersects(Flags::UPE) => Some("http_protocol_error"),
            Outcome::Unreachable if flags.intersects(Flags::DF) => Some("dns_error"),
            Outcome::Unreachable => Some("destination_unavailable"),
        }
    }

    /// A `proxy-status` member of the proxy `name`:
    /// `faultline; error=http_response_timeout; details="outcome=timeout attempts=3 flags=UT"`.
    pub fn proxy_status(&self, name: &Name) -> String {
        let mut details = String::from("outcome=");
        details.push_str(self.outcome().name());
        if let Some(attempts) = self.attempts {
            details.push_str(" attempts=");
            push_number(&mut details, attempts);
        }
        let mut separator = " flags=";
        for name in self.flags.names() {
            details.push_str(separator);
            details.push_str(name);
            separator = ",";
        }

        let mut member = String::from(name.as_str());
        if let Some(error) = self.error() {
            member.push_str("; error=");
            member.push_str(error);
        }
        if let (Origin::Upstream, Some(status)) = (self.origin, self.status) {
            member.push_str("; received-status=");
            push_number(&mut member, status.into());
        }
        member.push_str("; details=");
        push_quoted(&mut member, &details);
        member
    }

    /// `server-timing` metrics of the proxy `name`:
    /// `faultline;dur=1000.2;desc="timeout", attempts;desc="3"`. The duration is in milliseconds.
    pub fn server_timing(&self, name: &Name) -> String {
        let mut metrics = String::from(name.as_str());
        if let Some(elapsed) = self.elapsed {
            let tenths = u64::from(elapsed.subsec_micros()) / 100;
            let tenths = elapsed
                .as_secs()
                .saturating_mul(10_000)
                .saturating_add(tenths);
            metrics.push_str(";dur=");
            push_number(&mut metrics, tenths / 10);
            metrics.push('.');
            push_number(&mut metrics, tenths % 10);
        }
        metrics.push_str(";desc=");
        push_quoted(&mut metrics, self.outcome().name());
        if let Some(attempts) = self.attempts {
            metrics.push_str(", attempts;desc=\"");
            push_number(&mut metrics, attempts);
            metrics.push('"');
        }
        metrics
    }
}

/// Appends `value` as a structured-field string (RFC 9651, section 4.1.6). Such a string holds
/// printable ASCII only, so any other character becomes a question mark.
pub fn push_quoted(text: &mut String, value: &str) {
    text.push('"');
    for character in value.chars() {
        match character {
            '"' | '\\' => text.extend(['\\', character]),
            ' '..='~' => text.push(character),
            _ => text.push('?'),
        }
    }
    text.push('"');
}
