//! The program itself: what it prints in each form, and how it ends.
#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const WRONG: &str = include_str!("../rules/A4/wrong.yaml");
const RIGHT: &str = include_str!("../rules/A4/right.yaml");
const FORMATS: [&str; 5] = ["human", "json", "sarif", "github", "junit"];

fn faultline(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_faultline"))
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("wrong.yaml", WRONG),
        ("right.yaml", RIGHT),
        ("broken.yaml", "apiVersion: v1\nkind: [\n"),
        (
            "typed.yaml",
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec: {http: [{timeout: 5}]}\n",
        ),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn the_exit_code_is_the_same_in_every_format() {
    let folder = folder();
    for format in FORMATS {
        for (files, code) in [
            (vec!["right.yaml"], 0),
            (vec!["wrong.yaml"], 1),
            (vec!["broken.yaml"], 2),
            (vec!["wrong.yaml", "broken.yaml"], 2),
            (vec!["typed.yaml"], 2),
            (vec!["missing.yaml"], 2),
            (vec!["--ignore", "A4", "wrong.yaml"], 0),
            (vec!["--istio", "1.19", "wrong.yaml"], 0),
        ] {
            let arguments = [vec!["check", "--format", format], files.clone()].concat();
            let output = faultline(folder.path(), &arguments);
            assert_eq!(
                output.status.code(),
                Some(code),
                "{format} {files:?}\n{}",
                stdout(&output)
            );
        }
    }
}

#[test]
fn fail_on_moves_the_bound() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("warning.yaml"),
        include_str!("../rules/A1/wrong.yaml"),
    )
    .unwrap();
    for (fail_on, code) in [("info", 1), ("warning", 1), ("error", 0)] {
        let output = faultline(
            folder.path(),
            &["check", "--fail-on", fail_on, "warning.yaml"],
        );
        assert_eq!(output.status.code(), Some(code), "{fail_on}");
        assert!(stdout(&output).contains("[A1]"));
    }
}

#[test]
fn people_see_both_lines_of_a_conflict() {
    let folder = folder();
    let shown = stdout(&faultline(folder.path(), &["check", "wrong.yaml"]));
    for part in [
        "error[A4]: Outlier detection ejects nobody",
        "  --> wrong.yaml:8:5  DestinationRule reviews\n",
        " 8 |     outlierDetection:\n   |     ^^^^^^^^^^^^^^^^ 10 % (the default)\n",
        "29 |   replicas: 2\n   |   ----------- 2 endpoints\n",
        "fix: maxEjectionPercent: 50 or more",
        "3 resources checked: 1 error\n",
    ] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "colours without a terminal");
}

#[test]
fn sarif_obeys_its_schema() {
    let folder = folder();
    let schema: Value = serde_json::from_str(include_str!("sarif-2.1.0.schema.json")).unwrap();
    let schema = jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap();
    let arguments = [
        "check",
        "--all",
        "--format",
        "sarif",
        "wrong.yaml",
        "broken.yaml",
        "right.yaml",
    ];
    let log: Value = serde_json::from_slice(&faultline(folder.path(), &arguments).stdout).unwrap();
    let errors: Vec<String> = schema
        .iter_errors(&log)
        .map(|it| format!("{}: {it}", it.instance_path()))
        .collect();
    assert_eq!(errors, [] as [String; 0]);
    let run = &log["runs"][0];
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "A4");
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "A4");
    assert_eq!(
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"],
        "wrong.yaml"
    );
    assert_eq!(
        result["relatedLocations"][0]["physicalLocation"]["region"]["startLine"],
        29
    );
    assert_eq!(run["invocations"][0]["executionSuccessful"], false);
}

#[test]
fn a_fingerprint_outlives_a_move_within_the_file() {
    let folder = folder();
    let fingerprint = || {
        let output = faultline(folder.path(), &["check", "--format", "sarif", "wrong.yaml"]);
        let log: Value = serde_json::from_slice(&output.stdout).unwrap();
        log["runs"][0]["results"][0]["partialFingerprints"].clone()
    };
    let before = fingerprint();
    assert!(before["faultline/v1"].is_string());
    fs::write(
        folder.path().join("wrong.yaml"),
        format!("# moved\n\n{WRONG}"),
    )
    .unwrap();
    assert_eq!(fingerprint(), before);
}

#[test]
fn json_has_all_that_people_see() {
    let folder = folder();
    let output = faultline(
        folder.path(),
        &["check", "--format", "json", "wrong.yaml", "typed.yaml"],
    );
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["findings"][0]["rule"], "A4");
    assert_eq!(all["findings"][0]["places"][1]["line"], 29);
    assert_eq!(all["problems"][0]["file"], "typed.yaml");
    assert_eq!(all["problems"][0]["line"], 4);
    let reason = "VirtualService v: http[0].timeout: expected a duration such as 1.5s, found \"5\"";
    assert_eq!(all["problems"][0]["reason"], reason);
    assert_eq!(all["summary"]["errors"], 1);
}

#[test]
fn github_commands_name_file_and_line() {
    let folder = folder();
    let shown = stdout(&faultline(
        folder.path(),
        &["check", "--format", "github", "wrong.yaml"],
    ));
    let first = shown.lines().next().unwrap();
    assert!(
        first.starts_with(
            "::error file=wrong.yaml,line=8,col=5,endColumn=21,title=A4 DestinationRule reviews::"
        ),
        "{first}"
    );
    assert!(first.contains("%0Awrong.yaml:29: 2 endpoints"), "{first}");
}

#[test]
fn junit_counts_what_it_holds() {
    let folder = folder();
    let shown = stdout(&faultline(
        folder.path(),
        &[
            "check",
            "--format",
            "junit",
            "wrong.yaml",
            "right.yaml",
            "broken.yaml",
        ],
    ));
    assert!(
        shown.contains(r#"tests="3" failures="1" errors="1""#),
        "{shown}"
    );
    assert_eq!(shown.matches("<failure ").count(), 1);
    assert_eq!(shown.matches("<error ").count(), 1);
    assert_eq!(shown.matches("<testcase ").count(), 3);
}

#[test]
fn a_folder_is_read_below_and_standard_input_is_read_for_a_dash() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    fs::create_dir_all(&deep).unwrap();
    fs::write(deep.join("one.yml"), WRONG).unwrap();
    fs::write(deep.join("values.yaml"), "a: {{ not ours }}: [").unwrap();
    fs::write(deep.join("notes.txt"), WRONG).unwrap();
    fs::create_dir(folder.path().join(".hidden")).unwrap();
    fs::write(folder.path().join(".hidden/two.yaml"), "apiVersion: [").unwrap();
    let output = faultline(folder.path(), &["check", "."]);
    assert_eq!(output.status.code(), Some(1), "{}", stdout(&output));
    assert!(
        stdout(&output).contains("--> a/b/one.yml:8:5"),
        "{}",
        stdout(&output)
    );
    let output = Command::new(env!("CARGO_BIN_EXE_faultline"))
        .args(["check", "-"])
        .stdin(fs::File::open(deep.join("one.yml")).unwrap())
        .output()
        .unwrap();
    assert!(
        stdout(&output).contains("--> <stdin>:8:5"),
        "{}",
        stdout(&output)
    );
}

#[test]
fn settings_come_from_a_file_and_the_command_line_wins() {
    let folder = folder();
    let config = |text: &str| fs::write(folder.path().join(".faultline.yaml"), text).unwrap();
    let code = |arguments: &[&str]| faultline(folder.path(), arguments).status.code();
    config("check: {ignore: {A4: by intent}}\n");
    assert_eq!(code(&["check", "wrong.yaml"]), Some(0));
    config("check: {istio: '1.19'}\n");
    assert_eq!(code(&["check", "wrong.yaml"]), Some(0));
    assert_eq!(code(&["check", "--istio", "1.20", "wrong.yaml"]), Some(1));
    config("check: {exclude: [broken.yaml, typed.yaml]}\n");
    assert_eq!(code(&["check", "."]), Some(1));
    config("check: {unknown: true}\n");
    let output = faultline(folder.path(), &["check", "wrong.yaml"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8_lossy(&output.stderr).contains(".faultline.yaml: "),
        "{output:?}"
    );
}

#[test]
fn an_ignore_that_ignores_nothing_is_said() {
    let folder = folder();
    let shown = stdout(&faultline(
        folder.path(),
        &["check", "--ignore", "A4,A1", "wrong.yaml"],
    ));
    assert!(
        shown.contains("A1 is ignored and has no finding"),
        "{shown}"
    );
    assert!(!shown.contains("A4 is ignored"), "{shown}");
}

#[test]
fn a_rule_is_explained() {
    let folder = folder();
    let output = faultline(folder.path(), &["check", "--explain", "a4"]);
    assert_eq!(output.status.code(), Some(0));
    for part in [
        "A4 ejects-nobody (error)",
        "Holds from Istio 1.20.",
        "Wrong:",
        "Right:",
        "    kind: DestinationRule",
    ] {
        assert!(stdout(&output).contains(part), "{part}");
    }
    assert_eq!(
        faultline(folder.path(), &["check", "--explain", "A99"])
            .status
            .code(),
        Some(2)
    );
    assert!(
        stdout(&faultline(folder.path(), &["check", "--list"]))
            .lines()
            .count()
            > 10
    );
}

#[test]
fn nothing_to_check_is_a_wrong_command() {
    let folder = folder();
    assert_eq!(faultline(folder.path(), &["check"]).status.code(), Some(2));
    for shell in ["bash", "zsh", "fish"] {
        let script = stdout(&faultline(folder.path(), &["completions", shell]));
        assert!(script.contains("faultline"), "{shell}");
    }
}

/// What this repository deploys has no finding that is not said to be meant.
#[test]
fn this_repositorys_own_files_are_clean() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let output = faultline(root, &["check", "istio", "custom-app", "log-agent"]);
    let said = stdout(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let count = said
        .split_whitespace()
        .next()
        .and_then(|it| it.parse().ok());
    assert!(count.is_some_and(|count: u32| count > 20), "{said}");
}
