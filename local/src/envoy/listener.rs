//! Listeners: the gateway, each proxy's two sides, and the callers.

use std::path::Path;

use serde_json::{Value, json};

use super::connection_manager::{self, Kind, access_log};
use super::{Plan, filter, inbound, loopback, outbound, rbac, route, tls};
use crate::mesh::Service;
use crate::topology::{Caller, Identity, Instance};

const GATEWAY: &str = "gateway";

impl Plan<'_> {
    pub(super) fn listeners(&self) -> Vec<Value> {
        let mut listeners = vec![self.gateway()];
        for instance in &self.topology.instances {
            listeners.push(self.before(instance));
            listeners.extend(
                instance
                    .outbound
                    .map(|port| self.behind(instance.name, port)),
            );
        }
        listeners.extend(
            self.topology
                .callers
                .iter()
                .map(|caller| self.caller(caller)),
        );
        listeners
    }

    fn gateway(&self) -> Value {
        let routes = route::routes(&self.mesh.gateway_routes, |host| outbound(GATEWAY, host));
        let host = route::virtual_host("*:80", &["*"], &routes);
        let plugin = &self.mesh.gateway_plugin;
        let mut filters = vec![filter::faultline(self.files, plugin, GATEWAY, None)];
        filters.extend(filter::last());
        let mut logs = self.access_logs(GATEWAY);
        // For whoever watches: Envoy's standard output is read by this program.
        logs.push(access_log(Path::new("/dev/stdout"), &self.mesh.access_log));
        let table = route::table("http.8080", &[host]);
        let manager = connection_manager::filter(Kind::Gateway, GATEWAY, &table, &filters, &logs);
        listener(GATEWAY, self.topology.gateway, &manager)
    }

    /// In front of an instance.
    fn before(&self, instance: &Instance) -> Value {
        let Instance { name, service, .. } = *instance;
        let guard = format!("{name}.guard");
        let mut filters = vec![
            filter::faultline(self.files, self.mesh.guard(service), &guard, Some(name)),
            rbac::filter(self.mesh.policy(service), service),
        ];
        filters.extend(filter::last());
        let cluster = inbound(name);
        let host = json!({
            "name": "inbound|http|8080",
            "domains": ["*"],
            "routes": [route::to_application(&cluster)],
        });
        let table = json!({"name": cluster, "virtual_hosts": [host], "validate_clusters": false});
        let listener = format!("{name}.inbound");
        let logs = self.access_logs(&listener);
        let manager = connection_manager::filter(Kind::Inbound, &listener, &table, &filters, &logs);
        json!({
            "@type": LISTENER,
            "name": listener,
            "address": loopback(instance.inbound),
            "enable_reuse_port": false,
            "traffic_direction": "INBOUND",
            // Without TLS no chain matches, and the connection is closed.
            "listener_filters": [{
                "name": "envoy.filters.listener.tls_inspector",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
                },
            }],
            "filter_chains": [{
                "filter_chain_match": {"transport_protocol": "tls"},
                "transport_socket": tls::downstream(self.files, &Identity::of(service)),
                "filters": [manager],
            }],
        })
    }

    /// Behind a custom-app. An application without DNS calls the log agent by this port, so that any
    /// host name is the log agent's.
    fn behind(&self, proxy: &str, port: u16) -> Value {
        let plugin = &self.mesh.custom_app_observe;
        let observe = format!("{proxy}.observe");
        let mut filters = vec![filter::faultline(self.files, plugin, &observe, Some(proxy))];
        filters.extend(filter::last());
        let hosts = [self.log_agent_host(proxy, &["*"])];
        self.outbound_listener(proxy, port, &hosts, &filters)
    }

    fn caller(&self, caller: &Caller) -> Value {
        let custom_app = Service::CustomApp.host();
        let to_custom_app = route::default(&outbound(caller.name, custom_app));
        let hosts = [
            route::virtual_host(custom_app, &[custom_app], &[to_custom_app]),
            self.log_agent_host(caller.name, &[Service::LogAgent.host()]),
        ];
        self.outbound_listener(caller.name, caller.port, &hosts, &filter::last())
    }

    fn log_agent_host(&self, proxy: &str, domains: &[&str]) -> Value {
        let routes = route::routes(&self.mesh.log_agent_routes, |host| outbound(proxy, host));
        route::virtual_host(Service::LogAgent.host(), domains, &routes)
    }

    fn outbound_listener(
        &self,
        proxy: &str,
        port: u16,
        hosts: &[Value],
        filters: &[Value],
    ) -> Value {
        let name = format!("{proxy}.outbound");
        let table = route::table("8080", hosts);
        let logs = self.access_logs(&name);
        let manager = connection_manager::filter(Kind::Outbound, &name, &table, filters, &logs);
        listener(&name, port, &manager)
    }

    fn access_logs(&self, listener: &str) -> Vec<Value> {
        vec![access_log(
            &self.files.access_log(listener),
            &self.mesh.access_log,
        )]
    }
}

const LISTENER: &str = "type.googleapis.com/envoy.config.listener.v3.Listener";

fn listener(name: &str, port: u16, manager: &Value) -> Value {
    json!({
        "@type": LISTENER,
        "name": name,
        "address": loopback(port),
        // With it two Envoys could share a port, and neither would say so.
        "enable_reuse_port": false,
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [manager]}],
    })
}
