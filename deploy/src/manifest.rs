//! Rendered resources as data.

use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// One Kubernetes resource.
#[derive(Debug, Clone)]
pub(crate) struct Manifest(Value);

impl Manifest {
    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Empty for what belongs to no namespace.
    pub(crate) fn namespace(&self) -> &str {
        self.get("/metadata/namespace").as_str().unwrap_or_default()
    }

    /// The value at a JSON pointer; null if there is none.
    pub(crate) fn get(&self, pointer: &str) -> &Value {
        self.0.pointer(pointer).unwrap_or(&Value::Null)
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.get(pointer)
            .as_str()
            .unwrap_or_else(|| panic!("no text at {pointer} in {:#}", self.0))
    }

    /// The part at a JSON pointer, as a type.
    pub(crate) fn read<T: DeserializeOwned>(&self, pointer: &str) -> T {
        serde_json::from_value(self.get(pointer).clone())
            .unwrap_or_else(|error| panic!("{pointer} of {}: {error}", self.name()))
    }
}

/// Several resources.
#[derive(Debug)]
pub(crate) struct Manifests(Vec<Manifest>);

impl Manifests {
    pub(crate) fn parse(yaml: &str) -> Self {
        let values: Vec<Value> = serde_saphyr::from_multiple(yaml).expect("kustomize renders YAML");
        assert!(!values.is_empty(), "nothing was rendered");
        Self(values.into_iter().map(Manifest).collect())
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Manifest> {
        self.0.iter()
    }

    pub(crate) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Manifest> {
        self.0
            .iter()
            .filter(move |manifest| manifest.kind() == kind)
    }

    pub(crate) fn one(&self, kind: &str, name: &str) -> &Manifest {
        let mut found = self
            .of_kind(kind)
            .filter(|manifest| manifest.name() == name);
        match (found.next(), found.next()) {
            (Some(manifest), None) => manifest,
            _ => panic!("not exactly one {kind} {name}"),
        }
    }
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("a crate inside a workspace")
        .to_owned()
}

/// What bash prints, in the repository's folder.
pub(crate) fn bash(script: &str) -> String {
    let output = Command::new("bash")
        .args(["-euc", script])
        .current_dir(root())
        .output()
        .expect("bash");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// What `kubectl kustomize FOLDER` prints.
pub(crate) fn kustomize(folder: &Path) -> Manifests {
    let output = Command::new("kubectl")
        .arg("kustomize")
        .arg(folder)
        .output()
        .expect("kubectl is installed: https://kubernetes.io/docs/tasks/tools/");
    assert!(
        output.status.success(),
        "kubectl kustomize {}: {}",
        folder.display(),
        String::from_utf8_lossy(&output.stderr)
    );
    Manifests::parse(&String::from_utf8(output.stdout).expect("UTF-8"))
}

/// `istio/`, rendered once for all tests.
pub(crate) fn rendered() -> &'static Manifests {
    static RENDERED: OnceLock<Manifests> = OnceLock::new();
    RENDERED.get_or_init(|| kustomize(&root().join("istio")))
}

/// `400ms` or `1s`, in milliseconds.
pub(crate) fn millis(duration: &str) -> u64 {
    let (number, unit) = match duration.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (duration.strip_suffix('s').expect("ms or s"), 1000),
    };
    number.parse::<u64>().expect("a whole number") * unit
}
