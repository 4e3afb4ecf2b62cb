//! The mesh's own configuration, where the input has it.

use super::field::{At, Read, Tree};
use super::route::Retries;

/// What of `meshConfig` decides about rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshConfig {
    /// The namespace whose policies hold everywhere.
    pub root_namespace: Option<String>,
    /// Retries of a route that says nothing about them.
    pub default_retries: Option<At<Retries>>,
    /// Namespaces that see a VirtualService that does not say.
    pub default_virtual_service_export_to: Option<Vec<String>>,
    /// Namespaces that see a DestinationRule that does not say.
    pub default_destination_rule_export_to: Option<Vec<String>>,
    /// Namespaces that see a Service or ServiceEntry that does not say.
    pub default_service_export_to: Option<Vec<String>>,
    /// The cluster's domain.
    pub trust_domain: Option<String>,
}

impl MeshConfig {
    pub(super) fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            root_namespace: tree.maybe("rootNamespace")?,
            default_retries: tree.maybe("defaultHttpRetryPolicy")?,
            default_virtual_service_export_to: tree.maybe("defaultVirtualServiceExportTo")?,
            default_destination_rule_export_to: tree.maybe("defaultDestinationRuleExportTo")?,
            default_service_export_to: tree.maybe("defaultServiceExportTo")?,
            trust_domain: tree.maybe("trustDomain")?,
        })
    }
}
