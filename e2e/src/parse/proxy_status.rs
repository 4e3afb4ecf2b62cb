//! The `proxy-status` field (RFC 9209), read with a structured-fields parser (RFC 9651).

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use sfv::{BareItem, List, ListEntry, Parser};

/// What one proxy on the way said of a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hop {
    /// The proxy's name.
    pub proxy: String,
    /// Parameter `error`: one of the types of RFC 9209 section 2.3.
    pub error: Option<String>,
    /// Parameter `details`, taken apart into its `key=value` words.
    pub details: BTreeMap<String, String>,
}

/// Reads a field value: the hops in order, nearest to the origin first.
///
/// # Errors
/// When it is not a structured list, or a parameter has another type than the RFC gives it.
pub fn parse(value: &str) -> Result<Vec<Hop>> {
    let list: List = Parser::new(value)
        .parse()
        .with_context(|| format!("proxy-status is not a structured list: {value:?}"))?;
    list.iter().map(hop).collect()
}

/// The hop of one proxy.
///
/// # Errors
/// As [`parse`], or when the proxy is not among them.
pub fn by(proxy: &str, value: &str) -> Result<Hop> {
    parse(value)?
        .into_iter()
        .find(|hop| hop.proxy == proxy)
        .with_context(|| format!("no {proxy:?} in proxy-status: {value:?}"))
}

fn hop(entry: &ListEntry) -> Result<Hop> {
    let ListEntry::Item(item) = entry else {
        bail!("proxy-status holds an inner list, which RFC 9209 does not know");
    };
    let mut hop = Hop {
        proxy: match &item.bare_item {
            BareItem::Token(token) => token.as_str().to_owned(),
            BareItem::String(string) => string.as_str().to_owned(),
            other => bail!("a proxy's name is a token or a string, not {other:?}"),
        },
        ..Hop::default()
    };
    for (key, value) in &item.params {
        match (key.as_str(), value) {
            ("error", BareItem::Token(error)) => hop.error = Some(error.as_str().to_owned()),
            ("details", BareItem::String(details)) => hop.details = words(details.as_str()),
            ("received-status", BareItem::Integer(_)) => {}
            ("error" | "details" | "received-status", other) => {
                bail!("proxy-status parameter {key} has the wrong type: {other:?}");
            }
            _ => {}
        }
    }
    Ok(hop)
}

fn words(details: &str) -> BTreeMap<String, String> {
    details
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read() {
        let value = r#"faultline; error=http_response_timeout; details="outcome=timeout attempts=3 flags=UT""#;
        let hop = by("faultline", value).unwrap();
        assert_eq!(hop.error.as_deref(), Some("http_response_timeout"));
        assert_eq!(hop.details["outcome"], "timeout");
        assert_eq!(hop.details["attempts"], "3");
    }

    #[test]
    fn several_hops_keep_their_order() {
        let hops =
            parse(r#""a cache"; received-status=200, faultline; received-status=200"#).unwrap();
        let names: Vec<_> = hops.iter().map(|hop| hop.proxy.as_str()).collect();
        assert_eq!(names, ["a cache", "faultline"]);
    }

    #[test]
    fn what_is_not_rfc_9209_is_refused() {
        for value in [
            "faultline; error=\"quoted\"",
            "faultline; details=token",
            "faultline; received-status=ok",
            "(a b)",
            "faultline; details=\"open",
            "faultline error=x",
            "12",
        ] {
            assert!(parse(value).is_err(), "{value}");
        }
        assert!(by("faultline", "envoy").is_err());
    }
}
