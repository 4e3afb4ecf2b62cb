//! The methods a route takes.

use alloc::string::String;

/// The most methods one route may list.
pub const MAX_METHODS: usize = 16;

/// A set of methods: HEAD comes with GET, since every resource that can be read can be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Methods {
    allow: String,
}

impl Methods {
    /// The set of the methods given; their order is the order of the `allow` header.
    pub fn new<'a>(methods: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self {
            allow: String::new(),
        };
        for method in methods {
            set.insert(method);
            if method == "GET" {
                set.insert("HEAD");
            }
        }
        set
    }

    fn insert(&mut self, method: &str) {
        if !self.contains(method.as_bytes()) {
            if !self.allow.is_empty() {
                self.allow.push_str(", ");
            }
            self.allow.push_str(method);
        }
    }

    /// Whether `method` is one of them. Methods are case-sensitive (RFC 9110, section 9.1).
    pub fn contains(&self, method: &[u8]) -> bool {
        let mut names = self.allow.as_bytes().split(|byte| *byte == b',');
        !method.is_empty() && names.any(|name| name.strip_prefix(b" ").unwrap_or(name) == method)
    }

    /// The value of an `allow` header: `GET, HEAD, POST`.
    pub fn allow(&self) -> &str {
        &self.allow
    }
}

/// Whether `method` may be configured: upper-case letters and hyphens, as every registered
/// method is written, and at most 16 of them.
pub fn is_configurable(method: &str) -> bool {
    let starts_well = method
        .as_bytes()
        .first()
        .is_some_and(u8::is_ascii_uppercase);
    let is_spelt_well = method
        .bytes()
        .all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    starts_well && is_spelt_well && method.len() <= 16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_comes_with_get_once() {
        assert_eq!(Methods::new(["GET", "POST"]).allow(), "GET, HEAD, POST");
        assert_eq!(Methods::new(["HEAD", "GET"]).allow(), "HEAD, GET");
        assert_eq!(Methods::new(["POST"]).allow(), "POST");
    }

    #[test]
    fn a_method_is_compared_whole_and_by_case() {
        let methods = Methods::new(["GET", "POST"]);
        for method in ["GET", "HEAD", "POST"] {
            assert!(methods.contains(method.as_bytes()), "{method}");
        }
        for method in ["", "get", "GE", "GETS", "GET, HEAD", ",", " ", "OPTIONS"] {
            assert!(!methods.contains(method.as_bytes()), "{method}");
        }
    }
}
