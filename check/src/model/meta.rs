//! What every resource has: kind, name, namespace, labels.

use super::field::{At, Place, Read, Tree};
use super::resource::Context;
use super::workload::Labels;

/// The kinds that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind(pub &'static str);

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// A resource's identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Its kind.
    pub kind: Kind,
    /// Its name, and where it is said.
    pub name: At<String>,
    /// Its namespace: as said, else the one that the reader was told.
    pub namespace: String,
    /// False where the file leaves the namespace to whoever applies it.
    pub namespace_said: bool,
    /// Where the namespace is said, else the name's place.
    pub namespace_place: Place,
    /// Its labels.
    pub labels: Labels,
    /// The annotation by which a Service says who sees it: namespaces, comma-separated.
    pub export_to: Option<At<String>>,
    /// When the cluster took it, in RFC 3339 (only from a cluster).
    pub created: Option<String>,
    /// Where the resource starts.
    pub place: Place,
}

/// The annotation by which a resource is exempt from rules.
pub(super) const IGNORE: &str = "faultline/ignore";
const EXPORT_TO: &str = "networking.istio.io/exportTo";

impl Meta {
    pub(super) fn read(kind: Kind, root: Tree<'_>, context: &Context) -> Read<Self> {
        let tree = root
            .get("metadata")
            .ok_or_else(|| root.unreadable("metadata is missing"))?;
        let name: Option<At<String>> = tree.maybe("name")?;
        let name = match name {
            Some(name) => name,
            None => tree.must("generateName")?,
        };
        let namespace: Option<At<String>> = tree.maybe("namespace")?;
        let created = tree
            .get("creationTimestamp")
            .and_then(|tree| tree.node.text())
            .map(str::to_owned);
        Ok(Self {
            kind,
            namespace_said: namespace.is_some(),
            namespace_place: namespace.as_ref().map_or(name.place, |it| it.place),
            namespace: namespace.map_or_else(|| context.namespace.clone(), |it| it.value),
            name,
            labels: tree.or_default("labels")?,
            export_to: tree
                .get("annotations")
                .map(|it| it.maybe(EXPORT_TO))
                .transpose()?
                .flatten(),
            created,
            place: root.place(),
        })
    }

    /// True where both are one object of a cluster, so that one takes the other's place: variants of a resource in
    /// several files.
    #[must_use]
    pub fn is_same_object(&self, other: &Self) -> bool {
        self.kind == other.kind && self.name == other.name && self.namespace == other.namespace
    }

    /// True where istiod puts this resource before `other`, by age and then by name; none where ages are unknown.
    #[must_use]
    pub fn comes_before(&self, other: &Self) -> Option<bool> {
        let (own, theirs) = (self.created.as_ref()?, other.created.as_ref()?);
        let key = |meta: &'_ Self| (meta.name.value.clone(), meta.namespace.clone());
        Some((own, key(self)) < (theirs, key(other)))
    }

    /// `kind namespace/name`, the namespace only where it is said.
    #[must_use]
    pub fn title(&self) -> String {
        let name = &*self.name;
        match self.namespace_said {
            true => format!("{} {}/{name}", self.kind, self.namespace),
            false => format!("{} {name}", self.kind),
        }
    }
}
