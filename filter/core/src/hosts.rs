//! The hosts that the filter guards.

use alloc::{string::String, vec::Vec};

/// The most hosts a configuration may name.
pub const MAX_HOSTS: usize = 256;

/// The longest host name, in bytes: that of DNS.
const MAX_NAME: usize = 253;

/// The hosts of a configuration; empty for every host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hosts(Vec<Host>);

/// A host in lower case: a name, or, with a dot before it, every name that ends so.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Host(String);

impl Hosts {
    /// Adds a host as configured: a name, or `*.` and a suffix.
    ///
    /// # Errors
    /// The reason why it cannot be one.
    pub fn add(&mut self, text: &str) -> Result<(), &'static str> {
        let name = text.strip_prefix("*.").unwrap_or(text);
        if name.is_empty() || name.len() > MAX_NAME || !is_name(name.as_bytes()) {
            return Err("must be a host name without a port, or \"*.\" and a host name");
        }
        // "*." leaves the dot before the suffix: at least one label must come before it.
        let host = Host(text.strip_prefix('*').unwrap_or(text).to_ascii_lowercase());
        if self.0.contains(&host) {
            return Err("is there twice");
        }
        self.0.push(host);
        Ok(())
    }

    /// Whether every host is guarded, so that none has to be read.
    pub fn is_all(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether requests to an authority (an `:authority` value, port and all) are guarded. A request
    /// that names none is. It is asked for only if it matters.
    pub fn contains_by<'h>(&self, authority: impl FnOnce() -> Option<&'h [u8]>) -> bool {
        if self.is_all() {
            return true;
        }
        let Some(authority) = authority() else {
            return true;
        };
        let name = without_port(authority);
        let name = name.strip_suffix(b".").unwrap_or(name);
        self.0.iter().any(|host| host.takes(name))
    }
}

impl Host {
    fn takes(&self, name: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let compared = match own.first() {
            Some(b'.') => name
                .len()
                .checked_sub(own.len())
                .filter(|label| *label > 0)
                .and_then(|start| name.get(start..)),
            _ => Some(name),
        };
        compared.is_some_and(|name| name.eq_ignore_ascii_case(own))
    }
}

/// Letters, digits, hyphens and underscores in labels between dots, or an IPv6 address in brackets.
fn is_name(name: &[u8]) -> bool {
    let in_brackets = name
        .strip_prefix(b"[")
        .and_then(|rest| rest.strip_suffix(b"]"));
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    match in_brackets {
        Some(address) => {
            let is_digit = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.');
            !address.is_empty() && address.iter().all(is_digit)
        }
        None => name
            .split(|byte| *byte == b'.')
            .all(|label| !label.is_empty() && label.iter().all(is_plain)),
    }
}

/// An authority without its last `:` and whatever follows, unless that is within the brackets of an IPv6 address.
///
/// No less is taken for a port than Envoy takes, which finds the virtual host of `shop.test:x` under `shop.test`: the
/// guard must not read another host there.
fn without_port(authority: &[u8]) -> &[u8] {
    let ends = |byte: &u8| matches!(byte, b':' | b']');
    let last = authority.iter().rposition(ends);
    match last.and_then(|at| authority.split_at_checked(at)) {
        Some((name, [b':', ..])) => name,
        _ => authority,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(names: &[&str]) -> Hosts {
        let mut hosts = Hosts::default();
        for name in names {
            hosts.add(name).unwrap();
        }
        hosts
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_last_dot() {
        let hosts = hosts(&[
            "shop.example.com",
            "*.Shop.Example.com",
            "[::1]",
            "10.0.0.1",
        ]);
        for authority in [
            "shop.example.com",
            "SHOP.example.COM",
            "shop.example.com:8080",
            "shop.example.com:",
            "shop.example.com.",
            "shop.example.com.:80",
            "a.shop.example.com",
            "a.b.shop.example.com:80",
            "[::1]",
            "[::1]:80",
            "10.0.0.1:80",
            "shop.example.com:80x",
            "shop.example.com.:x",
            "[::1]:x",
        ] {
            assert!(
                hosts.contains_by(|| Some(authority.as_bytes())),
                "{authority}"
            );
        }
        for authority in [
            "",
            ":80",
            "example.com",
            ".shop.example.com",
            "ashop.example.com",
            "shop.example.com.evil",
            "shop.example.com:80:80",
            "shop.example.com..",
            "[::1",
            "[::2]:80",
            "\u{e9}",
        ] {
            assert!(
                !hosts.contains_by(|| Some(authority.as_bytes())),
                "{authority}"
            );
        }
        assert!(
            hosts.contains_by(|| None),
            "a request without a host is guarded"
        );
    }

    #[test]
    fn without_hosts_every_host_is_guarded() {
        let all = Hosts::default();
        assert!(all.is_all() && all.contains_by(|| panic!("read")));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let long = "a.".repeat(126);
        for name in [
            "",
            "*",
            "*.",
            "*a.b",
            "a.*",
            "a:80",
            "a..b",
            ".a",
            "a.",
            "a/b",
            "a b",
            "[",
            "[]",
            "[::1]:80",
            "é",
            &(long.clone() + "bc"),
        ] {
            assert!(Hosts::default().add(name).is_err(), "{name}");
        }
        assert!(Hosts::default().add(&(long + "b")).is_ok());
        let mut twice = hosts(&["a.b"]);
        assert_eq!(twice.add("A.b"), Err("is there twice"));
    }
}
