//! A layer of one file. Nothing of the machine that makes it is in it: no time, no owner, no tool's choice.

use std::io::Write as _;

use anyhow::Context as _;
use flate2::{Compression, GzBuilder};

use crate::blob::{Blob, digest_of};

/// What Istio's agent, too, takes for a layer of an image.
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A layer, and the digest of what it unpacks to.
pub(crate) struct Layer {
    pub(crate) blob: Blob,
    pub(crate) diff_id: String,
}

impl Layer {
    /// With one file at the root of the file system, owned by root.
    pub(crate) fn of_file(name: &str, mode: u32, content: &[u8]) -> anyhow::Result<Self> {
        let tar = archive(name, mode, content).context("making a layer")?;
        let mut gzip = GzBuilder::new()
            .mtime(0)
            .write(Vec::new(), Compression::default());
        gzip.write_all(&tar).context("compressing a layer")?;
        let compressed = gzip.finish().context("compressing a layer")?;
        Ok(Self {
            diff_id: digest_of(&tar),
            blob: Blob::new(LAYER, compressed),
        })
    }
}

fn archive(name: &str, mode: u32, content: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len()).map_err(std::io::Error::other)?);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    let mut archive = tar::Builder::new(Vec::new());
    archive.append_data(&mut header, name, content)?;
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn a_layer_holds_the_file_and_nothing_of_this_machine() {
        let layer = Layer::of_file("log-agent", 0o555, b"a program").unwrap();
        let mut tar = Vec::new();
        GzDecoder::new(layer.blob.content.as_slice())
            .read_to_end(&mut tar)
            .unwrap();
        assert_eq!(digest_of(&tar), layer.diff_id);
        let mut archive = tar::Archive::new(tar.as_slice());
        let mut entries = archive.entries().unwrap();
        let mut entry = entries.next().unwrap().unwrap();
        let header = entry.header().clone();
        assert_eq!(entry.path().unwrap().to_str(), Some("log-agent"));
        assert_eq!(header.mode().unwrap(), 0o555);
        assert_eq!(
            (
                header.mtime().unwrap(),
                header.uid().unwrap(),
                header.gid().unwrap()
            ),
            (0, 0, 0)
        );
        let mut content = String::new();
        entry.read_to_string(&mut content).unwrap();
        assert_eq!(content, "a program");
        drop(entry);
        assert!(entries.next().is_none());
    }

    /// A change of the compressor would change every digest of a release that is made again: it is to be noticed.
    #[test]
    fn the_bytes_are_these() {
        let layer = Layer::of_file("f", 0o555, &[b'x'; 10_000]).unwrap();
        assert_eq!(
            layer.blob.digest(),
            "sha256:6f952430646cff06e88cb977517f56a17267a10830956cf9591e04b2c4baccdb"
        );
    }
}
