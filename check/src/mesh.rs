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
    Context, DestinationRule, Gateway, Host, Labels, Meta, Resources, RouteTable, Scaler, Service,
    ServiceEntry, Workload,
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
    labelled: HashMap<&'a str, HashMap<&'a str, Vec<&'a Workload>>>,
    rules: HashMap<Host, Vec<&'a DestinationRule>>,
    gateways: HashMap<(&'a str, &'a str), &'a Gateway>,
    scalers: HashMap<(&'a str, &'a str, &'a str), &'a Scaler>,
    wild_entries: Vec<Host>,
    wild_rules: Vec<Host>,
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
        let mut labelled: HashMap<&str, HashMap<&str, Vec<_>>> = HashMap::new();
        for workload in &resources.workloads {
            for (key, value) in &workload.labels.0 {
                let values = labelled.entry(key).or_default();
                values.entry(value).or_default().push(workload);
            }
        }
        let mut rules: HashMap<Host, Vec<_>> = HashMap::new();
        for rule in &resources.destination_rules {
            let host = Host::resolve(&rule.host, &rule.meta.namespace, domain);
            rules.entry(host).or_default().push(rule);
        }
        let entries: HashMap<_, _> = resources
            .service_entries
            .iter()
            .flat_map(of_entry)
            .collect();
        let of_gateway =
            |it: &'a Gateway| ((it.meta.namespace.as_str(), it.meta.name.as_str()), it);
        let of_scaler = |it: &'a Scaler| {
            let (kind, name) = &it.target;
            (
                (it.meta.namespace.as_str(), kind.as_str(), name.as_str()),
                it,
            )
        };
        Self {
            services: resources.services.iter().map(of_service).collect(),
            gateways: resources.gateways.iter().map(of_gateway).collect(),
            scalers: resources.scalers.iter().map(of_scaler).collect(),
            wild_entries: wild(entries.keys()),
            wild_rules: wild(rules.keys()),
            entries,
            resources,
            version,
            context,
            workloads,
            labelled,
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
        let wide = self.wild_entries.iter().find(|it| it.covers(host))?;
        self.entries.get(wide).copied()
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
        let wide = self.wild_rules.iter().find(|it| it.covers(host));
        wide.and_then(|it| self.rules.get(it).cloned())
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

    /// Workloads among which are all that a selector takes: those with its rarest label.
    pub(crate) fn candidates(&self, selector: &Labels) -> &[&'a Workload] {
        let lists = selector.0.iter().map(|(key, value)| {
            let list = self
                .labelled
                .get(key.as_str())
                .and_then(|it| it.get(value.as_str()));
            list.map(Vec::as_slice).unwrap_or_default()
        });
        lists.min_by_key(|it| it.len()).unwrap_or_default()
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

/// The wildcards among hosts, the most specific one first.
fn wild<'h>(hosts: impl Iterator<Item = &'h Host>) -> Vec<Host> {
    let mut wild: Vec<Host> = hosts.filter(|it| it.is_wildcard()).cloned().collect();
    wild.sort_by_key(|it| (std::cmp::Reverse(it.as_str().len()), it.clone()));
    wild
}
