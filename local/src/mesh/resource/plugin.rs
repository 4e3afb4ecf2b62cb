//! Where the filter runs: `WasmPlugin`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Selector;

/// `WasmPlugin.spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WasmPlugin {
    /// The workload it is for.
    pub selector: Selector,
    /// On which side of its proxy; both where absent.
    #[serde(default, rename = "match")]
    pub matches: Vec<PluginMatch>,
    /// Where the module is; of no meaning here.
    pub url: String,
    /// Where among the filters.
    pub phase: Phase,
    /// What happens if the module does not load.
    pub fail_strategy: FailStrategy,
    /// The filter's own configuration, as it is.
    pub plugin_config: Map<String, Value>,
}

/// A side of a proxy.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginMatch {
    /// Which.
    pub mode: Side,
}

/// A side of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Side {
    /// What the workload calls.
    Client,
    /// Who calls the workload.
    Server,
}

/// Where among the filters; local mode knows the one in use.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Phase {
    /// Before everything else.
    Authn,
}

/// What happens if the module does not load. Istio and Envoy have the same names for these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum FailStrategy {
    /// Requests pass.
    FailOpen,
    /// Requests are refused.
    FailClose,
}

impl FailStrategy {
    /// Envoy's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FailOpen => "FAIL_OPEN",
            Self::FailClose => "FAIL_CLOSED",
        }
    }
}
