//! YAML and JSON as a tree whose every value knows its place.

mod node;
mod parse;
mod split;

pub use node::{Entry, Node, Span, Value};
pub use parse::{Limits, Refused};

/// One document of a file: its tree, or the reason why there is none.
pub type Document = Result<Node, Refused>;

/// Reads every document of a file. One that cannot be read leaves the others alone.
///
/// Documents without content, such as a lone comment, are left out.
#[must_use]
pub fn read(text: &str, limits: Limits) -> Vec<Document> {
    split::chunks(text)
        .filter_map(|chunk| parse::document(&chunk, limits).transpose())
        .collect()
}
