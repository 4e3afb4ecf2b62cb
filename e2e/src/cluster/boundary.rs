//! What closes Faultline's namespace beside the mesh's policies, and whether the cluster's network obeys it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use tokio::time::Instant;

use super::{Cluster, PROBE, Pod, Resource};
use crate::exchange::{Ask, Reply};

/// The longest that a network which obeys policies may take to learn of one.
const OBEDIENCE: Duration = Duration::from_secs(20);
/// A connection that the network lets through is there long before.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A cluster's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// NetworkPolicies are obeyed.
    Obeys,
    /// They are stored and change nothing.
    Ignores,
}

impl Cluster {
    /// custom-app's Sidecar, which names the hosts it may call.
    #[must_use]
    pub fn sidecar(&self) -> Resource {
        self.own("sidecars.networking.istio.io", "custom-app")
    }

    /// The mesh's own policies about who may call Faultline's services.
    #[must_use]
    pub fn authorization_policies(&self) -> Vec<Resource> {
        ["allow-nothing", "custom-app", "log-agent"]
            .map(|name| self.own("authorizationpolicies.security.istio.io", name))
            .into()
    }

    /// The mesh's own demand for mTLS.
    #[must_use]
    pub fn peer_authentication(&self) -> Resource {
        self.own("peerauthentications.security.istio.io", "default")
    }

    fn own(&self, kind: &'static str, name: &str) -> Resource {
        Resource {
            kind,
            namespace: self.names.namespace.clone(),
            name: name.to_owned(),
        }
    }

    /// A NetworkPolicy that opens Faultline's namespace both ways: policies add up, so beside it no other one closes
    /// anything. It goes with the stranger's Job at the latest, also where the suite is killed.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    pub async fn open_network(&self) -> Result<Resource> {
        let open = self.own("networkpolicies.networking.k8s.io", "faultline-probe-open");
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {
                "name": open.name,
                "namespace": open.namespace,
                "labels": {"app": "faultline-probe"},
                "ownerReferences": [self.strangers_job().await?],
            },
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{}],
                "egress": [{}],
            },
        });
        self.add(&open, &policy.to_string()).await?;
        Ok(open)
    }

    /// Asks the network with a policy that closes a pod of the suite's own, in a namespace of its own.
    ///
    /// # Errors
    /// When the pod cannot be reached before there is a policy, or the policy cannot be made.
    pub async fn network(&self) -> Result<Network> {
        let server = self.server_outside().await?;
        let caller = self.caller_outside().await?;
        let ask = Ask::get(plain_url(server, "/")?).timeout(TIMEOUT);
        let open = self.call_from(caller, PROBE, &ask).await?;
        if let Reply::NoAnswer { error, .. } = open {
            bail!("{} does not answer {}: {error}", server.name, caller.name);
        }
        let closed = Resource {
            kind: "networkpolicies.networking.k8s.io",
            namespace: server.namespace.clone(),
            name: "closed".to_owned(),
        };
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": closed.name, "namespace": closed.namespace},
            // every pod of the namespace
            "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
        });
        self.add(&closed, &policy.to_string()).await?;
        let deadline = Instant::now() + OBEDIENCE;
        let network = loop {
            match self.call_from(caller, PROBE, &ask).await? {
                Reply::NoAnswer { .. } => break Network::Obeys,
                Reply::Answer(_) if Instant::now() >= deadline => break Network::Ignores,
                Reply::Answer(_) => {}
            }
        };
        self.remove(&closed).await?;
        Ok(network)
    }
}

/// The URL of a pod's port 8080, past every Service.
///
/// # Errors
/// When the pod has no address.
pub fn plain_url(pod: &Pod, path: &str) -> Result<String> {
    let ip = pod.ip.as_deref().context("a pod without an address")?;
    Ok(if ip.contains(':') {
        format!("http://[{ip}]:8080{path}")
    } else {
        format!("http://{ip}:8080{path}")
    })
}
