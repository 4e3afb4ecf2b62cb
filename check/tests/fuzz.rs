//! No input panics or hangs: bytes, and resources with anything in the place of anything.
//!
//! `PROPTEST_CASES=1000000 cargo test --release -p faultline-check --test fuzz` looks longer.
#![cfg(test)]

use std::io::sink;

use clap::ValueEnum;
use faultline_check::check::{Options, check_texts};
use faultline_check::finding::Level;
use faultline_check::output::{Detail, Format, Shown, Style, write};
use faultline_check::rules::RULES;
use faultline_check::yaml::Limits;
use proptest::prelude::*;

fn check(text: &str) {
    let options = Options {
        limits: Limits {
            nodes: 100_000,
            ..Limits::default()
        },
        ..Options::default()
    };
    let report = check_texts([("fuzz.yaml", text)], &options);
    let shown = Shown {
        least: Level::Info,
        style: Style::Coloured,
        detail: Detail::Full,
    };
    for format in Format::value_variants() {
        write(&report, *format, shown, &mut sink()).unwrap();
    }
}

/// What may stand where something else was expected.
const VALUES: [&str; 40] = [
    "",
    "null",
    "~",
    "0",
    "-1",
    "1",
    "4294967296",
    "99999999999999999999",
    "1.5",
    "1e400",
    ".inf",
    "true",
    "'*'",
    "'**'",
    "'{*}'",
    "\"\"",
    "[]",
    "{}",
    "[[]]",
    "[{}]",
    "{a: b}",
    "&a",
    "*a",
    "&a [*a]",
    "!!str 1",
    "5",
    "1s",
    "-1s",
    "9999999999h",
    "0.0000000001ms",
    "|",
    ">",
    "'('",
    "'(?P<'",
    "/",
    "é",
    "'\\u0000'",
    "\"\\u0000\\r\"",
    "{{ .Values.x }}",
    "---",
];

/// A change to a text of resources: at a line, of a kind, with a value.
type Change = (prop::sample::Index, u8, prop::sample::Index);

fn changed(text: &str, changes: &[Change]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (position, kind, value) in changes {
        if lines.is_empty() {
            break;
        }
        let at = position.index(lines.len());
        let value = VALUES[value.index(VALUES.len())];
        let line = lines[at].clone();
        match kind % 8 {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, line),
            2 => lines[at] = line.split(':').next().unwrap().to_owned() + ": " + value,
            3 => lines[at] = format!("  {line}"),
            4 => lines[at] = line.strip_prefix("  ").unwrap_or(&line).to_owned(),
            5 => lines[at] = format!("{line}{value}"),
            6 => lines.swap(at, value.len() % at.max(1)),
            _ => lines[at] = line.split('-').next().unwrap().to_owned() + "- " + value,
        }
    }
    lines.join("\n")
}

fn examples() -> impl Strategy<Value = String> {
    let example = |index: prop::sample::Index| {
        let rule = &RULES[index.index(RULES.len())];
        format!("{}---\n{}", rule.wrong, rule.right)
    };
    any::<prop::sample::Index>().prop_map(example)
}

proptest! {
    #[test]
    fn bytes(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        check(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn text_of_yaml_s_own_characters(text in "[-:{}\\[\\]&*!|>'\"%@`#,? a1\n]{0,200}") {
        check(&text);
    }

    #[test]
    fn resources_with_anything_in_them(
        one in examples(),
        other in examples(),
        changes in proptest::collection::vec(any::<Change>(), 1..6),
    ) {
        check(&changed(&format!("{one}---\n{other}"), &changes));
    }
}

#[test]
fn a_small_file_stays_a_small_tree() {
    let bomb: String = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, level| {
        format!("{text}a{0}: &a{0} [*a{level}, *a{level}]\n", level + 1)
    });
    for text in [
        bomb,
        "[".repeat(100_000),
        "{a: ".repeat(100_000),
        "- ".repeat(100_000),
        "a:\n"
            .repeat(2)
            .replace('\n', &format!("\n{}", " ".repeat(50_000))),
        "&a [*a]".to_owned(),
        "? ".repeat(10_000),
        "---\n".repeat(100_000),
        "<<: *a\n".repeat(1_000),
        "\u{feff}---\r\na: 1\r\n".to_owned(),
        "!".repeat(10_000),
        "'".repeat(10_001),
        "%YAML 1.2\n".repeat(1_000),
    ] {
        check(&text);
    }
}
