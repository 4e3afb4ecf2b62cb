//! How `./test.sh` counts: what passed, what failed, and what could not be tried and why.

use crate::{
    console::told,
    machine::{Machine, said},
    manifest::root,
};
use std::process::Output;

/// `test.sh` on a machine with these tools, which do nothing, beside what it is written with.
fn check(tools: &[&str], change: impl FnOnce(&Machine), arguments: &[&str]) -> Output {
    let machine = Machine::new(tools);
    machine.with_real(&[
        "cat", "dirname", "git", "id", "mktemp", "paste", "rm", "sort", "tail", "tee", "xargs",
    ]);
    change(&machine);
    machine
        .command(root().join("test.sh"))
        .args(arguments)
        .output()
        .expect("test.sh runs")
}

/// The end of what it prints.
fn end(output: &Output) -> String {
    let printed = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = printed.lines().collect();
    lines[lines.len().saturating_sub(2)..].join("\n")
}

fn nothing(_: &Machine) {}

#[test]
fn steps_that_pass_are_counted() {
    let output = check(
        &["shellcheck", "yamllint"],
        nothing,
        &["--only", "shell", "--only", "yaml"],
    );
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        end(&output).ends_with("\n3 passed, 0 failed, 0 skipped"),
        "{}",
        said(&output)
    );
}

/// The first failure ends the run, and what was not tried is no success.
#[test]
fn a_step_that_fails_ends_the_run() {
    let output = check(
        &["shellcheck"],
        |machine| {
            machine.with("yamllint", "exit 3");
        },
        &["--only", "yaml", "--only", "shell"],
    );
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert_eq!(
        end(&output),
        "not run after that: shell\n1 passed, 1 failed, 0 skipped"
    );
}

#[test]
fn a_step_whose_tool_cannot_be_had_is_skipped_with_the_reason() {
    for (step, tools, reason) in [
        (
            "deploy",
            ["cargo", "rustup", "cc"].as_slice(),
            "kubectl is not installed. kubectl: https://kubernetes.io/docs/tasks/tools/",
        ),
        // Its script says so by exit code 69.
        (
            "fresh",
            &[],
            "fresh.sh: needs root, to make a root file system",
        ),
    ] {
        let output = check(
            tools,
            |machine| {
                machine.with(
                    "rustc",
                    r#"case $* in *version) echo 'rustc 1.95.0' ;; *) echo "$home" ;; esac"#,
                );
                for part in ["cargo-clippy", "cargo-fmt"] {
                    machine.with(part, "");
                }
                machine.with("id", "echo 1000");
            },
            &["--only", step],
        );
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(
            end(&output),
            format!("SKIPPED {step}: {reason}\n1 passed, 0 failed, 1 skipped")
        );
    }
}

/// A tool without which a step cannot be skipped is asked for before any step runs.
#[test]
fn a_missing_tool_is_named_before_any_step() {
    let output = check(&[], nothing, &["--only", "shell", "--only", "yaml"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told(&output).starts_with("test.sh: shellcheck and yamllint are not installed\n"),
        "{}",
        said(&output)
    );
    assert_eq!(
        end(&output),
        "not run after that: shell yaml\n0 passed, 1 failed, 0 skipped"
    );
}
