//! What the resources say, as types: routes and policies rather than kinds.
//!
//! Tolerant of what it does not know: unknown kinds and unknown fields pass. A known field of the wrong type makes
//! its resource [`Unreadable`], and no rule judges that resource.

mod destination;
mod duration;
mod field;
mod gateway;
mod gateway_api;
mod host;
mod mesh;
mod meta;
mod policy;
mod resource;
mod route;
mod service;
mod text_match;
mod workload;

pub use destination::{
    ConsistentHash, DestinationRule, OutlierDetection, PortPolicy, Settings, Subset, TrafficPolicy,
};
pub use duration::{Duration, parse as parse_duration};
pub use field::{At, Place, Unreadable};
pub use gateway::{Gateway, Server};
pub use host::{Host, covers};
pub use mesh::MeshConfig;
pub use meta::{Kind, Meta};
pub use policy::{
    AuthorizationPolicy, AuthorizationRule, Condition, Operation, PeerAuthentication, PolicyKind,
    Selected, Source, Target, WasmPlugin,
};
pub use resource::{Context, Resources};
pub use route::{
    Api, Cors, Delegate, Destination, Fault, HttpMatch, HttpRoute, L4Route, Retries, Rewrite,
    RouteTable,
};
pub use service::{Port, Protocol, Service, ServiceEntry};
pub use text_match::{Case, TextMatch};
pub use workload::{Labels, Namespace, Replicas, Scaler, Workload};
