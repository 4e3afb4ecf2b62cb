//! Where the proxies are that use a VirtualService.

use std::collections::HashMap;

use crate::finding::Level;
use crate::mesh::Mesh;
use crate::model::{At, Labels, Meta, Place, RouteTable};

/// Proxies that use a VirtualService, by their namespaces.
#[derive(Debug)]
pub(super) struct Clients<'a> {
    /// Their namespaces, at least one.
    pub(super) namespaces: Vec<&'a str>,
    /// How sure these are.
    pub(super) level: Level,
    /// The resource that says so.
    pub(super) meta: &'a Meta,
    /// Where it does.
    pub(super) place: Place,
}

/// The pods of gateways, by the gateway's full name: their namespaces, and a resource that says so.
#[derive(Debug, Default)]
pub(super) struct Pods<'a>(HashMap<String, Option<(Vec<&'a str>, &'a Meta)>>);

impl<'a> Pods<'a> {
    /// The pods of a gateway; none where their namespace is not known.
    pub(super) fn of_gateway(
        &mut self,
        mesh: &Mesh<'a>,
        table: &RouteTable,
        name: &At<String>,
    ) -> Option<Clients<'a>> {
        let name = mesh.gateway_name(name, &table.meta);
        let gateway = mesh.gateway_of_name(&name)?;
        if gateway.selector.is_empty() {
            return None;
        }
        let pods = self.0.entry(name).or_insert_with(|| {
            let owner = owner(mesh, &gateway.selector)?;
            Some((mesh.namespaces_with(&gateway.selector), owner))
        });
        if let Some((namespaces, meta)) = pods {
            return Some(Clients {
                namespaces: namespaces.clone(),
                level: Level::Error,
                meta,
                place: meta.namespace_place,
            });
        }
        // A Gateway beside its pods is usual where it is not beside the VirtualService.
        let meta = &gateway.meta;
        (meta.namespace_said && meta.namespace != table.meta.namespace).then(|| Clients {
            namespaces: vec![&meta.namespace],
            level: Level::Warning,
            meta,
            place: meta.namespace_place,
        })
    }
}

impl Clients<'_> {
    /// The namespaces for a message.
    pub(super) fn named(&self) -> String {
        self.namespaces.join(", ")
    }
}

/// A workload with these labels, else a Service that selects it.
fn owner<'a>(mesh: &Mesh<'a>, selector: &Labels) -> Option<&'a Meta> {
    let workload = mesh.selected_anywhere(selector).next().map(|it| &it.meta);
    let mut services = mesh.resources.services.iter();
    workload.or_else(|| {
        services
            .find(|it| selector.select(&it.selector))
            .map(|it| &it.meta)
    })
}
