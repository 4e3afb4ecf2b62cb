//! Images and artifacts, as the OCI image specification has them: blobs, and manifests that name them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::blob::Blob;
use crate::layer::Layer;
use crate::wanted::{Architecture, Content, Program, Wanted};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// An image, complete, for one architecture or several.
#[derive(Debug)]
pub(crate) struct Image {
    pub(crate) blobs: Vec<Blob>,
    /// For each architecture its manifest; empty where the root is the only one.
    pub(crate) parts: Vec<(Architecture, Blob)>,
    /// The index or the only manifest.
    pub(crate) root: Blob,
}

impl Image {
    /// Reads the files and makes the image.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(crate) fn make(wanted: &Wanted) -> anyhow::Result<Self> {
        match &wanted.content {
            Content::Program(program, files) => of_program(*program, files),
            Content::Module(file) => of_module(&read(file)?),
            Content::Artifact(file) => Ok(of_artifact(read(file)?)),
        }
    }

    /// What pins it.
    pub(crate) fn digest(&self) -> &str {
        self.root.digest()
    }
}

fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// The static program and nothing else, for a user without a name or rights.
fn of_program(
    program: Program,
    files: &[(Architecture, std::path::PathBuf)],
) -> anyhow::Result<Image> {
    let mut blobs = Vec::new();
    let mut parts = Vec::new();
    let mut named = Vec::new();
    for (architecture, file) in files {
        let layer = Layer::of_file(program.file(), 0o555, &read(file)?)?;
        let config = Blob::of(
            CONFIG,
            &json!({
                "architecture": architecture.as_str(),
                "os": "linux",
                "config": program.config(),
                "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
            }),
        );
        let manifest = manifest(&config, &[&layer.blob]);
        let mut descriptor = manifest.descriptor();
        if let Some(fields) = descriptor.as_object_mut() {
            let platform = json!({"architecture": architecture.as_str(), "os": "linux"});
            fields.insert("platform".to_owned(), platform);
        }
        named.push(descriptor);
        blobs.extend([layer.blob, config]);
        parts.push((*architecture, manifest));
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": named});
    Ok(Image {
        blobs,
        parts,
        root: Blob::of(INDEX, &index),
    })
}

/// As Istio takes it from an image: the last layer holds /plugin.wasm. It is the same on every architecture, so there
/// is no index.
fn of_module(module: &[u8]) -> anyhow::Result<Image> {
    let layer = Layer::of_file("plugin.wasm", 0o644, module)?;
    let config = Blob::of(
        CONFIG,
        &json!({
            "architecture": "wasm",
            "os": "wasip1",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        }),
    );
    Ok(Image {
        root: manifest(&config, &[&layer.blob]),
        parts: Vec::new(),
        blobs: vec![layer.blob, config],
    })
}

/// As Istio takes it from an artifact: two layers, of which one has the module's media type. The other says for which
/// host the module is (the WASM artifact image specification); the manifest's own config is the same blob.
fn of_artifact(module: Vec<u8>) -> Image {
    let runtime =
        json!({"type": "envoy_proxy", "abiVersions": ["0.2.1"], "config": {"root_ids": []}});
    let runtime = Blob::of("application/vnd.module.wasm.config.v1+json", &runtime);
    let module = Blob::new("application/vnd.module.wasm.content.layer.v1+wasm", module);
    Image {
        root: manifest(&runtime, &[&runtime, &module]),
        parts: Vec::new(),
        blobs: vec![runtime, module],
    }
}

fn manifest(config: &Blob, layers: &[&Blob]) -> Blob {
    let layers: Vec<Value> = layers.iter().map(|layer| layer.descriptor()).collect();
    Blob::of(
        MANIFEST,
        &json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.descriptor(),
            "layers": layers,
        }),
    )
}

impl Program {
    /// At the root of its file system.
    fn file(self) -> &'static str {
        match self {
            Self::CustomApp => "custom-app",
            Self::LogAgent => "log-agent",
            Self::E2e => "faultline-e2e",
        }
    }

    /// How a container runs it.
    fn config(self) -> Value {
        let mut config = json!({
            "User": "65532:65532",
            "Entrypoint": [format!("/{}", self.file())],
        });
        let more = match self {
            Self::CustomApp | Self::LogAgent => ("ExposedPorts", json!({"8080/tcp": {}})),
            Self::E2e => ("Cmd", json!(["idle"])),
        };
        if let Some(fields) = config.as_object_mut() {
            fields.insert(more.0.to_owned(), more.1);
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> Image {
        Image::make(&text.parse().unwrap()).unwrap()
    }

    fn json(blob: &Blob) -> Value {
        serde_json::from_slice(&blob.content).unwrap()
    }

    /// The blob that a descriptor names.
    fn named<'a>(image: &'a Image, descriptor: &Value) -> &'a Blob {
        let all = image
            .blobs
            .iter()
            .chain(image.parts.iter().map(|(_, manifest)| manifest));
        let blob = all
            .into_iter()
            .find(|blob| blob.digest() == descriptor["digest"])
            .unwrap();
        assert_eq!(descriptor["size"], blob.content.len());
        assert_eq!(descriptor["mediaType"], blob.media_type);
        blob
    }

    #[test]
    fn one_index_names_an_image_for_each_architecture() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| {
            let path = folder.path().join(name);
            fs::write(&path, name).unwrap();
            path.display().to_string()
        };
        let image = image(&format!(
            "custom-app=arm64:{},amd64:{}",
            file("b"),
            file("a")
        ));
        let index = json(&image.root);
        assert_eq!(index["mediaType"], INDEX);
        let manifests = index["manifests"].as_array().unwrap();
        assert_eq!(manifests.len(), 2);
        for (descriptor, architecture) in manifests.iter().zip(["amd64", "arm64"]) {
            let platform = json!({"architecture": architecture, "os": "linux"});
            assert_eq!(descriptor["platform"], platform);
            let manifest = json(named(&image, descriptor));
            let config = json(named(&image, &manifest["config"]));
            assert_eq!(config["architecture"], architecture);
            assert_eq!(
                config["config"],
                json!({"User": "65532:65532", "Entrypoint": ["/custom-app"], "ExposedPorts": {"8080/tcp": {}}})
            );
            assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
            named(&image, &manifest["layers"][0]);
        }
    }

    /// The module's image in this form.
    fn image_of_module(form: &str) -> Image {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("m");
        fs::write(&file, MODULE).unwrap();
        image(&format!("filter={form}:{}", file.display()))
    }

    const MODULE: &[u8] = b"\0asm and so on";

    /// Istio's agent looks into the last layer of an image, which must be of this type.
    #[test]
    fn an_image_of_the_module_has_the_form_that_istio_takes() {
        let image = image_of_module("module");
        let manifest = json(&image.root);
        assert_eq!(manifest["mediaType"], MANIFEST);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 1);
        assert_eq!(
            layers[0]["mediaType"],
            "application/vnd.oci.image.layer.v1.tar+gzip"
        );
        let layer = named(&image, &layers[0]);
        let archive = flate2::read::GzDecoder::new(layer.content.as_slice());
        let mut archive = tar::Archive::new(archive);
        let entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path().unwrap().to_str(), Some("plugin.wasm"));
    }

    /// What Istio's agent asks of an artifact: exactly two layers, one of the module's media type.
    #[test]
    fn an_artifact_has_the_form_that_istio_takes() {
        let image = image_of_module("artifact");
        let manifest = json(&image.root);
        let layers = manifest["layers"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        let module = layers
            .iter()
            .find(|layer| layer["mediaType"] == "application/vnd.module.wasm.content.layer.v1+wasm")
            .unwrap();
        assert_eq!(named(&image, module).content, MODULE);
        let config = named(&image, &manifest["config"]);
        assert_eq!(json(config)["type"], "envoy_proxy");
    }
}
