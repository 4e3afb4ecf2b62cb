//! The parts of `filter/README.md` that are made from other files.
//!
//! `UPDATE=1 cargo test -p faultline-filter --test documentation` writes them anew.

use crate::reference;
use std::{env, fs, path::Path};

/// The lines between the markers `<!-- NAME -->` and `<!-- end of NAME -->`, replaced.
fn replaced(readme: &str, name: &str, content: &str) -> String {
    let (start, end) = (
        format!("<!-- {name} -->\n"),
        format!("<!-- end of {name} -->\n"),
    );
    let (before, rest) = readme.split_once(&start).expect(&start);
    let (_, after) = rest.split_once(&end).expect(&end);
    format!("{before}{start}{content}{end}{after}")
}

#[test]
fn the_made_parts_are_as_their_sources() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = fs::read_to_string(path).unwrap();
    let plugin = include_str!("../../examples/wasmplugin.yaml");
    let mut expected = replaced(
        &readme,
        "examples/wasmplugin.yaml",
        &format!("```yaml\n{plugin}```\n"),
    );
    let schema = serde_json::from_str(include_str!("../../schema.json")).unwrap();
    expected = replaced(&expected, "schema.json", &reference::markdown(&schema));
    if readme == expected {
        return;
    }
    if env::var_os("UPDATE").is_some() {
        fs::write(path, expected).unwrap();
        return;
    }
    let difference = readme
        .lines()
        .zip(expected.lines())
        .find(|(is, should)| is != should);
    panic!(
        "filter/README.md is not as its sources: {difference:#?}\n\
         UPDATE=1 cargo test -p faultline-filter --test documentation"
    );
}
