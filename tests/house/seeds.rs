//! Each seeded bug is demanded by a test, and each such test plants a bug that exists.
//!
//! The library can make a known mistake on purpose: `seeded("name")`. `tests/models/` runs a model
//! with the mistake switched on and demands that it fails. A seed that no test demands shows nothing,
//! and a misspelt name or path would be seen only by the models' slow build; so it is read here.

use crate::{
    tokens::{self, inside, string},
    tree::{Finding, Tree, demand, demand_none},
};

const DRIVER: &str = "seeded_bug_is_caught";

/// A name in quotes and where it stands.
struct Named<'t> {
    name: String,
    path: &'t str,
    line: usize,
}

/// The string literals in the calls of `function`, one list a call.
fn calls<'t>(path: &'t str, text: &str, function: &str) -> Vec<Vec<Named<'t>>> {
    let row = tokens::of_text(text).unwrap_or_default();
    let calls = (1..row.len().saturating_sub(1)).filter(|&at| {
        row[at].text == function && row[at + 1].text == "(" && row[at - 1].text != "fn"
    });
    let strings = |at: usize| {
        let named = |t| Some(Named { name: string(t)?.to_owned(), path, line: t.line });
        inside(&row, at + 1).iter().filter_map(named).collect()
    };
    calls.map(strings).collect()
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let seeds: Vec<Named<'_>> = tree
        .files("runtime/", "rs")
        .flat_map(|(path, text)| calls(path, text, "seeded"))
        .flatten()
        .collect();
    let mut demanded = Vec::new();
    // The driver tries itself on seeds of its own.
    let models =
        tree.files("tests/models/", "rs").filter(|&(path, _)| path != "tests/models/mod.rs");
    for (path, text) in models {
        for call in calls(path, text, DRIVER) {
            let [model, seed] = &call[..] else { continue };
            if !seeds.iter().any(|known| known.name == seed.name) {
                let what = format!("no file of runtime/ asks for `seeded({:?})`", seed.name);
                findings.push(Finding::new(path, seed.line, what));
            }
            if !model_exists(tree, &model.name) {
                let what = format!(
                    "there is no model {:?}: say `models::FILE::FUNCTION`, as the test's list does",
                    model.name
                );
                findings.push(Finding::new(path, model.line, what));
            }
            demanded.push(seed.name.clone());
        }
    }
    for seed in seeds.iter().filter(|seed| !demanded.contains(&seed.name)) {
        let what = format!(
            "no test demands that a model catches {:?}: call `{DRIVER}` in tests/models/, or take \
             the seed out",
            seed.name
        );
        findings.push(Finding::new(seed.path, seed.line, what));
    }
    findings
}

/// Whether `models::file::function` is a function of that file.
fn model_exists(tree: &Tree, model: &str) -> bool {
    let parts: Vec<&str> = model.split("::").collect();
    let ["models", files @ .., function] = &parts[..] else { return false };
    let path = format!("tests/models/{}.rs", files.join("/"));
    tree.text(&path).is_some_and(|text| text.contains(&format!("fn {function}(")))
}

#[test]
fn every_seeded_bug_is_demanded() {
    demand_none("a model that cannot fail shows nothing", check(&Tree::of_the_repository()));
}

#[test]
fn forgotten_and_misspelt_seeds_are_found() {
    let findings = check(&Tree::planted(&[
        ("runtime/park.rs", "fn f() {\n if seeded(\"early\") {}\n if seeded(\"late\") {} }"),
        (
            "tests/models/park.rs",
            "fn wakes() {}\n#[test] fn a() { seeded_bug_is_caught(\n\
          \"models::park::wakes\", \"early\") }\n#[test] fn b() { seeded_bug_is_caught(\n\
          \"models::park::waked\", \"erly\") }",
        ),
    ]));
    demand(&findings, "runtime/park.rs", 3, "no test demands");
    demand(&findings, "tests/models/park.rs", 5, "no file of runtime/ asks");
    demand(&findings, "tests/models/park.rs", 5, "there is no model");
    assert_eq!(findings.len(), 3, "{findings:#?}");
}
