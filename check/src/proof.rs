//! The proof of a rule: its two examples on a real mesh, the requests, and what they must be answered with.
//!
//! `rules/ANN/proof.yaml` is data ([`Proof`]). The acceptance suite applies `wrong.yaml` and `right.yaml`, makes the
//! requests, and [`judge`]s what it has [`Seen`]; what it saw stands in `rules/results.json` ([`Results`]).

mod expected;
mod json;
mod measured;
mod shown;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use expected::{Bounds, Expected, judge};
pub use json::{documents, json};
pub use measured::{Measured, Results, Seen, Versions};
pub use shown::{line, lines, page};

use crate::yaml::Refused;

/// What stands in a rule's `proof.yaml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// One sentence: what is asked, and what tells the wrong example from the right one.
    pub about: String,
    /// The applications that are called.
    #[serde(default)]
    pub upstreams: Vec<Upstream>,
    /// Further labels of the pod that calls.
    #[serde(default)]
    pub client_labels: BTreeMap<String, String>,
    /// The gateway's pods, where the rule is about one.
    pub gateway: Option<Gateway>,
    /// Resources beside those of the examples, the same for both.
    #[serde(default)]
    pub beside: Vec<serde_json::Value>,
    /// The requests, in their order.
    pub requests: Vec<Request>,
}

/// An application: a Deployment, and the Service in front of it unless the example has one of that name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// The Deployment's name. One of the example's is used as it stands, but for image, arguments and probes.
    pub deployment: String,
    /// The Service's name, and the value of the label `app`; the Deployment's name if absent.
    pub service: Option<String>,
    /// The value of the label `version`.
    pub version: Option<String>,
    /// A namespace other than the one without a name.
    pub namespace: Option<String>,
    /// The Service's port.
    pub port: u16,
    /// The name of the Service's port.
    #[serde(default = "http")]
    pub port_name: String,
    /// The container's port, if it is another one.
    pub container_port: Option<u16>,
    /// Pods, where the example has no Deployment of this name.
    #[serde(default = "one")]
    pub replicas: u16,
    /// How it answers.
    #[serde(default)]
    pub behaviour: Behaviour,
    /// The number of its pods that behave so, the others answering at once with 200; absent: all.
    pub of_pods: Option<usize>,
}

impl Upstream {
    /// The Service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service.as_deref().unwrap_or(&self.deployment)
    }

    /// The container's port.
    #[must_use]
    pub fn listens_on(&self) -> u16 {
        self.container_port.unwrap_or(self.port)
    }
}

fn http() -> String {
    "http".to_owned()
}

const fn one() -> u16 {
    1
}

/// How an application answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// After this many milliseconds.
    #[serde(default)]
    pub delay_ms: u64,
    /// With this status; absent: 200.
    pub status: Option<u16>,
    /// After a GET of this URL, whose status it answers with.
    pub calls: Option<String>,
}

/// The pods of a gateway of the proof's own.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gateway {
    /// What the example's Gateways select.
    pub labels: BTreeMap<String, String>,
    /// A namespace other than the one without a name.
    pub namespace: Option<String>,
}

/// A request, or several of the same.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// A few words, unique in the proof.
    pub name: String,
    /// Where the caller is.
    #[serde(default)]
    pub from: Caller,
    /// What is sent.
    #[serde(default)]
    pub protocol: Protocol,
    /// Method.
    #[serde(default = "get")]
    pub method: String,
    /// Absolute `http://` URL. Through a gateway its host is the `Host` header, and its port the gateway's.
    pub url: String,
    /// Header fields.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How many.
    #[serde(default = "one")]
    pub times: u16,
    /// When the next one is made.
    #[serde(default)]
    pub pace: Pace,
    /// A header field that has another value in each.
    pub differing: Option<String>,
    /// With `wrong.yaml`.
    pub wrong: Expected,
    /// With `right.yaml`.
    pub right: Expected,
}

fn get() -> String {
    "GET".to_owned()
}

/// Where a caller is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Caller {
    /// In the mesh, in the namespace of the example.
    #[default]
    Client,
    /// In the mesh, in another namespace.
    Elsewhere,
    /// In no mesh: a pod without a proxy.
    Outside,
    /// In no mesh, through the proof's gateway.
    Gateway,
}

/// What is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A request.
    #[default]
    Http,
    /// TLS's first message with the URL's host as the server's name; an upstream says that it arrived.
    ClientHello,
}

/// When the next of several requests is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pace {
    /// Once the one before is answered.
    #[default]
    OneByOne,
    /// At once.
    AtOnce,
}

/// One of a rule's two examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// `wrong.yaml`.
    Wrong,
    /// `right.yaml`.
    Right,
}

impl Side {
    /// Both, the wrong one first.
    pub const BOTH: [Self; 2] = [Self::Wrong, Self::Right];

    /// `wrong` or `right`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Right => "right",
        }
    }
}

impl Request {
    /// What must be seen with this example.
    #[must_use]
    pub const fn expected(&self, side: Side) -> &Expected {
        match side {
            Side::Wrong => &self.wrong,
            Side::Right => &self.right,
        }
    }
}

/// Why a file is no proof.
#[derive(Debug, thiserror::Error)]
pub enum NoProof {
    /// It is not YAML.
    #[error("line {}: {}", .0.span.line, .0.reason)]
    Yaml(#[from] Refused),
    /// It does not have the fields.
    #[error(transparent)]
    Fields(#[from] serde_json::Error),
    /// It says nothing.
    #[error("{0}")]
    Hollow(String),
}

impl Proof {
    /// Reads a `proof.yaml`.
    ///
    /// # Errors
    /// When it is not YAML, a field is unknown, missing or of another type, or it would prove nothing.
    pub fn read(text: &str) -> Result<Self, NoProof> {
        let mut documents = documents(text)?;
        let (Some(document), true) = (documents.pop(), documents.is_empty()) else {
            return Err(NoProof::Hollow("it must be one document".to_owned()));
        };
        let proof: Self = serde_json::from_value(document)?;
        proof.check().map_err(NoProof::Hollow)?;
        Ok(proof)
    }

    /// Refuses what could not fail.
    fn check(&self) -> Result<(), String> {
        let mut names = std::collections::BTreeSet::new();
        for request in &self.requests {
            if !names.insert(&request.name) {
                return Err(format!("two requests are called {:?}", request.name));
            }
            if request.from == Caller::Gateway && self.gateway.is_none() {
                return Err(format!("{:?}: the proof has no gateway", request.name));
            }
            if request.times == 0 {
                return Err(format!("{:?}: times is 0", request.name));
            }
            for side in Side::BOTH {
                let expected = request.expected(side);
                expected
                    .check(u64::from(request.times))
                    .map_err(|reason| format!("{:?}, {}: {reason}", request.name, side.name()))?;
            }
        }
        if !self.requests.iter().any(|it| it.wrong.excludes(&it.right)) {
            return Err(
                "no request tells wrong from right: one answer would be taken for both".to_owned(),
            );
        }
        Ok(())
    }
}

/// The folders' proofs.
macro_rules! proofs {
    ($($id:literal)*) => {
        /// The `proof.yaml` of each rule that has one, by the rule's id.
        pub const PROOFS: &[(&str, &str)] = &[
            $(($id, include_str!(concat!("../rules/", $id, "/proof.yaml"))),)*
        ];
    };
}

proofs!(
    "A1" "A2" "A3" "A4" "A5" "A6" "A7" "A8" "A9" "A10" "A11" "A12" "A13" "A14" "A15" "A16" "A17" "A18" "A19" "A20" "A21" "A22"
    "A23" "A24" "A25" "A26" "A27"
);

/// What was measured of a rule, for people; absent where it has no proof.
#[must_use]
pub fn measured(id: &str) -> Option<String> {
    let (_, text) = PROOFS.iter().find(|(it, _)| *it == id)?;
    let proof = Proof::read(text).ok()?;
    Some(lines(&proof, results().ok()?.get(id)?))
}

/// What was measured, as it is committed.
///
/// # Errors
/// When `rules/results.json` is not of its form.
pub fn results() -> Result<Results, serde_json::Error> {
    serde_json::from_str(include_str!("../rules/results.json"))
}
