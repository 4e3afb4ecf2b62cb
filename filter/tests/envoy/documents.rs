//! The PromQL in the repository's documents.

use std::{fs, path::Path};

/// A document, by its path in the repository.
pub(crate) struct Document {
    pub(crate) name: String,
    text: String,
}

impl Document {
    /// Its expressions about the filter: of every code block marked `promql`, at blank lines apart.
    /// (Those of the services are tested with what custom-app exports: its `tests/queries.rs`.)
    pub(crate) fn expressions(&self) -> impl Iterator<Item = &str> {
        let blocks = self.text.split(START).skip(1);
        let text = blocks.map(|rest| rest.split_once("```").expect("the block's end").0);
        let all = text.flat_map(|block| block.split("\n\n").map(str::trim));
        all.filter(|expression| {
            if self.name == SERVICES {
                return false;
            }
            let of_custom_app = expression.contains("custom_app_outbox_entries");
            assert!(
                of_custom_app != expression.contains("faultline_"),
                "{expression}: tested nowhere"
            );
            !of_custom_app
        })
    }
}

/// Where every expression is about the services.
const SERVICES: &str = "docs/operations.md";

const START: &str = "```promql\n";

/// Every document that has an expression, so that a new one is not forgotten.
pub(crate) fn documents() -> Vec<Document> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let mut found = Vec::new();
    search(root, root, &mut found);
    found.sort_by(|one, other| one.name.cmp(&other.name));
    found
}

fn search(root: &Path, folder: &Path, found: &mut Vec<Document>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // Build output, fetched packages and hidden folders hold no document of ours.
        if name.starts_with('.') || name == "target" || name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            search(root, &path, found);
        } else if name.ends_with(".md") {
            let text = fs::read_to_string(&path).unwrap();
            if text.contains(START) {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.push(Document { name, text });
            }
        }
    }
}
