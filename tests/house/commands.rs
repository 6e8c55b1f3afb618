//! What README tells the reader to type is what the machine types, and no example goes untried.

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::tree::{Finding, Tree, demand, demand_none};

const SCRIPT: &str = ".ci/run";
const MAIN_JOB: &str = "cargo run --release --example loop_program";

/// The commands in README's shell blocks, with their lines.
fn commands(markdown: &str) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    let mut in_shell = false;
    for (event, range) in Parser::new_ext(markdown, Options::all()).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let language = info.split([' ', ',']).next().unwrap_or("");
                in_shell = ["sh", "bash", "shell", "console"].contains(&language);
            }
            Event::End(TagEnd::CodeBlock) => in_shell = false,
            Event::Text(text) if in_shell => {
                let first = 1 + markdown[..range.start].matches('\n').count();
                commands.extend(text.lines().enumerate().map(|(at, line)| {
                    let line = line.split('#').next().unwrap_or("").trim();
                    (first + at, line.trim_start_matches("$ ").to_owned())
                }));
            }
            _ => {}
        }
    }
    commands
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let readme = commands(tree.text("README.md").unwrap_or(""));
    let script: Vec<&str> = tree.text(SCRIPT).unwrap_or("").lines().map(str::trim).collect();

    let test = readme.iter().find(|(_, command)| command.starts_with("cargo test"));
    match test {
        None => findings.push(Finding::new(
            "README.md",
            1,
            "tells no `cargo test` command in a sh block",
        )),
        Some((line, command)) if !script.contains(&command.as_str()) => {
            let what = format!(
                "tells `{command}`, which is no line of {SCRIPT}: let one follow the other"
            );
            findings.push(Finding::new("README.md", *line, what));
        }
        Some(_) => {}
    }
    if !readme.iter().any(|(_, command)| command == MAIN_JOB) {
        let what = format!("does not tell the main job in a sh block: `{MAIN_JOB}`");
        findings.push(Finding::new("README.md", 1, what));
    }
    if !script.iter().any(|line| line.starts_with(MAIN_JOB)) {
        findings.push(Finding::new(SCRIPT, 1, format!("does not run the main job: `{MAIN_JOB}`")));
    }
    for (line, command) in &readme {
        let mut words = command.split_whitespace().skip_while(|word| *word != "--example");
        let Some(example) = words.nth(1) else { continue };
        if !tree.exists(&format!("examples/{example}.rs")) {
            findings.push(Finding::new(
                "README.md",
                *line,
                format!("there is no example {example}"),
            ));
        }
    }
    let tried: String = tree.files("tests/examples/", "rs").map(|(_, text)| text).collect();
    for (path, _) in tree.files("examples/", "rs") {
        let example = path.trim_start_matches("examples/").trim_end_matches(".rs");
        if !example.contains('/') && !tried.contains(&format!("\"{example}\"")) {
            let what =
                format!("tests/examples/ does not run {example:?}: run it and check its output");
            findings.push(Finding::new(path, 1, what));
        }
    }
    findings
}

#[test]
fn readme_and_script_say_the_same() {
    demand_none("README's commands and examples are run", check(&Tree::of_the_repository()));
}

#[cfg(unix)]
#[test]
fn the_script_can_be_run() {
    use std::os::unix::fs::PermissionsExt;

    let script = crate::tree::root().join(SCRIPT);
    let mode = std::fs::metadata(&script).expect(".ci/run is there").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "house rule: {SCRIPT} is executable: `chmod +x {SCRIPT}`");
}

#[test]
fn commands_that_are_not_run_are_found() {
    let readme = "# W\n```sh\ncargo run --release --example loop_program # the job\n\
                  $ cargo test --workspace\ncargo run --example gone\n```\n```rust\ncargo test\n```\n";
    let script = "  cargo test\n  cargo run --release --example loop_program -- --rounds 1\n";
    let findings = check(&Tree::planted(&[
        ("README.md", readme),
        (SCRIPT, script),
        ("examples/loop_program.rs", ""),
        ("examples/hello.rs", ""),
        ("examples/parts/colour.rs", ""),
        ("tests/examples/main.rs", "run(\"loop_program\")"),
    ]));
    demand(&findings, "README.md", 4, "tells `cargo test --workspace`");
    demand(&findings, "README.md", 5, "no example gone");
    demand(&findings, "examples/hello.rs", 1, "does not run \"hello\"");
    assert_eq!(findings.len(), 3, "{findings:#?}");
    assert_eq!(check(&Tree::planted(&[])).len(), 3, "no README, no script");
}
