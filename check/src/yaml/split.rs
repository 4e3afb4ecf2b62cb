//! A file into its documents, so that one that cannot be read leaves the others alone.

/// The text of one document.
pub(super) struct Chunk<'a> {
    pub(super) text: &'a str,
    /// How many lines of the file come before it.
    pub(super) lines_before: u32,
}

/// Cuts before each `---` at the start of a line. YAML allows it nowhere else in the first column: the content of
/// a block is indented, and a quoted string may not hold it.
pub(super) fn chunks(text: &str) -> impl Iterator<Item = Chunk<'_>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rest = Some(text);
    let mut lines_before = 0;
    std::iter::from_fn(move || {
        let all = rest?;
        let (chunk, behind) = match next_marker(all) {
            Some(position) => all.split_at_checked(position)?,
            None => (all, ""),
        };
        rest = (!behind.is_empty()).then_some(behind);
        let found = Chunk {
            text: chunk,
            lines_before,
        };
        let lines = chunk.bytes().filter(|byte| *byte == b'\n').count();
        lines_before += u32::try_from(lines).unwrap_or(u32::MAX - lines_before);
        Some(found)
    })
}

/// Where the next document starts, the first line left out.
fn next_marker(text: &str) -> Option<usize> {
    text.match_indices("\n---").find_map(|(position, found)| {
        let behind = text.get(position + found.len()..)?;
        let ends = behind.is_empty() || behind.starts_with([' ', '\t', '\r', '\n']);
        ends.then_some(position + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::chunks;

    #[test]
    fn a_document_starts_at_its_marker() {
        let text = "a: 1\n---\nb: 2\n----\n--- # c\nc: 3\n---";
        let found: Vec<_> = chunks(text).map(|it| (it.lines_before, it.text)).collect();
        assert_eq!(
            found,
            [
                (0, "a: 1\n"),
                (1, "---\nb: 2\n----\n"),
                (4, "--- # c\nc: 3\n"),
                (6, "---")
            ]
        );
    }
}
