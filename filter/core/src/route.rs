//! Routes: which paths they match, and which requests they take there.

use crate::method::Methods;
use alloc::borrow::Cow;

/// The most routes a configuration may hold.
pub const MAX_ROUTES: usize = 10_000;

/// Which observed route a request belongs to: an index into [`crate::Config::observed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u8);

/// The paths that a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern<'t> {
    /// This path and no other.
    Exact(Cow<'t, str>),
    /// Every unambiguous path ([`crate::path::is_unambiguous`]) with these segments, where one in
    /// braces stands for any that is not empty.
    Template(Cow<'t, str>),
    /// Every unambiguous path that starts so; ends with `/`.
    Prefix(Cow<'t, str>),
}

impl Pattern<'_> {
    /// The path or prefix as configured.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Template(text) | Self::Prefix(text) => text,
        }
    }
}

/// One configured route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'t> {
    /// The paths it matches.
    pub pattern: Pattern<'t>,
    /// The methods it takes; `None` for any.
    pub methods: Option<Cow<'t, Methods>>,
    /// Which preflight requests it lets pass.
    pub cors: Cors,
    /// Where its outcomes are counted, if they are.
    pub observed: Option<Observation>,
}

/// What happens to a CORS preflight request, if the route's methods do not include OPTIONS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Cors {
    /// It is refused like any other method.
    #[default]
    Guard,
    /// It goes on, to the CORS policy of the mesh. It is no request of the route: nothing is
    /// counted.
    Pass,
}

/// How the exchanges of a route are observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Where their outcomes are counted.
    pub slot: Slot,
    /// Whether their responses say how they ended.
    pub annotation: Annotation,
}

/// Whether responses of an observed route carry `proxy-status` and `server-timing`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Annotation {
    /// They do.
    #[default]
    Headers,
    /// They stay as they are.
    None,
}

/// Two routes, by their place in the configuration, that match exactly the same paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Equal {
    /// The one that comes first in the configuration.
    pub first: usize,
    /// The one that comes later.
    pub second: usize,
}

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'t> {
    /// It is for a host that is not guarded.
    OtherHost,
    /// Its route takes it; its outcome is counted as the route says, if it does.
    Allowed(Option<Observation>),
    /// Its route exists, but takes only these methods.
    MethodNotAllowed(&'t Methods),
    /// No route matches its path.
    Unknown,
}
