//! Every link of the documentation leads somewhere: to a file of the repository, and to a heading of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

/// The headings and links of a page.
#[derive(Debug, Default)]
struct Page {
    anchors: BTreeSet<String>,
    links: Vec<String>,
}

fn page(markdown: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for event in Parser::new_ext(markdown, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = slug(&heading.take().unwrap_or_default());
                let before = times.entry(anchor.clone()).or_default();
                page.anchors.insert(match *before {
                    0 => anchor,
                    times => format!("{anchor}-{times}"),
                });
                *before += 1;
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.to_string());
            }
            _ => {}
        }
    }
    page
}

/// The anchor that GitHub gives a heading.
fn slug(heading: &str) -> String {
    let kept = heading
        .chars()
        .filter(|it| it.is_alphanumeric() || matches!(it, ' ' | '-' | '_'));
    kept.map(|it| if it == ' ' { '-' } else { it })
        .collect::<String>()
        .to_lowercase()
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Links of a page that lead nowhere; `files` are those of the repository, `pages` the Markdown among them.
fn broken(name: &Path, files: &BTreeSet<PathBuf>, pages: &BTreeMap<PathBuf, Page>) -> Vec<String> {
    let here = name.parent().unwrap_or(Path::new(""));
    let is_there = |path: &Path| {
        path.as_os_str().is_empty() || files.iter().any(|file| file.starts_with(path))
    };
    let is_broken = |link: &&String| {
        if link.contains("://") || link.starts_with("mailto:") {
            return false;
        }
        let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
        let target = match path {
            "" => name.to_path_buf(),
            path => plain(&here.join(path)),
        };
        let has_anchor = |page: &Page| anchor.is_empty() || page.anchors.contains(anchor);
        match pages.get(&target) {
            Some(page) => !has_anchor(page),
            None => !is_there(&target),
        }
    };
    let page = pages.get(name).into_iter();
    page.flat_map(|page| page.links.iter().filter(is_broken))
        .map(|link| format!("{}: {link}", name.display()))
        .collect()
}

/// Files that git knows, and those that are new and not ignored.
fn files(root: &Path) -> BTreeSet<PathBuf> {
    let list = [
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ];
    let listed = Command::new("git").args(list).current_dir(root).output();
    let listed = String::from_utf8(listed.unwrap().stdout).unwrap();
    let listed = listed.split('\0').filter(|name| !name.is_empty());
    listed
        .map(PathBuf::from)
        .filter(|file| root.join(file).exists())
        .collect()
}

#[test]
fn every_link_leads_somewhere() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let files = files(root);
    let read = |file: &PathBuf| {
        let text = std::fs::read_to_string(root.join(file)).unwrap();
        (file.clone(), page(&text))
    };
    let markdown = |file: &&PathBuf| file.extension().is_some_and(|it| it == "md");
    let pages: BTreeMap<_, _> = files.iter().filter(markdown).map(read).collect();
    assert!(pages.len() > 10, "{}", pages.len());
    let links: usize = pages.values().map(|page| page.links.len()).sum();
    assert!(links > 100, "{links}");
    let broken: Vec<_> = pages
        .keys()
        .flat_map(|name| broken(name, &files, &pages))
        .collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_link_to_a_file_or_heading_that_is_not_there_is_found() {
    let files: BTreeSet<PathBuf> = ["README.md", "docs/a.md", "docs/b/c.rs"]
        .map(PathBuf::from)
        .into();
    let text = "# The `one` head, and more\n## Twice\n## Twice\n\
                [1](#the-one-head-and-more) [2](#twice-1) [3](#twice-2) [4](b/c.rs) [5](b) [6](b/d.rs) \
                [7](../README.md) [8](../README.md#x) [9](https://example.com/nothing) ![10](no.png)";
    let pages = BTreeMap::from([
        (PathBuf::from("docs/a.md"), page(text)),
        (PathBuf::from("README.md"), page("# y")),
    ]);
    let found = broken(Path::new("docs/a.md"), &files, &pages);
    let expected = ["#twice-2", "b/d.rs", "../README.md#x", "no.png"];
    assert_eq!(found, expected.map(|link| format!("docs/a.md: {link}")));
}
