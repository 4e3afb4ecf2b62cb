//! What the arguments name, as texts.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::check::{Problem, Source};
use crate::model::Place;

/// A file larger than this is not read: manifests are written by people and by templates, not by cameras.
const LARGEST: u64 = 256 << 20;

/// The name under which standard input is reported.
pub const STDIN: &str = "<stdin>";

/// Reads files, every `.yaml`, `.yml` and `.json` below directories, and standard input for `-`.
///
/// Below a directory, a file without the word `apiVersion` is somebody else's.
/// A file that cannot be read is an empty source with a problem.
#[must_use]
pub fn collect(arguments: &[PathBuf], excluded: &[PathBuf]) -> (Vec<Source>, Vec<Problem>) {
    let mut collected = Collected::default();
    for argument in arguments {
        if argument.as_os_str() == "-" {
            collected.stdin();
        } else if argument.is_dir() {
            collected.directory(argument, excluded);
        } else {
            collected.file(argument);
        }
    }
    (collected.sources, collected.problems)
}

#[derive(Default)]
struct Collected {
    sources: Vec<Source>,
    problems: Vec<Problem>,
}

impl Collected {
    fn stdin(&mut self) {
        let mut bytes = Vec::new();
        let read = io::stdin().lock().take(LARGEST).read_to_end(&mut bytes);
        self.add(STDIN.to_owned(), read.map(|_| bytes));
    }

    fn file(&mut self, path: &Path) {
        let read = fs::metadata(path).and_then(|it| {
            if it.len() > LARGEST {
                return Err(io::Error::other("larger than 256 MiB"));
            }
            fs::read(path)
        });
        self.add(shown(path), read);
    }

    /// Hidden entries are left out; so are links to directories, which may lead in a circle.
    fn directory(&mut self, path: &Path, excluded: &[PathBuf]) {
        let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.add(shown(path), Err(error)),
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, name) = (entry.path(), entry.file_name());
            let hidden = name.as_encoded_bytes().starts_with(b".");
            if hidden
                || excluded
                    .iter()
                    .any(|it| path.ends_with(it) || path.starts_with(it))
            {
                continue;
            }
            if entry.file_type().is_ok_and(|it| it.is_dir()) {
                self.directory(&path, excluded);
            } else if path.is_file() && is_manifest(&path) {
                self.file(&path);
                self.sources
                    .pop_if(|it| !it.text.is_empty() && !it.text.contains("apiVersion"));
            }
        }
    }

    fn add(&mut self, name: String, read: io::Result<Vec<u8>>) {
        let file = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let mut place = Place {
            file,
            ..Place::default()
        };
        let text = match read.map(String::from_utf8) {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                let good = error.utf8_error().valid_up_to();
                let lines = error
                    .as_bytes()
                    .iter()
                    .take(good)
                    .filter(|it| **it == b'\n');
                place.span.line = u32::try_from(lines.count() + 1).unwrap_or(u32::MAX);
                let reason = "not UTF-8".to_owned();
                self.problems.push(Problem { place, reason });
                String::new()
            }
            Err(error) => {
                let reason = error.to_string();
                self.problems.push(Problem { place, reason });
                String::new()
            }
        };
        self.sources.push(Source { name, text });
    }
}

fn is_manifest(path: &Path) -> bool {
    let extension = path.extension().and_then(|it| it.to_str());
    extension.is_some_and(|it| matches!(it, "yaml" | "yml" | "json"))
}

fn shown(path: &Path) -> String {
    let path = path.strip_prefix("./").unwrap_or(path);
    path.to_string_lossy().into_owned()
}
