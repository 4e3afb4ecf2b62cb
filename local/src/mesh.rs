//! What `istio/` says, as types. It is compiled in, so that local mode cannot say anything else.
//!
//! Whatever these types do not know is refused by name: a setting that local mode would silently
//! not have must not be added to `istio/` unnoticed.

mod duration;
mod read;
pub mod resource;

use serde_json::{Map, Value};

pub use self::duration::Span;
pub use self::read::Problem;
use self::resource::{AuthorizationPolicy, DestinationRule, HttpRoute, WasmPlugin};

/// The files of `istio/` that local mode follows, as texts.
#[derive(Clone, Debug)]
pub struct Sources<'a> {
    /// `virtualservice.yaml`: the gateway's routes.
    pub virtual_service: &'a str,
    /// `log-virtualservice.yaml`: the delay.
    pub log_virtual_service: &'a str,
    /// `destinationrule.yaml`: how custom-app is called.
    pub destination_rule: &'a str,
    /// `log-destinationrule.yaml`: how the log agent is called.
    pub log_destination_rule: &'a str,
    /// `peerauthentication.yaml`: mTLS.
    pub peer_authentication: &'a str,
    /// `authorizationpolicy.yaml`: who may call whom.
    pub authorization_policy: &'a str,
    /// `wasmplugin.yaml`: where the filter runs, and with which routes.
    pub wasm_plugin: &'a str,
    /// `installation.yaml`: the access log and the metrics' labels.
    pub installation: &'a str,
}

impl Sources<'static> {
    /// The files as they were when this was compiled.
    pub const COMPILED_IN: Self = Self {
        virtual_service: include_str!("../../istio/virtualservice.yaml"),
        log_virtual_service: include_str!("../../istio/log-virtualservice.yaml"),
        destination_rule: include_str!("../../istio/destinationrule.yaml"),
        log_destination_rule: include_str!("../../istio/log-destinationrule.yaml"),
        peer_authentication: include_str!("../../istio/peerauthentication.yaml"),
        authorization_policy: include_str!("../../istio/authorizationpolicy.yaml"),
        wasm_plugin: include_str!("../../istio/wasmplugin.yaml"),
        installation: include_str!("../../istio/installation.yaml"),
    };
}

/// A service of the mesh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The one behind the gateway.
    CustomApp,
    /// The one behind custom-app.
    LogAgent,
}

impl Service {
    /// The name of its workload and of its service account.
    #[must_use]
    pub const fn workload(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app",
            Self::LogAgent => "log-agent",
        }
    }

    /// The name it is called by.
    #[must_use]
    pub const fn host(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app-service",
            Self::LogAgent => "log-agent-service",
        }
    }
}

/// The mesh: everything of `istio/` that shapes a request's way.
#[derive(Clone, Debug)]
pub struct Mesh {
    /// The gateway's routes, the last one answering by itself.
    pub gateway_routes: Vec<HttpRoute>,
    /// The routes by which the log agent is called from inside.
    pub log_agent_routes: Vec<HttpRoute>,
    custom_app_rule: DestinationRule,
    log_agent_rule: DestinationRule,
    custom_app_policy: AuthorizationPolicy,
    log_agent_policy: AuthorizationPolicy,
    /// The filter at the gateway.
    pub gateway_plugin: WasmPlugin,
    custom_app_guard: WasmPlugin,
    log_agent_guard: WasmPlugin,
    /// The filter on what custom-app calls.
    pub custom_app_observe: WasmPlugin,
    /// The fields of the access log.
    pub access_log: Map<String, Value>,
    /// The labels to split out of metrics' names.
    pub stat_tags: Vec<String>,
}

impl Mesh {
    /// How a service is called.
    #[must_use]
    pub const fn rule(&self, of: Service) -> &DestinationRule {
        match of {
            Service::CustomApp => &self.custom_app_rule,
            Service::LogAgent => &self.log_agent_rule,
        }
    }

    /// Who may call a service.
    #[must_use]
    pub const fn policy(&self, of: Service) -> &AuthorizationPolicy {
        match of {
            Service::CustomApp => &self.custom_app_policy,
            Service::LogAgent => &self.log_agent_policy,
        }
    }

    /// The filter in front of a service.
    #[must_use]
    pub const fn guard(&self, of: Service) -> &WasmPlugin {
        match of {
            Service::CustomApp => &self.custom_app_guard,
            Service::LogAgent => &self.log_agent_guard,
        }
    }
}
