//! Host names: short, full, and with a wildcard.

/// A host name as istiod resolves it: lower case, with the cluster's domain where it was short.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host(String);

impl Host {
    /// Resolves a name that stands in a resource of this namespace.
    ///
    /// A name without a dot is a Service of the namespace. Any other is left as it is, as istiod leaves it, so
    /// `name.namespace` is no Service.
    #[must_use]
    pub fn resolve(name: &str, namespace: &str, domain: &str) -> Self {
        let name = name.to_ascii_lowercase();
        if name.contains('.') || name.starts_with('*') || name.is_empty() {
            return Self(name);
        }
        Self(format!("{name}.{namespace}.svc.{domain}"))
    }

    /// The full name of a Service.
    #[must_use]
    pub fn of_service(name: &str, namespace: &str, domain: &str) -> Self {
        Self(format!("{name}.{namespace}.svc.{domain}"))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for `*` and `*.…`.
    #[must_use]
    pub fn is_wildcard(&self) -> bool {
        self.0.starts_with('*')
    }

    /// True where a request for `other` is one for this host: equal, or under this wildcard.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        covers(&self.0, &other.0)
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// True where every name of `narrow` is one of `wide`: `*` covers all, `*.a` covers `b.a`, `c.b.a` and `*.b.a`.
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    match wide.strip_prefix('*') {
        Some(suffix) => {
            narrow
                .strip_prefix('*')
                .map_or(narrow.len() > suffix.len(), |it| it.len() >= suffix.len())
                && narrow.ends_with(suffix)
        }
        None => wide == narrow,
    }
}

#[cfg(test)]
mod tests {
    use super::covers;

    #[test]
    fn a_wildcard_covers_what_ends_so() {
        for (wide, narrow) in [
            ("*", "a.b"),
            ("*", "*"),
            ("*.b", "a.b"),
            ("*.b", "c.a.b"),
            ("*.b", "*.a.b"),
            ("*.b", "*.b"),
            ("a.b", "a.b"),
        ] {
            assert!(covers(wide, narrow), "{wide} {narrow}");
        }
        for (wide, narrow) in [
            ("*.b", "b"),
            ("*.b", ".b"),
            ("a.b", "*.b"),
            ("*.a.b", "*.b"),
            ("a", "b"),
        ] {
            assert!(!covers(wide, narrow), "{wide} {narrow}");
        }
    }
}
