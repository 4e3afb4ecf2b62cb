//! Workloads: pods by their labels, how many, and the ports of their containers.

use std::collections::BTreeMap;

use super::field::{At, Field, Named, Read, Tree};
use super::meta::Meta;

/// Labels, or a selector of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

/// What makes pods: Pod, Deployment, StatefulSet, DaemonSet, ReplicaSet.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// The resource.
    pub meta: Meta,
    /// Labels of its pods.
    pub labels: Labels,
    /// How many pods it makes.
    pub replicas: Replicas,
    /// Ports of its containers, by name if they have one.
    pub ports: Vec<(Option<String>, u32)>,
}

/// How many pods there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Replicas {
    /// As written.
    Fixed(At<u32>),
    /// Not written: one, unless something else scales it.
    One,
    /// One for each node.
    PerNode,
}

impl Copy for At<u32> {}

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    /// The resource.
    pub meta: Meta,
    /// Kind and name of what it scales.
    pub target: (String, String),
    /// The least number of pods.
    pub min: At<u32>,
    /// The largest number of pods.
    pub max: At<u32>,
}

/// A namespace.
#[derive(Clone, Debug, PartialEq)]
pub struct Namespace {
    /// The resource.
    pub meta: Meta,
}

impl Labels {
    /// True where these are a selector that takes `labels`.
    #[must_use]
    pub fn select(&self, labels: &Self) -> bool {
        let has = |(key, value): (&String, &String)| labels.0.get(key) == Some(value);
        self.0.iter().all(has)
    }

    /// True without any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{key}={value}")?;
        }
        Ok(())
    }
}

impl Field for Labels {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let named = Named::<String>::read(tree)?.0.into_iter();
        Ok(Self(named.map(|(key, value)| (key.value, value)).collect()))
    }
}

impl Workload {
    pub(super) fn pod(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        Ok(Self {
            labels: meta.labels.clone(),
            replicas: Replicas::One,
            ports: ports(spec)?,
            meta,
        })
    }

    pub(super) fn of_template(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        let template = spec.get("template");
        let labels = template
            .and_then(|it| it.get("metadata"))
            .map(|it| it.or_default("labels"))
            .transpose()?;
        let pod = template.and_then(|it| it.get("spec"));
        let replicas = match meta.kind.0 {
            "DaemonSet" => Replicas::PerNode,
            _ => spec
                .maybe("replicas")?
                .map_or(Replicas::One, Replicas::Fixed),
        };
        Ok(Self {
            labels: labels.unwrap_or_default(),
            replicas,
            ports: pod.map(ports).transpose()?.unwrap_or_default(),
            meta,
        })
    }
}

fn ports(spec: Tree<'_>) -> Read<Vec<(Option<String>, u32)>> {
    let containers: Vec<Container> = spec.or_default("containers")?;
    Ok(containers.into_iter().flat_map(|it| it.0).collect())
}

struct Container(Vec<(Option<String>, u32)>);

impl Field for Container {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let ports: Vec<ContainerPort> = tree.or_default("ports")?;
        Ok(Self(ports.into_iter().map(|it| (it.0, it.1)).collect()))
    }
}

struct ContainerPort(Option<String>, u32);

impl Field for ContainerPort {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self(tree.maybe("name")?, tree.must("containerPort")?))
    }
}

impl Scaler {
    pub(super) fn read(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        let target = spec
            .get("scaleTargetRef")
            .ok_or_else(|| spec.unreadable("scaleTargetRef is missing"))?;
        let max: At<u32> = spec.must("maxReplicas")?;
        let min: Option<At<u32>> = spec.maybe("minReplicas")?;
        Ok(Self {
            meta,
            target: (target.must("kind")?, target.must("name")?),
            min: min.unwrap_or(At {
                place: max.place,
                value: 1,
            }),
            max,
        })
    }
}
