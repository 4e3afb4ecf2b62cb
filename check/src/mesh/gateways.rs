//! Which Gateway a name means, and where its proxies are.

use super::Mesh;
use crate::model::{Gateway, Labels, Meta, RouteTable, Workload};

impl<'a> Mesh<'a> {
    /// The Gateway that a VirtualService names.
    #[must_use]
    pub fn gateway(&self, name: &str, meta: &Meta) -> Option<&'a Gateway> {
        self.gateway_of_name(&self.gateway_name(name, meta))
    }

    /// A gateway's full name, as istiod resolves it: `namespace/name`, or `mesh`.
    ///
    /// A name is one of the VirtualService's namespace, `./name` too; `name.namespace` and longer ones are old forms.
    #[must_use]
    pub fn gateway_name(&self, name: &str, meta: &Meta) -> String {
        if name == "mesh" {
            return name.to_owned();
        }
        let mut labels = name.split('.');
        match (name.split_once('/'), labels.next(), labels.next()) {
            (Some((".", name)), ..) | (None, Some(name), None) => {
                format!("{}/{name}", meta.namespace)
            }
            (None, Some(name), Some(namespace)) => format!("{namespace}/{name}"),
            _ => name.to_owned(),
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
        // Without labels a selector takes everything.
        let all = selector
            .is_empty()
            .then_some(self.resources.workloads.iter());
        let some = self.candidates(selector).iter().copied();
        let workloads = all.into_iter().flatten().chain(some);
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

#[cfg(test)]
mod tests {
    use crate::mesh::Mesh;
    use crate::model::{Context, Resources};
    use crate::version::Version;
    use crate::yaml::{self, Limits};

    #[test]
    fn names_as_istiod_resolves_them() {
        let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v, namespace: a}\nspec: {}";
        let mut resources = Resources::default();
        let context = Context::default();
        for node in yaml::read(text, Limits::default()) {
            assert_eq!(resources.take(&node.unwrap(), 0, &context), []);
        }
        let mesh = Mesh::new(&resources, &context, Version::NEWEST);
        let meta = &resources.routes[0].meta;
        for (name, full) in [
            ("mesh", "mesh"),
            ("g", "a/g"),
            ("./g", "a/g"),
            ("b/g", "b/g"),
            ("g.b", "b/g"),
            ("g.b.svc.cluster.local", "b/g"),
        ] {
            assert_eq!(mesh.gateway_name(name, meta), full);
        }
    }
}
