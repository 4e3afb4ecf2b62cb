//! How many endpoints a host has.

use std::collections::BTreeMap;

use super::Mesh;
use crate::model::{Host, Kind, Labels, Place, Replicas, Service, Subset, Workload};

/// A number of endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// The least.
    pub min: u32,
    /// The most.
    pub max: u32,
    /// Where it is said.
    pub place: Option<Place>,
}

impl<'a> Mesh<'a> {
    /// The workloads behind a Service.
    #[must_use]
    pub fn behind(&self, service: &Service) -> Vec<&'a Workload> {
        if service.selector.is_empty() {
            return Vec::new();
        }
        let namespace = &service.meta.namespace;
        let workloads = self.candidates(&service.selector).iter();
        workloads
            .filter(|it| it.meta.namespace == *namespace && service.selector.select(&it.labels))
            .copied()
            .collect()
    }

    /// The endpoints of a host, or of a subset of it.
    ///
    /// # Errors
    /// What the input lacks, in words.
    pub fn endpoints(
        &self,
        host: &Host,
        subset: Option<&Subset>,
    ) -> Result<(Count, Vec<&'a Workload>), String> {
        let none = Labels::default();
        let labels = subset.map_or(&none, |it| &it.labels);
        if let Some(service) = self.service(host) {
            let mut workloads = self.behind(service);
            workloads.retain(|it| labels.select(&it.labels));
            return self.count(host, workloads);
        }
        let entry = self.service_entry(host);
        match entry.map(|it| (it, it.endpoints)) {
            Some((entry, Some(count))) if entry.resolution.as_deref() == Some("STATIC") => {
                let count = Count {
                    min: *count,
                    max: *count,
                    place: Some(count.place),
                };
                Ok((count, Vec::new()))
            }
            Some(_) => Err(format!("how many endpoints {host} has")),
            None => Err(format!("no replicas known for {host}")),
        }
    }

    fn count(
        &self,
        host: &Host,
        workloads: Vec<&'a Workload>,
    ) -> Result<(Count, Vec<&'a Workload>), String> {
        let mut total = Count {
            min: 0,
            max: 0,
            place: None,
        };
        // Variants of one object, in several files, are one: the largest of them counts.
        let mut objects: BTreeMap<(Kind, &str), Count> = BTreeMap::new();
        for workload in &workloads {
            let Some(count) = self.pods(workload) else {
                return Err(format!("no replicas known for {host}"));
            };
            let known = objects
                .entry((workload.meta.kind, &workload.meta.name))
                .or_insert(count);
            if count.max > known.max {
                *known = count;
            }
        }
        for count in objects.values() {
            total.min = total.min.saturating_add(count.min);
            total.max = total.max.saturating_add(count.max);
            total.place = total.place.or(count.place);
        }
        if workloads.is_empty() {
            return Err(format!("no replicas known for {host}"));
        }
        Ok((total, workloads))
    }

    /// How many pods a workload has.
    fn pods(&self, workload: &Workload) -> Option<Count> {
        let meta = &workload.meta;
        let scaler = self
            .scalers
            .get(&(meta.namespace.as_str(), meta.kind.0, meta.name.as_str()));
        if let Some(scaler) = scaler {
            return Some(Count {
                min: *scaler.min,
                max: *scaler.max,
                place: Some(scaler.max.place),
            });
        }
        match workload.replicas {
            Replicas::Fixed(count) => Some(Count {
                min: *count,
                max: *count,
                place: Some(count.place),
            }),
            Replicas::One => Some(Count {
                min: 1,
                max: 1,
                place: Some(workload.meta.name.place),
            }),
            Replicas::PerNode => None,
        }
    }
}
