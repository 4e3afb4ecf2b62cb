//! Routes: `VirtualService`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::mesh::Span;

/// `VirtualService.spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualService {
    /// The hosts it is for.
    pub hosts: Vec<String>,
    /// Where it applies: a Gateway's name, or `mesh`.
    pub gateways: Vec<String>,
    /// Its routes; the first that matches is taken.
    pub http: Vec<HttpRoute>,
}

/// A route.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRoute {
    /// Its name, for the access log.
    pub name: String,
    /// What it takes; everything where empty.
    #[serde(default, rename = "match")]
    pub matches: Vec<HttpMatch>,
    /// A fault to inject.
    pub fault: Option<Fault>,
    /// How long all attempts together may take; without limit where absent.
    pub timeout: Option<Span>,
    /// When and how often to try again; Istio's default where absent.
    pub retries: Option<Retries>,
    /// Where it leads; exclusive with `direct_response`.
    #[serde(default)]
    pub route: Vec<Destination>,
    /// The answer it gives by itself.
    pub direct_response: Option<DirectResponse>,
    /// Headers to set.
    pub headers: Option<Headers>,
}

/// What a route takes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpMatch {
    /// Which path.
    pub uri: Exact,
    /// Which method; any where absent.
    pub method: Option<Regex>,
}

/// A text that must be equal.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exact {
    /// The text.
    pub exact: String,
}

/// A regular expression (RE2) that must match the whole text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regex {
    /// The expression.
    pub regex: String,
}

/// A fault.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// A delay before the request is sent on.
    pub delay: Delay,
}

/// A delay.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Delay {
    /// How long.
    pub fixed_delay: Span,
    /// How many of the requests.
    pub percentage: Percentage,
}

/// A share, in percent.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Percentage {
    /// From 0 to 100.
    pub value: f64,
}

/// When and how often to try again.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retries {
    /// How often beyond the first try.
    pub attempts: u32,
    /// How long one try may take.
    pub per_try_timeout: Option<Span>,
    /// On what, separated by commas.
    pub retry_on: String,
}

/// Where a route leads.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The service.
    pub destination: Host,
}

/// A service's port.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// The service's name.
    pub host: String,
    /// Its port.
    pub port: Port,
}

/// A port.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Its number.
    pub number: u16,
}

/// An answer that a route gives by itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectResponse {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Body,
}

/// A body.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Body {
    /// Its text.
    pub string: String,
}

/// Changes to headers.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Headers {
    /// Of the answer.
    pub response: SetHeaders,
}

/// Headers to set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetHeaders {
    /// By name.
    pub set: BTreeMap<String, String>,
}
