//! Routes: what a path may match, and what is taken there.

use crate::method::Methods;
use alloc::borrow::Cow;

/// The most routes a configuration may hold.
pub const MAX_ROUTES: usize = 10_000;

/// Which observed route a request belongs to: an index into [`crate::Config::observed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot(pub u8);

/// What a route matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern<'t> {
    /// This path and no other.
    Exact(Cow<'t, str>),
    /// Every unambiguous path ([`crate::path::is_unambiguous`]) that starts so; ends with `/`.
    Prefix(Cow<'t, str>),
}

impl Pattern<'_> {
    /// The path or prefix as configured.
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) => text,
        }
    }
}

/// One configured route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route<'t> {
    /// What it matches.
    pub pattern: Pattern<'t>,
    /// The methods it takes; `None` for any.
    pub methods: Option<Cow<'t, Methods>>,
    /// Where its outcomes are counted, if they are.
    pub observed: Option<Slot>,
}

/// Two routes, by their place in the configuration, that match the same path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// The one that comes first in the configuration.
    pub first: usize,
    /// The one that comes later.
    pub second: usize,
}

/// Whether a request may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission<'t> {
    /// Its route takes it; the slot says where to count its outcome, if anywhere.
    Allowed(Option<Slot>),
    /// Its route exists, but takes only these methods.
    MethodNotAllowed(&'t Methods),
    /// No route matches its path.
    Unknown,
}
