//! The mesh's own configuration, where the input has it.

use super::field::{Read, Tree};

/// What of `meshConfig` decides about rules.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshConfig {
    /// The namespace whose policies hold everywhere.
    pub root_namespace: Option<String>,
    /// Namespaces that see a VirtualService that does not say.
    pub default_virtual_service_export_to: Option<Vec<String>>,
    /// Namespaces that see a DestinationRule that does not say.
    pub default_destination_rule_export_to: Option<Vec<String>>,
    /// Namespaces that see a Service or ServiceEntry that does not say.
    pub default_service_export_to: Option<Vec<String>>,
}

impl MeshConfig {
    pub(super) fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            root_namespace: tree.maybe("rootNamespace")?,
            default_virtual_service_export_to: tree.maybe("defaultVirtualServiceExportTo")?,
            default_destination_rule_export_to: tree.maybe("defaultDestinationRuleExportTo")?,
            default_service_export_to: tree.maybe("defaultServiceExportTo")?,
        })
    }
}
