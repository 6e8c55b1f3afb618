//! Each file opens by saying what it is.
//!
//! A file that does not open with its essay leaves the reader to guess who calls it and what must hold.

use crate::tree::{Finding, Tree, demand, demand_none};

const FOLDERS: [&str; 4] = ["runtime/", "tests/", "examples/", "benches/"];

fn check(tree: &Tree) -> Vec<Finding> {
    let files = FOLDERS.into_iter().flat_map(|folder| tree.files(folder, "rs"));
    let silent = files.filter(|(_, text)| !text.starts_with("//!"));
    let what = "does not open with `//!`: say what lives here, who calls it, what must hold";
    silent.map(|(path, _)| Finding::new(path, 1, what)).collect()
}

#[test]
fn files_open_with_an_essay() {
    demand_none("files that say what they are", check(&Tree::of_the_repository()));
}

#[test]
fn a_file_without_an_essay_is_found() {
    let files =
        [("runtime/told.rs", "//! Told.\n"), ("tests/late.rs", "use std::fmt;\n//! Too late.\n")];
    let findings = check(&Tree::planted(&files));
    demand(&findings, "tests/late.rs", 1, "does not open");
    assert_eq!(findings.len(), 1);
}
