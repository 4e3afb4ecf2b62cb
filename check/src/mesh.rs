//! The input as a mesh sees it: what a name means, who sees what, and how many endpoints there are.

mod cover;
mod endpoints;
mod gateways;
mod hashing;
mod hosts;
mod index;
mod visibility;

use std::collections::HashMap;

use crate::model::{
    Context, DestinationRule, Host, Meta, Resources, RouteTable, Service, ServiceEntry, Workload,
};
use crate::version::Version;

pub use cover::covers;
pub use endpoints::Count;
pub use hashing::Hashed;
pub use hosts::{HostRoutes, HostTable};
pub use index::Covering;

/// The resources with indexes over them.
#[derive(Debug)]
pub struct Mesh<'a> {
    /// The resources.
    pub resources: &'a Resources,
    /// The version of Istio that is asked about.
    pub version: Version,
    context: &'a Context,
    services: HashMap<Host, &'a Service>,
    entries: HashMap<Host, &'a ServiceEntry>,
    workloads: HashMap<&'a str, Vec<&'a Workload>>,
    rules: HashMap<Host, Vec<&'a DestinationRule>>,
}

impl<'a> Mesh<'a> {
    /// Indexes the resources.
    #[must_use]
    pub fn new(resources: &'a Resources, context: &'a Context, version: Version) -> Self {
        let domain = &context.domain;
        let of_service = |it: &'a Service| {
            let host = Host::of_service(&it.meta.name, &it.meta.namespace, domain);
            (host, it)
        };
        let of_entry = |it: &'a ServiceEntry| {
            let host = |host: &String| Host::resolve(host, &it.meta.namespace, domain);
            it.hosts.iter().map(move |name| (host(&name.value), it))
        };
        let mut workloads: HashMap<&str, Vec<_>> = HashMap::new();
        for workload in &resources.workloads {
            let namespace = workload.meta.namespace.as_str();
            workloads.entry(namespace).or_default().push(workload);
        }
        let mut rules: HashMap<Host, Vec<_>> = HashMap::new();
        for rule in &resources.destination_rules {
            let host = Host::resolve(&rule.host, &rule.meta.namespace, domain);
            rules.entry(host).or_default().push(rule);
        }
        Self {
            services: resources.services.iter().map(of_service).collect(),
            entries: resources
                .service_entries
                .iter()
                .flat_map(of_entry)
                .collect(),
            resources,
            version,
            context,
            workloads,
            rules,
        }
    }

    /// What a host's name means in a resource.
    #[must_use]
    pub fn host(&self, name: &str, meta: &Meta) -> Host {
        Host::resolve(name, &meta.namespace, &self.context.domain)
    }

    /// The Service of this host.
    #[must_use]
    pub fn service(&self, host: &Host) -> Option<&'a Service> {
        self.services.get(host).copied()
    }

    /// The ServiceEntry of this host, by name or wildcard.
    #[must_use]
    pub fn service_entry(&self, host: &Host) -> Option<&'a ServiceEntry> {
        if let Some(entry) = self.entries.get(host) {
            return Some(entry);
        }
        let wild = self.entries.iter().filter(|it| it.0.is_wildcard());
        wild.filter(|it| it.0.covers(host))
            .max_by_key(|it| it.0.as_str().len())
            .map(|it| *it.1)
    }

    /// The namespace of a host: its Service's, its ServiceEntry's, or the one that its name says.
    #[must_use]
    pub fn namespace_of(&self, host: &Host) -> Option<String> {
        if let Some(service) = self.service(host) {
            return Some(service.meta.namespace.clone());
        }
        if let Some(entry) = self.service_entry(host) {
            return Some(entry.meta.namespace.clone());
        }
        let suffix = format!(".svc.{}", self.context.domain);
        let name = host.as_str().strip_suffix(&suffix)?;
        name.split_once('.')
            .map(|(_, namespace)| namespace.to_owned())
    }

    /// The DestinationRules for a host, those with a wildcard only where none names it.
    #[must_use]
    pub fn destination_rules(&self, host: &Host) -> Vec<&'a DestinationRule> {
        if let Some(rules) = self.rules.get(host) {
            return rules.clone();
        }
        let wild = self.rules.iter().filter(|it| it.0.is_wildcard());
        wild.filter(|it| it.0.covers(host))
            .max_by_key(|it| it.0.as_str().len())
            .map(|it| it.1.clone())
            .unwrap_or_default()
    }

    /// The DestinationRules by their hosts.
    pub fn destination_rules_by_host(
        &self,
    ) -> impl Iterator<Item = (&Host, &[&'a DestinationRule])> {
        self.rules
            .iter()
            .map(|(host, rules)| (host, rules.as_slice()))
    }

    /// The workloads of a namespace.
    #[must_use]
    pub fn workloads_in(&self, namespace: &str) -> &[&'a Workload] {
        self.workloads
            .get(namespace)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The namespace whose policies hold everywhere.
    #[must_use]
    pub fn root_namespace(&self) -> &str {
        let mesh = self.resources.mesh.as_ref();
        mesh.and_then(|it| it.root_namespace.as_deref())
            .unwrap_or("istio-system")
    }

    /// Route tables that Istio's own API wrote.
    pub fn virtual_services(&self) -> impl Iterator<Item = &'a RouteTable> {
        let tables = self.resources.routes.iter();
        tables.filter(|it| it.api == crate::model::Api::Istio)
    }
}
