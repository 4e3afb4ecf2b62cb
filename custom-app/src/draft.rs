//! What a caller sends, and how it becomes an entry.

use faultline_service::context::RequestId;
use faultline_service::entry::{Entry, Level, Message, Source};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::key::IdempotencyKey;

/// The body of `POST /log`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"message": "hello", "level": "warn"})))]
pub struct Draft {
    message: Message,
    /// `info` where it is left out.
    #[serde(default)]
    #[schema(required = false)]
    level: Level,
}

impl Draft {
    /// The entry it becomes.
    pub fn into_entry(self, id: Uuid, time: Timestamp, source: Source) -> Entry {
        Entry {
            id,
            time,
            level: self.level,
            message: self.message,
            source,
        }
    }
}

/// The namespace of ids that are made of requests.
const REQUESTS: Uuid = Uuid::from_u128(0x6661_756c_746c_696e_6500_0000_0000_0001);

/// The namespace of ids that are made of keys.
const KEYS: Uuid = Uuid::from_u128(0x6661_756c_746c_696e_6500_0000_0000_0002);

/// The id of the entry that a request brings: of its key alone, where it has one.
///
/// Without a key, a proxy's retries bring the same request id and the same body, wherever they
/// arrive: they are one entry. Two bodies sent under one propagated request id are two entries. A
/// request that brought no id cannot be told from another.
pub fn entry_id(key: Option<&IdempotencyKey>, request: &RequestId, body: &[u8]) -> Uuid {
    match (key, request) {
        (Some(key), _) => Uuid::new_v5(&KEYS, key.as_str().as_bytes()),
        (None, RequestId::Received(id)) => {
            Uuid::new_v5(&Uuid::new_v5(&REQUESTS, id.as_bytes()), body)
        }
        (None, RequestId::Made(_)) => Uuid::now_v7(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use proptest::prelude::*;

    fn received(id: &str) -> RequestId {
        RequestId::Received(HeaderValue::from_str(id).unwrap())
    }

    fn key(key: &str) -> IdempotencyKey {
        IdempotencyKey::try_from(&HeaderValue::from_str(key).unwrap()).unwrap()
    }

    #[test]
    fn the_id_of_a_request_never_changes() {
        // Stored in logs and outboxes: another version must make the same.
        let id = entry_id(
            None,
            &received("c6a3f1b8-7d2e-4f60-9a55-0b1c2d3e4f50"),
            br#"{"message":"hello"}"#,
        );
        assert_eq!(id.to_string(), "bb32df24-49b0-5f15-8f88-c4288cc35dad");
        let named = key("8e03978e-40d5-43dd-bc93-6894a57f9324");
        let id = entry_id(Some(&named), &received("any"), b"any");
        assert_eq!(id.to_string(), "c175b7a3-6df2-596a-9117-ce8c18266e2b");
    }

    #[test]
    fn without_a_request_id_every_request_is_another_entry() {
        let made = RequestId::Made(HeaderValue::from_static("here"));
        assert_ne!(entry_id(None, &made, b"a"), entry_id(None, &made, b"a"));
    }

    proptest! {
        #[test]
        fn same_request_and_body_same_entry_and_no_other(
            a in "[!-~]{1,40}", b in "[!-~]{1,40}", x: Vec<u8>, y: Vec<u8>,
        ) {
            let one = entry_id(None, &received(&a), &x);
            prop_assert_eq!(one, entry_id(None, &received(&a), &x));
            if (&a, &x) != (&b, &y) {
                prop_assert_ne!(one, entry_id(None, &received(&b), &y));
            }
        }

        #[test]
        fn a_key_alone_names_the_entry(
            a in "[a-z]{1,40}", b in "[a-z]{1,40}", r in "[!-~]{1,40}", x: Vec<u8>,
        ) {
            let one = entry_id(Some(&key(&a)), &received(&r), &x);
            let made = RequestId::Made(HeaderValue::from_static("here"));
            prop_assert_eq!(one, entry_id(Some(&key(&a)), &made, b"another body"));
            prop_assert_eq!(a == b, one == entry_id(Some(&key(&b)), &received(&r), &x));
            prop_assert_ne!(one, entry_id(None, &received(&a), &x));
        }
    }
}
