//! Who may call whom: `PeerAuthentication`, `AuthorizationPolicy`.

use serde::Deserialize;

use super::Selector;

/// `PeerAuthentication.spec`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PeerAuthentication {
    /// What callers must do.
    pub mtls: Mtls,
}

/// What callers must do.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mtls {
    /// Local mode knows the strict one only.
    pub mode: MtlsMode,
}

/// What callers must do; local mode knows the strict one only.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MtlsMode {
    /// Show a certificate of the mesh.
    Strict,
}

/// `AuthorizationPolicy.spec`; what no rule allows is refused.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationPolicy {
    /// The workload it is for; all of them where absent.
    pub selector: Option<Selector>,
    /// What its rules do; local mode knows the policies that allow.
    pub action: Option<Action>,
    /// What is allowed.
    #[serde(default)]
    pub rules: Vec<Rule>,
}

/// What a policy's rules do; local mode knows the policies that allow.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// Allow.
    Allow,
}

/// What is allowed to whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// To whom.
    pub from: Vec<From>,
    /// What.
    pub to: Vec<To>,
}

/// To whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// The caller.
    pub source: Source,
}

/// A caller.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// Its service account: `NAMESPACE/NAME`, or `NAME` in the policy's own namespace.
    pub service_accounts: Vec<String>,
}

/// What.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct To {
    /// The requests.
    pub operation: Operation,
}

/// Requests: one of the paths with one of the methods.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The paths.
    pub paths: Vec<String>,
    /// The methods.
    pub methods: Vec<String>,
}
