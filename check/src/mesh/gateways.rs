//! Which Gateway a name means, and where its proxies are.

use super::Mesh;
use crate::model::{Gateway, Labels, Meta, RouteTable, Workload};

impl<'a> Mesh<'a> {
    /// The Gateway that a VirtualService names: `name` in its own namespace, or `namespace/name`.
    #[must_use]
    pub fn gateway(&self, name: &str, meta: &Meta) -> Option<&'a Gateway> {
        let (namespace, name) = name.split_once('/').unwrap_or((&meta.namespace, name));
        let mut gateways = self.resources.gateways.iter();
        gateways.find(|it| *it.meta.name == name && it.meta.namespace == namespace)
    }

    /// A gateway's full name: `namespace/name`, or `mesh`.
    #[must_use]
    pub fn gateway_name(&self, name: &str, meta: &Meta) -> String {
        match name {
            "mesh" => name.to_owned(),
            _ if name.contains('/') => name.to_owned(),
            _ => format!("{}/{name}", meta.namespace),
        }
    }

    /// The full names of a table's gateways, the mesh included.
    #[must_use]
    pub fn gateway_names(&self, table: &RouteTable) -> Vec<String> {
        if table.gateways.is_empty() {
            return vec!["mesh".to_owned()];
        }
        let names = table.gateways.iter();
        names.map(|it| self.gateway_name(it, &table.meta)).collect()
    }

    /// The workloads that a selector takes, in every namespace.
    pub fn selected_anywhere(&self, selector: &Labels) -> impl Iterator<Item = &'a Workload> {
        let workloads = self.resources.workloads.iter();
        workloads.filter(|it| selector.select(&it.labels))
    }

    /// The namespaces that have pods with these labels, as workloads or the selectors of Services tell.
    #[must_use]
    pub fn namespaces_with(&self, selector: &Labels) -> Vec<&'a str> {
        let workloads = self
            .selected_anywhere(selector)
            .map(|it| it.meta.namespace.as_str());
        let services = self.resources.services.iter();
        let services = services
            .filter(|it| selector.select(&it.selector))
            .map(|it| it.meta.namespace.as_str());
        let mut found: Vec<_> = workloads.chain(services).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// True where every pod with these labels is a gateway: a Gateway selects it, or the label is an installation's.
    #[must_use]
    pub fn is_gateway(&self, labels: &Labels) -> bool {
        let by_gateway = self
            .resources
            .gateways
            .iter()
            .any(|it| !it.selector.is_empty() && it.selector.select(labels));
        let by_name = labels.0.get("istio").is_some_and(|value| {
            matches!(
                value.as_str(),
                "ingressgateway" | "egressgateway" | "eastwestgateway"
            )
        });
        by_gateway || by_name
    }
}
