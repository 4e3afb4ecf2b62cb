//! Content, and what names it.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A piece of content with its media type and its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob {
    pub(crate) media_type: &'static str,
    pub(crate) content: Vec<u8>,
    digest: String,
}

impl Blob {
    pub(crate) fn new(media_type: &'static str, content: Vec<u8>) -> Self {
        let digest = digest_of(&content);
        Self {
            media_type,
            content,
            digest,
        }
    }

    /// A document. Its keys are sorted, so that equal values are equal bytes.
    pub(crate) fn of(media_type: &'static str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }

    /// `sha256:` and the sum in hexadecimal.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// How a manifest names it: an OCI descriptor.
    pub(crate) fn descriptor(&self) -> Value {
        json!({"mediaType": self.media_type, "digest": self.digest, "size": self.content.len()})
    }
}

/// `sha256:` and the sum in hexadecimal.
pub(crate) fn digest_of(content: &[u8]) -> String {
    let sum = Sha256::digest(content);
    let hex: String = sum.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}
