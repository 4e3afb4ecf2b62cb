//! The scripts on machines older than this one: bash from 4.2 and macOS's 3.2, curl of the last ten years.

use crate::{console::told, manifest::root};
use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpListener,
    process::{Command, Output},
    thread,
};

/// Every script of the repository, with its text.
fn scripts() -> Vec<(String, String)> {
    let listed = Command::new("git")
        .args(["ls-files", "*.sh", ".ci/run"])
        .current_dir(root())
        .output()
        .expect("git");
    let names = String::from_utf8(listed.stdout).expect("UTF-8");
    let scripts: Vec<_> = names
        .lines()
        .map(|name| {
            (
                name.to_owned(),
                fs::read_to_string(root().join(name)).expect("a script"),
            )
        })
        .collect();
    assert!(scripts.len() > 20, "{names}");
    scripts
}

/// The arrays that a script makes empty.
fn empty_arrays(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("=()").filter_map(|(at, _)| {
        let name = text[..at]
            .rsplit(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .next()?;
        (!name.is_empty()).then_some(name)
    })
}

/// Before 4.4, bash calls the elements of an empty array unbound: `${a[@]+"${a[@]}"}` asks first, and so does a script
/// that looks at `${#a[@]}`.
#[test]
fn an_empty_array_is_expanded_as_old_bash_can() {
    let mut found = Vec::new();
    for (name, text) in scripts() {
        let unasked = |array: &&str| !text.contains(&format!("${{#{array}[@]}}"));
        for array in empty_arrays(&text).filter(unasked) {
            for all in ["@", "*"] {
                let bare = format!("${{{array}[{all}]}}");
                let asked = format!("${{{array}[{all}]+\"{bare}\"}}");
                if text.replace(&asked, "").contains(&bare) {
                    found.push(format!("{name}: {bare}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// The parts of deploy.sh share one shell: of two functions with one name only the later would be called.
#[test]
fn no_two_parts_of_deploy_define_one_function() {
    let mut defined: BTreeMap<String, String> = BTreeMap::new();
    for (name, text) in scripts() {
        // A script of its own shares nothing.
        if !name.starts_with("deploy") || (name != "deploy.sh" && text.starts_with("#!")) {
            continue;
        }
        for line in text.lines() {
            let Some((function, _)) = line.split_once("() {") else {
                continue;
            };
            if function.contains(' ') {
                continue;
            }
            let before = defined.insert(function.to_owned(), name.clone());
            assert_eq!(before, None, "{function} is also in {name}");
        }
    }
    assert!(defined.len() > 100, "{}", defined.len());
}

#[test]
fn nothing_is_asked_of_curl_or_bash_that_came_late() {
    for (name, text) in scripts() {
        for late in [
            "%header{",
            "%{header_json}",
            "--fail-with-body",
            "--retry-all-errors",
            "mapfile -d",
            "@Q}",
            "EPOCHSECONDS",
            "EPOCHREALTIME",
        ] {
            assert!(!text.contains(late), "{name}: {late}");
        }
    }
}

/// Answers one request with these bytes, and gives the address to ask.
fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(answer.as_bytes()).expect("an answer");
    });
    format!("http://{address}/")
}

/// Runs a line with a part of deploy.sh, under the strict mode that it has there.
fn with_part(part: &str, line: &str) -> Output {
    Command::new("bash")
        .args(["-euo", "pipefail", "-c"])
        .arg(format!(". \"$root/deploy/{part}\"\n{line}"))
        .env("root", root())
        .env("log", "/dev/null")
        .output()
        .expect("bash")
}

#[test]
fn the_filters_answer_is_known_by_its_header() {
    for (answer, seen) in [
        (
            "HTTP/1.1 404 Not Found\r\ncontent-length: 2\r\nProxy-Status: faultline; error=destination_not_found\r\n\r\n{}",
            "404 faultline; error=destination_not_found",
        ),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", "404"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi", "200"),
    ] {
        let output = with_part("gateway.sh", &format!("answer_of {}", answering(answer)));
        let printed = String::from_utf8_lossy(&output.stdout);
        assert_eq!(printed.trim_end(), seen, "{}", told(&output));
    }
    let output = with_part("gateway.sh", "answer_of http://127.0.0.1:9/");
    assert_eq!(output.stdout, b"none", "{}", told(&output));
}
