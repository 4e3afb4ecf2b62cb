//! How a service is called: `DestinationRule`.

use serde::Deserialize;

/// `DestinationRule.spec`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DestinationRule {
    /// The service it is for.
    pub host: String,
    /// How it is called.
    pub traffic_policy: TrafficPolicy,
}

/// How a service is called.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficPolicy {
    /// Which of its instances is chosen.
    pub load_balancer: LoadBalancer,
    /// The limits.
    pub connection_pool: ConnectionPool,
    /// How the connection is encrypted.
    pub tls: Tls,
}

/// Load balancing.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadBalancer {
    /// The policy.
    pub simple: Balancing,
}

/// A load balancing policy. Istio and Envoy have the same names for these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Balancing {
    /// Of two at random, the one with fewer requests under way.
    LeastRequest,
    /// In turn.
    RoundRobin,
    /// Any.
    Random,
}

impl Balancing {
    /// Envoy's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LeastRequest => "LEAST_REQUEST",
            Self::RoundRobin => "ROUND_ROBIN",
            Self::Random => "RANDOM",
        }
    }
}

/// The limits of a connection pool.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionPool {
    /// Of connections.
    pub tcp: TcpLimits,
    /// Of requests.
    pub http: HttpLimits,
}

/// Limits of connections.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpLimits {
    /// How many.
    pub max_connections: u32,
}

/// Limits of requests.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpLimits {
    /// How many may wait for a connection.
    #[serde(rename = "http1MaxPendingRequests")]
    pub max_pending_requests: u32,
}

/// Encryption of calls.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whose certificates.
    pub mode: TlsMode,
}

/// Whose certificates; local mode knows the mesh's only.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TlsMode {
    /// The mesh's own, on both sides.
    IstioMutual,
}
