//! Who imports whom in `runtime/`: every path that leads from one file into another.
//!
//! Read are `use` trees, paths in code and paths in macro bodies, however they begin: `crate::`,
//! `super::`, `self::`, a child module's name, or a module imported before. A path leads to the file
//! of the longest module it names, so a name re-exported by a parent leads to the parent. Declaring
//! a child (`mod x;`) is no import. Code that exists only for tests is free.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};

use crate::{
    tokens::{self, Token, needs_test},
    tree::{Finding, Tree},
};

/// `from` names something that lives in `to`.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) line: usize,
    pub(crate) path: String,
}

type Path = Vec<String>;

/// The files of `runtime/` that ship, and every import between them.
pub(crate) fn read_edges(
    tree: &Tree,
    findings: &mut Vec<Finding>,
) -> (BTreeSet<String>, BTreeSet<Edge>) {
    let mut parsed = BTreeMap::new();
    for (path, text) in tree.files("runtime/", "rs") {
        match syn::parse_file(text) {
            Ok(file) => drop(parsed.insert(&path["runtime/".len()..], file)),
            Err(error) => {
                let line = error.span().start().line;
                findings.push(Finding::new(path, line, format!("not Rust: {error}")));
            }
        }
    }
    let mut modules: BTreeMap<Path, String> =
        parsed.keys().map(|file| (module_of(file), (*file).to_owned())).collect();
    // A module that is declared for tests only is none of ours, nor is what is below it.
    for (file, contents) in &parsed {
        for item in &contents.items {
            let syn::Item::Mod(declared) = item else { continue };
            if declared.content.is_none() && is_for_tests(&declared.attrs) {
                let child = child(&module_of(file), &declared.ident.to_string());
                modules.retain(|module, _| !module.starts_with(&child));
            }
        }
    }
    let mut edges = BTreeSet::new();
    for (module, file) in &modules {
        let here = module.clone();
        let mut reader =
            Reader { modules: &modules, file, here, imported: BTreeMap::new(), edges: Vec::new() };
        // Twice, so that a module's name is known also above the line that imports it.
        reader.visit_file(&parsed[file.as_str()]);
        reader.visit_file(&parsed[file.as_str()]);
        edges.extend(reader.edges);
    }
    (modules.into_values().collect(), edges)
}

/// `task/join.rs` is `task::join`, `task/mod.rs` is `task`, `lib.rs` is the root.
fn module_of(file: &str) -> Path {
    let stem = file.trim_end_matches(".rs").trim_end_matches("/mod");
    if stem == "lib" { Vec::new() } else { stem.split('/').map(str::to_owned).collect() }
}

fn child(module: &[String], name: &str) -> Path {
    let mut path = module.to_vec();
    path.push(name.to_owned());
    path
}

fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) if list.path.is_ident("cfg") => {
            needs_test(&tokens::of_stream(list.tokens.clone()))
        }
        meta => meta.path().is_ident("test"),
    })
}

struct Reader<'t> {
    modules: &'t BTreeMap<Path, String>,
    file: &'t str,
    /// The module being read: the file's, or one written out in it.
    here: Path,
    /// Modules that this file imported, by the name it gave them.
    imported: BTreeMap<String, Path>,
    edges: Vec<Edge>,
}

impl Reader<'_> {
    /// The path from the crate's root, if this one begins in the crate.
    fn full_path(&self, path: &[String]) -> Option<Path> {
        let (first, rest) = path.split_first()?;
        let mut base = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.here.clone(),
            "super" => self.here[..self.here.len().checked_sub(1)?].to_vec(),
            name => {
                let child = child(&self.here, name);
                if self.modules.contains_key(&child) {
                    child
                } else {
                    self.imported.get(name)?.clone()
                }
            }
        };
        for name in rest {
            match name.as_str() {
                "super" => drop(base.pop()),
                "self" => {}
                _ => base.push(name.clone()),
            }
        }
        Some(base)
    }

    fn note(&mut self, path: &[String], line: usize) {
        let Some(full) = self.full_path(path) else { return };
        let home = (0..=full.len()).rev().find_map(|n| self.modules.get(&full[..n]));
        if let Some(to) = home.filter(|to| *to != self.file) {
            let path = path.join("::");
            self.edges.push(Edge { from: self.file.to_owned(), to: to.clone(), line, path });
        }
    }

    fn note_use(&mut self, tree: &syn::UseTree, prefix: &[String]) {
        let (name, local) = match tree {
            syn::UseTree::Path(path) => {
                return self.note_use(&path.tree, &child(prefix, &path.ident.to_string()));
            }
            syn::UseTree::Group(group) => {
                return group.items.iter().for_each(|tree| self.note_use(tree, prefix));
            }
            syn::UseTree::Glob(star) => {
                return self.note(prefix, star.star_token.spans[0].start().line);
            }
            syn::UseTree::Name(name) => (&name.ident, &name.ident),
            syn::UseTree::Rename(rename) => (&rename.ident, &rename.rename),
        };
        let (mut path, mut local) = (child(prefix, &name.to_string()), local.to_string());
        if name == "self" {
            path.pop();
            local = if local == "self" { path.last().cloned().unwrap_or_default() } else { local };
        }
        self.note(&path, name.span().start().line);
        if let Some(full) = self.full_path(&path).filter(|full| self.modules.contains_key(full)) {
            self.imported.insert(local, full);
        }
    }

    /// Every path of two or more names in a macro's body.
    fn note_tokens(&mut self, row: &[Token]) {
        let is_name =
            |token: &Token| token.text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        let mut at = 0;
        while at < row.len() {
            let mut path: Path = Vec::new();
            let line = row[at].line;
            let begins = at == 0 || !matches!(row[at - 1].text.as_str(), "::" | ".");
            while row.get(at).is_some_and(is_name) {
                path.push(row[at].text.clone());
                at += 1;
                if row.get(at).is_none_or(|token| token.text != "::") {
                    break;
                }
                at += 1;
            }
            if begins && path.len() > 1 {
                self.note(&path, line);
            }
            at += usize::from(path.is_empty());
        }
    }
}

fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(item) => &item.attrs,
        syn::Item::Enum(item) => &item.attrs,
        syn::Item::Fn(item) => &item.attrs,
        syn::Item::Impl(item) => &item.attrs,
        syn::Item::Macro(item) => &item.attrs,
        syn::Item::Mod(item) => &item.attrs,
        syn::Item::Static(item) => &item.attrs,
        syn::Item::Struct(item) => &item.attrs,
        syn::Item::Trait(item) => &item.attrs,
        syn::Item::Type(item) => &item.attrs,
        syn::Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_local(&mut self, local: &'ast syn::Local) {
        if !is_for_tests(&local.attrs) {
            visit::visit_local(self, local);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.here.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.here.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if item.leading_colon.is_none() {
            self.note_use(&item.tree, &[]);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Path = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 && path.leading_colon.is_none() {
            self.note(&names, path.segments[0].ident.span().start().line);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invoked: &'ast syn::Macro) {
        self.visit_path(&invoked.path);
        self.note_tokens(&tokens::of_stream(invoked.tokens.clone()));
    }

    // `pub(super)` opens a door and goes through none; a derive and a doc link import nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}
