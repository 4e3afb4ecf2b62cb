//! Who runs where: the same workloads as on a cluster, each behind listeners of its own.

use std::fmt;

use crate::mesh::Service;

/// The namespace of everything but the gateway.
pub const NAMESPACE: &str = "faultline";
const TRUST_DOMAIN: &str = "cluster.local";

/// A workload's name in the mesh; shown as the URI of its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The namespace of its service account.
    pub namespace: String,
    /// The name of its service account.
    pub account: String,
}

impl Identity {
    /// What every identity of the mesh begins with.
    #[must_use]
    pub fn prefix() -> String {
        format!("spiffe://{TRUST_DOMAIN}/")
    }

    /// An account as an authorization policy names it: `NAMESPACE/NAME`, or `NAME` in [`NAMESPACE`].
    #[must_use]
    pub fn of_account(account: &str) -> Self {
        let (namespace, account) = account.split_once('/').unwrap_or((NAMESPACE, account));
        Self {
            namespace: namespace.to_owned(),
            account: account.to_owned(),
        }
    }

    /// A service's.
    #[must_use]
    pub fn of(service: Service) -> Self {
        Self::of_account(service.workload())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { namespace, account } = self;
        write!(f, "spiffe://{TRUST_DOMAIN}/ns/{namespace}/sa/{account}")
    }
}

/// One running copy of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Its name, and that of its proxy.
    pub name: &'static str,
    /// What it is a copy of.
    pub service: Service,
    /// Where the application itself listens. Only its proxy should call it here.
    pub app: u16,
    /// Where its proxy listens for the mesh, with mTLS.
    pub inbound: u16,
    /// Where its proxy listens for the application's calls to the log agent.
    pub outbound: Option<u16>,
}

/// A caller inside the mesh that is no part of Faultline: an identity with a proxy that calls for
/// whoever connects to it from this machine, by the name of the service in `Host`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Its name, and that of its proxy.
    pub name: &'static str,
    /// Who it is in the mesh.
    pub identity: Identity,
    /// Where its proxy listens.
    pub port: u16,
}

/// Everything that listens, on 127.0.0.1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The gateway.
    pub gateway: u16,
    /// Envoy's administration interface.
    pub admin: u16,
    /// The services' instances, in the order in which they stop.
    pub instances: Vec<Instance>,
    /// The callers.
    pub callers: Vec<Caller>,
}

/// How many ports a topology needs beside the gateway's and the administration's.
pub const INNER_PORTS: usize = 10;

impl Topology {
    /// The workloads on these ports.
    #[must_use]
    pub fn new(gateway: u16, admin: u16, inner: [u16; INNER_PORTS]) -> Self {
        let [
            first_app,
            first_in,
            first_out,
            second_app,
            second_in,
            second_out,
            agent_app,
            agent_in,
            insider,
            stranger,
        ] = inner;
        let custom_app = |name, app, inbound, outbound| Instance {
            name,
            service: Service::CustomApp,
            app,
            inbound,
            outbound: Some(outbound),
        };
        Self {
            gateway,
            admin,
            instances: vec![
                custom_app("custom-app-1", first_app, first_in, first_out),
                custom_app("custom-app-2", second_app, second_in, second_out),
                Instance {
                    name: "log-agent",
                    service: Service::LogAgent,
                    app: agent_app,
                    inbound: agent_in,
                    outbound: None,
                },
            ],
            callers: vec![
                Caller {
                    name: "insider",
                    identity: Identity::of(Service::CustomApp),
                    port: insider,
                },
                Caller {
                    name: "stranger",
                    identity: Identity::of_account("stranger"),
                    port: stranger,
                },
            ],
        }
    }

    /// The instances of a service.
    pub fn of(&self, service: Service) -> impl Iterator<Item = &Instance> {
        self.instances
            .iter()
            .filter(move |instance| instance.service == service)
    }
}
