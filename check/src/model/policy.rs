//! Policies that select workloads: security, WebAssembly, Envoy filters, telemetry, Sidecars.

use super::field::{At, Field, Named, Place, Read, Tree};
use super::meta::Meta;
use super::workload::Labels;

/// What a policy is for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Target {
    /// Labels of the workloads; none: every workload of the namespace.
    pub selector: Option<At<Labels>>,
    /// True where it names a gateway, a Service or a waypoint instead.
    pub by_reference: bool,
}

/// A policy of any kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The resource.
    pub meta: Meta,
    /// What it is for.
    pub target: Target,
    /// What it says, for those kinds of which a rule looks at more than the target.
    pub kind: PolicyKind,
}

/// What a policy says.
#[derive(Clone, Debug, PartialEq)]
pub enum PolicyKind {
    /// Who may do what.
    Authorization(AuthorizationPolicy),
    /// Mutual TLS of a server.
    Peer(PeerAuthentication),
    /// A WebAssembly module.
    Wasm(WasmPlugin),
    /// RequestAuthentication, EnvoyFilter, Telemetry, Sidecar, ProxyConfig: only the target is looked at.
    Other,
}

/// `AuthorizationPolicy`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AuthorizationPolicy {
    /// `ALLOW`, `DENY`, `AUDIT` or `CUSTOM`.
    pub action: Option<At<String>>,
    /// The rules, any of which is enough.
    pub rules: Vec<AuthorizationRule>,
}

/// One rule of an authorization policy.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorizationRule {
    /// Where it starts.
    pub place: Place,
    /// Who: any of them is enough; none: everybody.
    pub from: Vec<Source>,
    /// Operations, any of which is enough; none: all.
    pub to: Vec<Operation>,
    /// Further conditions, all of which must hold.
    pub when: Vec<Condition>,
}

/// Who sends a request, as far as a rule looks at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// Identities of the client's workload.
    pub principals: Vec<At<String>>,
    /// Identities that are exempt.
    pub not_principals: Vec<At<String>>,
    /// Identities in the token: `issuer/subject`.
    pub request_principals: Vec<At<String>>,
    /// Identities in the token that are exempt.
    pub not_request_principals: Vec<At<String>>,
}

/// A condition on an attribute.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// The attribute: `request.headers[x]`, `request.auth.claims[y]`, `destination.port`, …
    pub key: String,
    /// Values, any of which is enough.
    pub values: Vec<At<String>>,
    /// Values that it must not have.
    pub not_values: Vec<At<String>>,
}

/// What a rule is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Operation {
    /// Hosts.
    pub hosts: Vec<At<String>>,
    /// Hosts that are exempt.
    pub not_hosts: Vec<At<String>>,
    /// Methods.
    pub methods: Vec<At<String>>,
    /// Methods that are exempt.
    pub not_methods: Vec<At<String>>,
    /// Paths.
    pub paths: Vec<At<String>>,
    /// Paths that are exempt.
    pub not_paths: Vec<At<String>>,
    /// Ports.
    pub ports: Vec<At<String>>,
    /// Ports that are exempt.
    pub not_ports: Vec<At<String>>,
}

/// `PeerAuthentication`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeerAuthentication {
    /// The mode for every port.
    pub mode: Option<At<String>>,
    /// Modes of single container ports; the number as written.
    pub ports: Vec<(At<String>, At<PortMode>)>,
}

/// The mode of a port.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortMode {
    /// `STRICT`, `PERMISSIVE`, `DISABLE`.
    pub mode: Option<String>,
}

/// `WasmPlugin`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WasmPlugin {
    /// Listeners that it is for, any of which is enough; empty: all.
    pub matches: Vec<WasmMatch>,
}

/// Listeners of a module.
#[derive(Clone, Debug, PartialEq)]
pub struct WasmMatch {
    /// Where it starts.
    pub place: Place,
    /// `CLIENT`, `SERVER` or `CLIENT_AND_SERVER`.
    pub mode: Option<At<String>>,
    /// Ports.
    pub ports: Vec<At<u32>>,
}

impl Target {
    pub(super) fn read(spec: Option<Tree<'_>>) -> Read<Self> {
        let Some(spec) = spec else {
            return Ok(Self::default());
        };
        let selector = spec
            .get("selector")
            .map(|it| it.maybe("matchLabels"))
            .transpose()?;
        // EnvoyFilter and Sidecar have a name of their own for it.
        let workloads = spec
            .get("workloadSelector")
            .map(|it| it.maybe("labels"))
            .transpose()?;
        let selector: Option<At<Labels>> = selector.flatten().or(workloads.flatten());
        Ok(Self {
            selector: selector.filter(|it| !it.is_empty()),
            by_reference: spec.get("targetRef").is_some() || spec.get("targetRefs").is_some(),
        })
    }
}

impl PolicyKind {
    pub(super) fn read(meta: &Meta, spec: Option<Tree<'_>>) -> Read<Self> {
        let Some(spec) = spec else {
            return Ok(match meta.kind.0 {
                "AuthorizationPolicy" => Self::Authorization(AuthorizationPolicy::default()),
                "PeerAuthentication" => Self::Peer(PeerAuthentication::default()),
                _ => Self::Other,
            });
        };
        Ok(match meta.kind.0 {
            "AuthorizationPolicy" => Self::Authorization(AuthorizationPolicy::read(spec)?),
            "PeerAuthentication" => Self::Peer(PeerAuthentication::read(spec)?),
            "WasmPlugin" => Self::Wasm(WasmPlugin {
                matches: spec.or_default("match")?,
            }),
            _ => Self::Other,
        })
    }
}

impl Field for AuthorizationPolicy {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            action: tree.maybe("action")?,
            rules: tree.or_default("rules")?,
        })
    }
}

impl Field for AuthorizationRule {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let from: Vec<From> = tree.or_default("from")?;
        let to: Vec<To> = tree.or_default("to")?;
        Ok(Self {
            place: tree.place(),
            from: from.into_iter().map(|it| it.0).collect(),
            to: to.into_iter().map(|it| it.0).collect(),
            when: tree.or_default("when")?,
        })
    }
}

struct From(Source);

impl Field for From {
    fn read(tree: Tree<'_>) -> Read<Self> {
        tree.or_default("source").map(Self)
    }
}

impl Field for Source {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            principals: tree.or_default("principals")?,
            not_principals: tree.or_default("notPrincipals")?,
            request_principals: tree.or_default("requestPrincipals")?,
            not_request_principals: tree.or_default("notRequestPrincipals")?,
        })
    }
}

impl Field for Condition {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            key: tree.or_default("key")?,
            values: tree.or_default("values")?,
            not_values: tree.or_default("notValues")?,
        })
    }
}

struct To(Operation);

impl Field for To {
    fn read(tree: Tree<'_>) -> Read<Self> {
        tree.or_default("operation").map(Self)
    }
}

impl Field for Operation {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            hosts: tree.or_default("hosts")?,
            not_hosts: tree.or_default("notHosts")?,
            methods: tree.or_default("methods")?,
            not_methods: tree.or_default("notMethods")?,
            paths: tree.or_default("paths")?,
            not_paths: tree.or_default("notPaths")?,
            ports: tree.or_default("ports")?,
            not_ports: tree.or_default("notPorts")?,
        })
    }
}

impl Field for PeerAuthentication {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let mode = tree.get("mtls").map(|it| it.maybe("mode")).transpose()?;
        let ports: Named<At<PortMode>> = tree.or_default("portLevelMtls")?;
        Ok(Self {
            mode: mode.flatten(),
            ports: ports.0,
        })
    }
}

impl Field for PortMode {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let mode = tree.maybe("mode")?;
        Ok(Self { mode })
    }
}

impl Field for WasmMatch {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let ports: Vec<WasmPort> = tree.or_default("ports")?;
        Ok(Self {
            place: tree.place(),
            mode: tree.maybe("mode")?,
            ports: ports.into_iter().map(|it| it.0).collect(),
        })
    }
}

struct WasmPort(At<u32>);

impl Field for WasmPort {
    fn read(tree: Tree<'_>) -> Read<Self> {
        tree.must("number").map(Self)
    }
}
