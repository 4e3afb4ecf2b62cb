//! Routes by the gateway and the host that they are for.

use std::collections::{BTreeMap, HashMap};

use super::Mesh;
use crate::model::{At, Gateway, Host, RouteTable};

/// The VirtualServices for one host at one gateway.
#[derive(Debug)]
pub struct HostRoutes<'a> {
    /// The host.
    pub host: Host,
    /// The VirtualServices, in the order of the input.
    pub tables: Vec<HostTable<'a>>,
}

/// A VirtualService and the place where it names the host.
#[derive(Clone, Copy, Debug)]
pub struct HostTable<'a> {
    /// The VirtualService.
    pub table: &'a RouteTable,
    /// The host, as written.
    pub host: &'a At<String>,
}

impl<'a> Mesh<'a> {
    /// Every gateway's hosts with their VirtualServices; the mesh is the gateway `mesh`.
    #[must_use]
    pub fn routes_by_gateway(&self) -> BTreeMap<String, Vec<HostRoutes<'a>>> {
        let mut gateways: BTreeMap<String, HashMap<Host, Vec<HostTable<'a>>>> = BTreeMap::new();
        for table in self.virtual_services() {
            for gateway in self.gateway_names(table) {
                let hosts = gateways.entry(gateway).or_default();
                for host in &table.hosts {
                    let tables = hosts.entry(self.host(host, &table.meta)).or_default();
                    tables.push(HostTable { table, host });
                }
            }
        }
        let sorted = |hosts: HashMap<Host, Vec<HostTable<'a>>>| {
            let routes = |(host, tables)| HostRoutes { host, tables };
            let mut hosts: Vec<_> = hosts.into_iter().map(routes).collect();
            hosts.sort_by(|one, other| one.host.cmp(&other.host));
            hosts
        };
        let gateways = gateways.into_iter();
        gateways
            .map(|(name, hosts)| (name, sorted(hosts)))
            .collect()
    }

    /// The Gateway of a full name.
    #[must_use]
    pub fn gateway_of_name(&self, name: &str) -> Option<&'a Gateway> {
        self.gateways.get(&name.split_once('/')?).copied()
    }
}
