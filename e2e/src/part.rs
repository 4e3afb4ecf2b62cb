//! The parts of the mesh, as cases name them.

/// An application of Faultline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// The front service.
    CustomApp,
    /// The store.
    LogAgent,
}

impl App {
    /// Its name: of the container, and of the label `app`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app",
            Self::LogAgent => "log-agent",
        }
    }

    /// The name it is called by inside the mesh, without the namespace.
    #[must_use]
    pub fn service(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app-service",
            Self::LogAgent => "log-agent-service",
        }
    }
}

/// A proxy of the mesh; where there are several of a kind, their statistics are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// The ingress gateway.
    Gateway,
    /// An application's sidecar.
    Sidecar(App),
}

/// Who calls from inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// custom-app's identity, in the mesh; on a cluster a pod with that identity, which only the full tier plants.
    Insider,
    /// An identity of its own, in the mesh.
    Stranger,
    /// Not in the mesh: on a cluster the API server.
    Outsider,
}

/// Which containers' logs to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lives {
    /// The running ones.
    Current,
    /// Also the one before the last restart.
    WithPrevious,
}

/// A piece of the mesh that can be taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What delays calls of the log agent.
    Delay,
    /// The filter at the gateway.
    GatewayPlugin,
}
