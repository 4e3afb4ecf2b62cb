//! Who sees what: `exportTo`, and where istiod looks for a client's DestinationRule.

use super::Mesh;
use crate::model::{At, DestinationRule, Host, RouteTable, Service, ServiceEntry};

type ExportTo = Option<At<Vec<At<String>>>>;

impl<'a> Mesh<'a> {
    /// True where proxies of `namespace` see the VirtualService.
    #[must_use]
    pub fn sees_table(&self, namespace: &str, table: &RouteTable) -> bool {
        let mesh = self.resources.mesh.as_ref();
        let default = mesh.and_then(|it| it.default_virtual_service_export_to.as_deref());
        sees(&table.export_to, default, &table.meta.namespace, namespace)
    }

    /// True where proxies of `namespace` see the Service.
    #[must_use]
    pub fn sees_service(&self, namespace: &str, service: &Service) -> bool {
        let own = &service.meta.namespace;
        sees(&service.export_to, self.service_default(), own, namespace)
    }

    /// True where proxies of `namespace` see the hosts of the ServiceEntry.
    #[must_use]
    pub fn sees_entry(&self, namespace: &str, entry: &ServiceEntry) -> bool {
        let own = &entry.meta.namespace;
        sees(&entry.export_to, self.service_default(), own, namespace)
    }

    fn service_default(&self) -> Option<&[String]> {
        let mesh = self.resources.mesh.as_ref();
        mesh.and_then(|it| it.default_service_export_to.as_deref())
    }

    /// The DestinationRules for a host in every namespace: those that name it, then those of wildcards, the longest
    /// first.
    #[must_use]
    pub fn rules_covering(&self, host: &Host) -> Vec<&'a DestinationRule> {
        let named = self.rules.get(host).into_iter().flatten();
        let dots = host.as_str().match_indices('.');
        let suffixes = dots.filter_map(|(dot, _)| host.as_str().get(dot..));
        let wildcards = suffixes.map(|it| format!("*{it}"));
        let wildcards = wildcards.chain(std::iter::once("*".to_owned()));
        let wild = wildcards.filter_map(|it| self.rules.get(&Host::resolve(&it, "", "")));
        named.chain(wild.flatten()).copied().collect()
    }

    /// The DestinationRules that a client's proxy uses for a host, as istiod looks for them: in the client's namespace,
    /// then in the Service's, then in the root namespace. The first of them that has a rule decides.
    #[must_use]
    pub fn rules_used(&self, client: &str, host: &Host) -> Vec<&'a DestinationRule> {
        let all = self.rules_covering(host);
        let root = self.root_namespace();
        // In the root namespace only rules that it keeps for itself come first.
        let local = |rule: &DestinationRule| client != root || !self.sees_rule("", rule);
        let found = of_namespace(&all, client, local);
        if !found.is_empty() {
            return found;
        }
        let exported = |from: &str| of_namespace(&all, from, |rule| self.sees_rule(client, rule));
        let found = self.namespace_of(host).map(|it| exported(&it));
        match found.filter(|it| !it.is_empty()) {
            Some(found) => found,
            None => exported(root),
        }
    }

    /// True where proxies of `namespace` find the rule when they look into the rule's namespace.
    #[must_use]
    pub fn sees_rule(&self, namespace: &str, rule: &DestinationRule) -> bool {
        let mesh = self.resources.mesh.as_ref();
        let default = mesh.and_then(|it| it.default_destination_rule_export_to.as_deref());
        let own = &rule.meta.namespace;
        // A rule for some clients only is never exported.
        let exported = rule.workload_selector.is_none() || own == namespace;
        exported && sees(&rule.export_to, default, own, namespace)
    }
}

/// The rules of one namespace, for the most specific host that has any.
fn of_namespace<'a>(
    all: &[&'a DestinationRule],
    namespace: &str,
    wanted: impl Fn(&DestinationRule) -> bool,
) -> Vec<&'a DestinationRule> {
    let own = |it: &&'a DestinationRule| it.meta.namespace == namespace && wanted(it);
    let mut own = all.iter().copied().filter(own).peekable();
    let Some(first) = own.peek().copied() else {
        return Vec::new();
    };
    own.take_while(|it| it.host == first.host).collect()
}

/// As istiod reads `exportTo`: `*`, `.`, namespaces; without any the mesh's default, and without that `*`.
fn sees(export_to: &ExportTo, default: Option<&[String]>, own: &str, client: &str) -> bool {
    let one = |it: &str| match it {
        "*" => true,
        "." => own == client,
        name => name == client,
    };
    match export_to.as_ref().filter(|it| !it.is_empty()) {
        Some(said) => said.iter().any(|it| one(it)),
        None => default.is_none_or(|it| it.iter().any(|it| one(it))),
    }
}
