//! How long a file may be, and how it opens.
//!
//! A file that needs more than 500 lines holds two things. A file that does not open with its essay
//! leaves the reader to guess who calls it and what must hold.

use crate::tree::{Finding, Tree, demand, demand_none};

const MOST_LINES: usize = 500;
const FOLDERS: [&str; 4] = ["runtime/", "tests/", "examples/", "benches/"];

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in FOLDERS.into_iter().flat_map(|folder| tree.files(folder, "rs")) {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            let what =
                format!("{lines} lines, {MOST_LINES} is the most: find the two things in it");
            findings.push(Finding::new(path, MOST_LINES + 1, what));
        }
        if !text.starts_with("//!") {
            let what =
                "does not open with `//!`: say what lives here, who calls it, what must hold";
            findings.push(Finding::new(path, 1, what));
        }
    }
    findings
}

#[test]
fn files_are_short_and_open_with_an_essay() {
    demand_none("short files that say what they are", check(&Tree::of_the_repository()));
}

#[test]
fn a_long_file_and_a_mute_one_are_found() {
    let long = format!("//! Long.\n{}", "\n".repeat(MOST_LINES));
    let just = format!("//! Just.\n{}", "\n".repeat(MOST_LINES - 1));
    let findings = check(&Tree::planted(&[
        ("runtime/long.rs", &long),
        ("runtime/just.rs", &just),
        ("tests/mute.rs", "use std::fmt;\n//! Too late.\n"),
    ]));
    demand(&findings, "runtime/long.rs", MOST_LINES + 1, "501 lines");
    demand(&findings, "tests/mute.rs", 1, "does not open");
    assert_eq!(findings.len(), 2);
}
