//! Clusters: whom each proxy calls, with the limits and the balancing of the DestinationRules.

use serde_json::{Value, json};

use super::{Plan, inbound, loopback, outbound, tls};
use crate::mesh::Service;
use crate::topology::Identity;

impl Plan<'_> {
    pub(super) fn clusters(&self) -> Vec<Value> {
        let mut clusters =
            vec![self.service("gateway", &self.gateway_identity(), Service::CustomApp)];
        for instance in &self.topology.instances {
            clusters.push(self.application(instance.name, instance.service, instance.app));
            if instance.outbound.is_some() {
                let identity = Identity::of(instance.service);
                clusters.push(self.service(instance.name, &identity, Service::LogAgent));
            }
        }
        for caller in &self.topology.callers {
            for service in [Service::CustomApp, Service::LogAgent] {
                clusters.push(self.service(caller.name, &caller.identity, service));
            }
        }
        clusters
    }

    /// The first caller that custom-app's policy knows: whoever stands in front of it.
    #[must_use]
    pub fn gateway_identity(&self) -> Identity {
        let accounts = self.mesh.policy(Service::CustomApp).accounts();
        Identity::of_account(accounts.into_iter().next().unwrap_or_default())
    }

    fn service(&self, proxy: &str, caller: &Identity, service: Service) -> Value {
        let ports = self.topology.of(service).map(|instance| instance.inbound);
        let mut cluster = self.cluster(&outbound(proxy, service.host()), service, ports);
        let socket = tls::upstream(self.files, caller, service);
        if let Some(fields) = cluster.as_object_mut() {
            let balancing = self.mesh.rule(service).traffic_policy.load_balancer.simple;
            fields.insert("lb_policy".to_owned(), balancing.name().into());
            fields.insert("transport_socket".to_owned(), socket);
        }
        cluster
    }

    fn application(&self, proxy: &str, service: Service, port: u16) -> Value {
        self.cluster(&inbound(proxy), service, [port])
    }

    /// Istio puts a DestinationRule's limits on both sides, each for itself.
    fn cluster(&self, name: &str, service: Service, ports: impl IntoIterator<Item = u16>) -> Value {
        let pool = self.mesh.rule(service).traffic_policy.connection_pool;
        let endpoints: Vec<Value> = ports
            .into_iter()
            .map(|port| json!({"endpoint": {"address": loopback(port)}}))
            .collect();
        json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "10s",
            "circuit_breakers": {"thresholds": [{
                "max_connections": pool.tcp.max_connections,
                "max_pending_requests": pool.http.max_pending_requests,
                "max_requests": u32::MAX,
                "max_retries": u32::MAX,
            }]},
            "common_lb_config": {"healthy_panic_threshold": {}},
            "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": endpoints}]},
        })
    }
}
