//! The map in `runtime/lib.rs` shows the files that are there, and all of them.
//!
//! The map is the first ```` ```text ```` block below the heading `# The map`. Each of its lines names a file or
//! a folder (with a `/` at its end) and says what is in it; two blanks more at the front put it into the
//! folder above. Each folder is named. A folder's line stands for its files, unless entries are named below it:
//! then all its files are. Files and folders in the prose around the block must exist as well.
//!
//! The alternative is to write the map from each file's first line. Then it would say what the files say, in
//! alphabetical order, and not what a reader needs first.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Finding, Tree, demand, demand_none};

const PAGE: &str = "runtime/lib.rs";
const HEADING: &str = "# The map";

/// The lines of the page's opening comment, from the heading to the next one, with their numbers.
fn section(text: &str) -> Vec<(usize, &str)> {
    let comment =
        (1..).zip(text.lines()).map_while(|(at, line)| Some((at, line.strip_prefix("//!")?)));
    let mut lines = comment
        .map(|(at, line)| (at, line.strip_prefix(' ').unwrap_or(line)))
        .skip_while(|(_, line)| *line != HEADING);
    let heading = lines.next();
    heading.into_iter().chain(lines.take_while(|(_, line)| !line.starts_with("# "))).collect()
}

/// The paths that the map's lines name, each with its line, and what is wrong with those that name none.
fn read_map(section: &[(usize, &str)]) -> (BTreeMap<String, usize>, Vec<Finding>) {
    let (mut map, mut findings) = (BTreeMap::new(), Vec::new());
    let mut folders: Vec<&str> = Vec::new();
    let block = section.iter().skip_while(|(_, line)| *line != "```text").skip(1);
    for &(at, line) in block.take_while(|(_, line)| *line != "```") {
        let entry = line.trim_start();
        let depth = (line.len() - entry.len()) / 2;
        let (name, what) = entry.split_once(' ').unwrap_or((entry, ""));
        let is_path = name.ends_with('/') || name.ends_with(".rs");
        if !is_path || what.trim().is_empty() || depth > folders.len() {
            let what = format!("`{entry}` is no entry of the map: `file.rs  what is in it`");
            findings.push(Finding::new(PAGE, at, what));
            continue;
        }
        folders.truncate(depth);
        let path = format!("runtime/{}{name}", folders.concat());
        if name.ends_with('/') {
            folders.push(name);
        }
        if map.insert(path.clone(), at).is_some() {
            findings.push(Finding::new(PAGE, at, format!("the map names {path} twice")));
        }
    }
    (map, findings)
}

/// The paths in the code spans of the prose.
fn paths_in_prose<'t>(section: &[(usize, &'t str)]) -> Vec<(usize, &'t str)> {
    let mut in_block = false;
    let mut paths = Vec::new();
    for &(at, line) in section {
        in_block ^= line.starts_with("```");
        let spans = line.split('`').skip(1).step_by(2);
        let is_path = |span: &&str| span.ends_with('/') || span.ends_with(".rs");
        paths.extend(spans.filter(|_| !in_block).filter(is_path).map(|span| (at, span)));
    }
    paths
}

fn check(tree: &Tree) -> Vec<Finding> {
    let section = section(tree.text(PAGE).unwrap_or(""));
    let (map, mut findings) = read_map(&section);
    for (path, &line) in &map {
        let is_there = tree.exists(path) && (path.ends_with('/') || tree.text(path).is_some());
        if !is_there {
            let what = format!("the map names {path}, which does not exist");
            findings.push(Finding::new(PAGE, line, what));
        }
    }
    let is_in_runtime = |path: &str| {
        let path = format!("/{}/", path.trim_end_matches('/'));
        tree.files("runtime/", "rs").any(|(file, _)| format!("{file}/").contains(&path))
    };
    for (line, path) in paths_in_prose(&section) {
        if !tree.exists(path) && !is_in_runtime(path) {
            findings.push(Finding::new(PAGE, line, format!("there is no {path}")));
        }
    }
    // Folders that have entries below them, and so stand for none of their files.
    let folder_of = |path: &str| {
        let end = path.trim_end_matches('/').rfind('/').map_or(0, |at| at + 1);
        path[..end].to_owned()
    };
    let opened: BTreeSet<String> = map.keys().map(|path| folder_of(path)).collect();
    let mut folders = BTreeSet::new();
    for (path, _) in tree.files("runtime/", "rs") {
        let folder = folder_of(path);
        // A folder's line is its mod.rs's too, and tests are found beside what they test.
        let is_covered = path.ends_with("/mod.rs") || path.ends_with("_tests.rs");
        if opened.contains(&folder) && !is_covered && !map.contains_key(path) {
            findings.push(Finding::new(path, 1, format!("is not named in the map in {PAGE}")));
        }
        let inside = path.match_indices('/').map(|(at, _)| path[..=at].to_owned());
        folders.extend(inside.filter(|folder| folder != "runtime/"));
    }
    let missing = folders.into_iter().filter(|folder| !map.contains_key(folder));
    let what = format!("this folder is not named in the map in {PAGE}");
    findings.extend(missing.map(|folder| Finding::new(&folder, 1, what.clone())));
    findings
}

#[test]
fn the_map_shows_what_is_there() {
    demand_none("the map shows the files that are there", check(&Tree::of_the_repository()));
}

/// A page with a map of six entries.
const SMALL: &str = "//! A library.\n//!\n//! # The map\n//!\n//! ```text\n//! lib.rs      this page\n//! net/        \
                     sockets\n//! engine/     what turns\n//!   park.rs   parking\n//!   task/     tasks\n//! \
                     ```\n//!\n//! Read `engine/task/cell.rs`, then `net/`.\n//!\n//! # Else\n//!\n//! `no/path`\n";

fn check_small(page: &str, others: &[(&str, &str)]) -> Vec<Finding> {
    let mut files = vec![
        (PAGE, page),
        ("runtime/net/stream.rs", ""),
        ("runtime/engine/mod.rs", ""),
        ("runtime/engine/park.rs", ""),
        ("runtime/engine/park_tests.rs", ""),
        ("runtime/engine/task/cell.rs", ""),
    ];
    files.extend(others);
    check(&Tree::planted(&files))
}

#[test]
fn a_true_map_is_clean() {
    assert_eq!(check_small(SMALL, &[]), []);
}

#[test]
fn what_the_map_does_not_name_is_found() {
    let findings = check_small(
        SMALL,
        &[
            ("runtime/new.rs", ""),
            ("runtime/engine/inbox.rs", ""),
            ("runtime/net/listener.rs", ""),
            ("runtime/engine/task/deep/slots.rs", ""),
        ],
    );
    demand(&findings, "runtime/new.rs", 1, "is not named in the map");
    demand(&findings, "runtime/engine/inbox.rs", 1, "is not named in the map");
    demand(&findings, "runtime/engine/task/deep/", 1, "this folder is not named");
    assert_eq!(findings.len(), 3, "net/ stands for its files: {findings:#?}");
    let findings = check_small("//! A library without a map.\n", &[]);
    demand(&findings, "runtime/engine/", 1, "this folder is not named");
    demand(&findings, "runtime/net/", 1, "this folder is not named");
}

#[test]
fn what_the_map_names_and_the_tree_has_not_is_found() {
    let page = SMALL
        .replace("lib.rs      this page", "lib.rs      this page\n//! gone.rs     no more")
        .replace("net/        ", "net/        sockets\n//!   gone/    ")
        .replace(
            "  park.rs   parking",
            "  park.rs   parking\n//!   park.rs   parking\n//!   mute.rs",
        )
        .replace("then `net/`", "then `net/gone.rs`");
    let findings = check_small(&page, &[]);
    demand(&findings, PAGE, 7, "runtime/gone.rs, which does not exist");
    demand(&findings, PAGE, 9, "runtime/net/gone/, which does not exist");
    demand(&findings, "runtime/net/stream.rs", 1, "is not named in the map");
    demand(&findings, PAGE, 12, "names runtime/engine/park.rs twice");
    demand(&findings, PAGE, 13, "`mute.rs` is no entry of the map");
    demand(&findings, PAGE, 17, "there is no net/gone.rs");
    assert_eq!(findings.len(), 6, "{findings:#?}");
}
