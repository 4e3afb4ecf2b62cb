//! Images are built for what the nodes are.

use crate::{console::told, standin::StandIn};
use std::fs;

/// A cluster with nodes of these architectures.
fn nodes(architectures: &str) -> StandIn {
    let standin = StandIn::new("#!/bin/sh\ncat \"$standin/nodes\"\n");
    fs::write(standin.file("nodes"), architectures).expect("a file");
    standin
}

const CHECK: &str = "check_architectures; printf '%s' \"${architectures[*]}\"";

#[test]
fn each_architecture_of_the_nodes_is_built_once() {
    for (found, built) in [
        ("amd64\n", "amd64"),
        ("arm64\namd64\narm64\n", "amd64 arm64"),
        ("arm64\n", "arm64"),
    ] {
        assert_eq!(nodes(found).printed(CHECK), built);
    }
}

#[test]
fn chosen_ones_need_no_node() {
    let line = format!("architectures=(arm64); {CHECK}");
    assert_eq!(nodes("s390x\n").printed(&line), "arm64");
}

#[test]
fn what_cannot_be_built_for_is_named_with_the_way_on() {
    for (found, sentence, way) in [
        (
            "amd64\ns390x\n",
            "the cluster has nodes of s390x; Faultline builds for amd64 and arm64",
            "--architectures amd64\n",
        ),
        (
            "",
            "the cluster has no Linux node yet",
            "--architectures amd64,arm64\n",
        ),
    ] {
        let output = nodes(found).run(CHECK);
        let told = told(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(sentence) && told.contains(way), "{told}");
    }
}
