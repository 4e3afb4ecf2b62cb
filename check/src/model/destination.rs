//! DestinationRules: traffic policies of a host, of its ports and of its subsets.

use super::field::{At, Field, Place, Present, Read, Tree};
use super::meta::Meta;
use super::workload::Labels;

/// The rule for a host.
#[derive(Clone, Debug, PartialEq)]
pub struct DestinationRule {
    /// The resource.
    pub meta: Meta,
    /// The host as written.
    pub host: At<String>,
    /// The policy for the host.
    pub policy: Option<At<TrafficPolicy>>,
    /// Subsets.
    pub subsets: Vec<Subset>,
    /// Namespaces that see it.
    pub export_to: Option<At<Vec<At<String>>>>,
    /// Clients that it is for, by their labels.
    pub workload_selector: Option<At<Labels>>,
}

/// A traffic policy and its ports' own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrafficPolicy {
    /// What holds for every port without settings of its own.
    pub settings: Settings,
    /// What holds for one port, in the place of `settings`.
    pub ports: Vec<PortPolicy>,
}

/// Settings of one port.
#[derive(Clone, Debug, PartialEq)]
pub struct PortPolicy {
    /// Where they start.
    pub place: Place,
    /// The Service's port.
    pub port: Option<u32>,
    /// The settings.
    pub settings: Settings,
}

/// The settings that a port's policy replaces as a whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// Limits.
    pub connection_pool: Option<Place>,
    /// Ejection of hosts.
    pub outlier_detection: Option<At<OutlierDetection>>,
    /// TLS towards the host.
    pub tls: Option<At<Tls>>,
    /// Load balancing.
    pub load_balancer: Option<At<LoadBalancer>>,
}

/// TLS settings of a client.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tls {
    /// `DISABLE`, `SIMPLE`, `MUTUAL`, `ISTIO_MUTUAL`.
    pub mode: Option<String>,
}

/// When a host is ejected.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OutlierDetection {
    /// The most that may be ejected, of a hundred; 0 and absent are Envoy's own 10.
    pub max_ejection_percent: Option<At<u32>>,
    /// Errors in a row; 0 turns it off.
    pub consecutive_5xx: Option<At<u32>>,
    /// Gateway errors in a row; 0 turns it off.
    pub consecutive_gateway: Option<At<u32>>,
    /// Counts errors of the proxy itself apart.
    pub split: bool,
}

/// How a host is chosen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadBalancer {
    /// By a hash of the request.
    pub consistent_hash: Option<At<ConsistentHash>>,
}

/// A hash of the request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConsistentHash {
    /// What is hashed, in Istio's words.
    pub by: &'static str,
}

/// A subset of a host.
#[derive(Clone, Debug, PartialEq)]
pub struct Subset {
    /// Where it starts.
    pub place: Place,
    /// Its name.
    pub name: At<String>,
    /// Labels of its endpoints.
    pub labels: Labels,
    /// Its policy, on top of the host's.
    pub policy: Option<At<TrafficPolicy>>,
}

impl DestinationRule {
    pub(super) fn read(meta: Meta, spec: Tree<'_>) -> Read<Self> {
        let selector = spec.get("workloadSelector");
        Ok(Self {
            meta,
            host: spec.must("host")?,
            policy: spec.maybe("trafficPolicy")?,
            subsets: spec.or_default("subsets")?,
            export_to: spec.maybe("exportTo")?,
            workload_selector: selector
                .map(|it| it.maybe("matchLabels"))
                .transpose()?
                .flatten(),
        })
    }

    /// The host's policy and those of its subsets, each with the subset's name.
    pub fn policies(&self) -> impl Iterator<Item = (Option<&Subset>, &At<TrafficPolicy>)> {
        let own = self.policy.iter().map(|policy| (None, policy));
        own.chain(self.subsets.iter().filter_map(Subset::with_policy))
    }
}

impl Subset {
    fn with_policy(&self) -> Option<(Option<&Self>, &At<TrafficPolicy>)> {
        self.policy.as_ref().map(|policy| (Some(self), policy))
    }
}

impl TrafficPolicy {
    /// The settings for every port, then those of single ports.
    pub fn all_settings(&self) -> impl Iterator<Item = (Option<u32>, &Settings)> {
        let ports = self.ports.iter().map(|it| (it.port, &it.settings));
        std::iter::once((None, &self.settings)).chain(ports)
    }
}

impl Field for TrafficPolicy {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            settings: Settings::read(tree)?,
            ports: tree.or_default("portLevelSettings")?,
        })
    }
}

impl Field for PortPolicy {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let port = tree.get("port").map(|it| it.maybe("number")).transpose()?;
        Ok(Self {
            place: tree.place(),
            port: port.flatten(),
            settings: Settings::read(tree)?,
        })
    }
}

impl Field for Settings {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let pool: Option<At<Present>> = tree.maybe("connectionPool")?;
        Ok(Self {
            connection_pool: pool.map(|it| it.place),
            outlier_detection: tree.maybe("outlierDetection")?,
            tls: tree.maybe("tls")?,
            load_balancer: tree.maybe("loadBalancer")?,
        })
    }
}

impl Field for Tls {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let mode = tree.maybe("mode")?;
        Ok(Self { mode })
    }
}

impl Field for OutlierDetection {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let new = tree.maybe("consecutive5xxErrors")?;
        let old = tree.maybe("consecutiveErrors")?;
        Ok(Self {
            max_ejection_percent: tree.maybe("maxEjectionPercent")?,
            consecutive_5xx: new.or(old),
            consecutive_gateway: tree.maybe("consecutiveGatewayErrors")?,
            split: tree.or_default("splitExternalLocalOriginErrors")?,
        })
    }
}

impl OutlierDetection {
    /// True where every way of detection is turned off.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let off = |errors: &Option<At<u32>>| errors.as_ref().is_some_and(|it| it.value == 0);
        // Gateway errors count only when they are asked for.
        let gateway = self.consecutive_gateway.as_ref();
        off(&self.consecutive_5xx) && gateway.is_none_or(|it| it.value == 0) && !self.split
    }
}

impl Field for LoadBalancer {
    fn read(tree: Tree<'_>) -> Read<Self> {
        let consistent_hash = tree.maybe("consistentHash")?;
        Ok(Self { consistent_hash })
    }
}

impl Field for ConsistentHash {
    fn read(tree: Tree<'_>) -> Read<Self> {
        const BY: [&str; 4] = [
            "httpHeaderName",
            "httpCookie",
            "useSourceIp",
            "httpQueryParameterName",
        ];
        let by = BY.into_iter().find(|by| tree.get(by).is_some());
        Ok(Self {
            by: by.unwrap_or_default(),
        })
    }
}

impl Field for Subset {
    fn read(tree: Tree<'_>) -> Read<Self> {
        Ok(Self {
            place: tree.place(),
            name: tree.must("name")?,
            labels: tree.or_default("labels")?,
            policy: tree.maybe("trafficPolicy")?,
        })
    }
}
