//! What the rules read: the repository's text files, or a few lines planted by a test.
//!
//! A rule takes a [`Tree`] and gives [`Finding`]s; [`demand_none`] turns them into one readable
//! failure. All paths are relative to the repository's root, with `/` between the parts.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

/// Files by path. A folder exists if a file is in it.
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

/// One line that breaks a rule, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    pub(crate) path: String,
    pub(crate) line: usize,
    pub(crate) what: String,
}

impl Finding {
    pub(crate) fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

impl Tree {
    /// The repository as it stands.
    pub(crate) fn of_the_repository() -> Self {
        let mut files = BTreeMap::new();
        read_folder(&root(), "", &mut files);
        assert!(
            files.contains_key("Cargo.toml"),
            "the tree was not read from the repository's root"
        );
        Self { files }
    }

    /// A tree that a test makes up.
    pub(crate) fn planted(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect();
        Self { files }
    }

    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether there is such a file or folder. The empty path is the root.
    pub(crate) fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.files.contains_key(path)
            || self
                .files
                .range(folder.clone()..)
                .next()
                .is_some_and(|(p, _)| p.starts_with(&folder))
    }

    /// The files in `folder` whose name ends in `.extension`, by path.
    pub(crate) fn files<'t>(
        &'t self,
        folder: &'t str,
        extension: &'t str,
    ) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.files
            .iter()
            .map(|(path, text)| (path.as_str(), text.as_str()))
            .filter(move |(path, _)| path.starts_with(folder))
            .filter(move |(path, _)| path.rsplit_once('.').is_some_and(|(_, e)| e == extension))
    }

    /// The Markdown that readers are sent to: README.md and the chapters.
    pub(crate) fn markdown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files("", "md").filter(|(path, _)| path.starts_with("docs/") || !path.contains('/'))
    }
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).expect("the folder is readable") {
        let path = entry.expect("the folder's entry is readable").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Build products, version control and editors' folders are not the repository's text.
        if name == "target" || name == "node_modules" || (name.starts_with('.') && name != ".ci") {
            continue;
        }
        let relative = format!("{prefix}{name}");
        if path.is_dir() {
            read_folder(&path, &format!("{relative}/"), files);
        } else if let Ok(bytes) = fs::read(&path) {
            files.insert(relative, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}

/// Fails, with every finding on a line of its own, if there is one.
#[track_caller]
pub(crate) fn demand_none(rule: &str, mut findings: Vec<Finding>) {
    findings.sort();
    findings.dedup();
    let lines: Vec<String> = findings.iter().map(|finding| format!("  {finding}")).collect();
    assert!(lines.is_empty(), "house rule: {rule}\n{}\n", lines.join("\n"));
}

/// For a planted tree: the finding that says `what` must be there, at this line.
#[track_caller]
pub(crate) fn demand(findings: &[Finding], path: &str, line: usize, what: &str) {
    let found = findings.iter().any(|f| f.path == path && f.line == line && f.what.contains(what));
    assert!(found, "no finding at {path}:{line} that says {what:?}; there are: {findings:#?}");
}

#[test]
fn a_folder_exists_by_its_files() {
    let tree = Tree::planted(&[("docs/00-map.md", ""), ("docs-old.md", "")]);
    assert!(tree.exists("docs") && tree.exists("docs/") && tree.exists("docs/00-map.md"));
    assert!(!tree.exists("doc") && !tree.exists("docs/00"));
}
