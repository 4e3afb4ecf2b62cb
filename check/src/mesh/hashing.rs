//! Which destinations are chosen by a hash.

use super::Mesh;
use crate::model::{At, ConsistentHash, Destination, DestinationRule, RouteTable, TrafficPolicy};

/// A hash and the rule that says it.
#[derive(Clone, Copy, Debug)]
pub struct Hashed<'a> {
    /// The rule.
    pub rule: &'a DestinationRule,
    /// The hash.
    pub hash: &'a At<ConsistentHash>,
}

impl<'a> Mesh<'a> {
    /// The hash by which an endpoint of this destination is chosen.
    #[must_use]
    pub fn hash_of(&self, table: &RouteTable, destination: &Destination) -> Option<Hashed<'a>> {
        let host = self.host(&destination.host, &table.meta);
        let rules = self.destination_rules(&host).into_iter();
        let hashed = |rule: &'a DestinationRule| {
            let subset = destination
                .subset
                .as_ref()
                .and_then(|name| rule.subsets.iter().find(|it| it.name == *name));
            let policies = [
                subset.and_then(|it| it.policy.as_ref()),
                rule.policy.as_ref(),
            ];
            let mut policies = policies.into_iter().flatten();
            let hash = policies.find_map(|policy| hash_in(policy, destination))?;
            Some(Hashed { rule, hash: hash? })
        };
        rules.filter_map(hashed).next()
    }
}

/// The outer one is absent where the policy does not say; the inner one where it says another balancer.
fn hash_in<'a>(
    policy: &'a TrafficPolicy,
    destination: &Destination,
) -> Option<Option<&'a At<ConsistentHash>>> {
    let own = |it: &&crate::model::PortPolicy| it.port == destination.port.map(|it| it.value);
    let port = policy.ports.iter().find(own);
    if let (Some(port), Some(_)) = (port, destination.port) {
        // The port's settings take the place of all others.
        let balancer = port.settings.load_balancer.as_ref();
        return Some(balancer.and_then(|it| it.consistent_hash.as_ref()));
    }
    let balancer = policy.settings.load_balancer.as_ref()?;
    Some(balancer.consistent_hash.as_ref())
}
