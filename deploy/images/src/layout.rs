//! An image as files: the OCI image layout, which skopeo, podman and buildah read.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;

use crate::blob::Blob;
use crate::image::Image;

/// Writes the image into a folder that is made.
///
/// # Errors
/// When that cannot be written.
pub(crate) fn write(folder: &Path, image: &Image) -> anyhow::Result<()> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("making {}", blobs.display()))?;
    let parts = image.parts.iter().map(|(_, manifest)| manifest);
    for blob in image.blobs.iter().chain(parts).chain([&image.root]) {
        put(&blobs.join(hex(blob)), &blob.content)?;
    }
    let index = json!({"schemaVersion": 2, "manifests": [image.root.descriptor()]});
    put(&folder.join("index.json"), index.to_string().as_bytes())?;
    put(
        &folder.join("oci-layout"),
        br#"{"imageLayoutVersion":"1.0.0"}"#,
    )
}

fn hex(blob: &Blob) -> &str {
    blob.digest().trim_start_matches("sha256:")
}

fn put(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))
}
