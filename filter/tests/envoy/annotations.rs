//! What the filter writes into responses, read with parsers of those formats.

use crate::client::Response;
use sfv::{BareItem, Item, List, ListEntry, Parser};

/// Faultline's member of `proxy-status`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ProxyStatus {
    pub(crate) error: Option<String>,
    pub(crate) received: Option<i64>,
    pub(crate) details: String,
}

/// The last member of the whole list, which is this proxy's: RFC 9209 appends.
pub(crate) fn proxy_status(response: &Response) -> ProxyStatus {
    let text = response.all("proxy-status").join(", ");
    let list: List = Parser::new(&text)
        .parse()
        .unwrap_or_else(|e| panic!("{text}: {e}"));
    let Some(ListEntry::Item(item)) = list.last() else {
        panic!("no member in {text:?}");
    };
    assert_eq!(
        token(&item.bare_item).as_deref(),
        Some("faultline"),
        "{text}"
    );
    member(item)
}

fn member(item: &Item) -> ProxyStatus {
    let details = item.params.get("details").and_then(BareItem::as_string);
    let received = item
        .params
        .get("received-status")
        .and_then(BareItem::as_integer);
    ProxyStatus {
        error: item.params.get("error").and_then(token),
        received: received.map(i64::from),
        details: details.expect("details").as_str().to_owned(),
    }
}

fn token(item: &BareItem) -> Option<String> {
    item.as_token().map(|token| token.as_str().to_owned())
}

/// One metric of `server-timing`.
#[derive(Debug, PartialEq)]
pub(crate) struct Timing {
    pub(crate) name: String,
    pub(crate) duration: Option<f64>,
    pub(crate) description: Option<String>,
}

/// Every metric of `server-timing`, in order. The names and values used here hold no separator,
/// so splitting at separators reads the grammar right.
pub(crate) fn server_timing(response: &Response) -> Vec<Timing> {
    let text = response.all("server-timing").join(", ");
    let metric = |metric: &str| {
        let mut parts = metric.split(';').map(str::trim);
        let mut timing = Timing {
            name: parts.next().unwrap().to_owned(),
            duration: None,
            description: None,
        };
        for part in parts {
            match part.split_once('=') {
                Some(("dur", number)) => timing.duration = Some(number.parse().unwrap()),
                Some(("desc", text)) => {
                    timing.description = Some(text.trim_matches('"').to_owned())
                }
                _ => panic!("{part} in {text}"),
            }
        }
        timing
    };
    text.split(',').map(|one| metric(one.trim())).collect()
}
