//! Links in README.md and `docs/` lead somewhere.
//!
//! Checked are links and images with a relative address, in Markdown and in HTML, with the heading
//! they name; and code spans such as `runtime/task/local.rs:waker` that name a file of this
//! repository and an anchor in it. A line number is refused: it rots with the next change above it.

use std::collections::BTreeMap;

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::{
    chapters::excerpt,
    tree::{Finding, Tree, demand, demand_none},
};

/// A code span that begins so names a file of ours.
const OURS: [&str; 6] = ["runtime/", "tests/", "examples/", "benches/", "docs/", ".ci/"];

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.markdown() {
        for (event, range) in Parser::new_ext(text, Options::all()).into_offset_iter() {
            let line = 1 + text[..range.start].matches('\n').count();
            let problems: Vec<String> = match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    follow(tree, path, &dest_url).into_iter().collect()
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    addresses(&html).into_iter().filter_map(|to| follow(tree, path, to)).collect()
                }
                Event::Code(code) => name(tree, &code).into_iter().collect(),
                _ => Vec::new(),
            };
            findings.extend(problems.into_iter().map(|what| Finding::new(path, line, what)));
        }
    }
    findings
}

/// What is wrong with the link from `from` to `address`.
fn follow(tree: &Tree, from: &str, address: &str) -> Option<String> {
    let foreign = address.contains("://") || address.starts_with("mailto:");
    if foreign {
        return None;
    }
    let (file, mark) = address.split_once('#').unwrap_or((address, ""));
    let target = if file.is_empty() {
        from.to_owned()
    } else {
        let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
        let Some(target) = join(folder, file) else {
            return Some(format!("`{address}` leads out of the repository: name a file in it"));
        };
        target
    };
    // An anchor may also be told with a colon, as in a code span.
    let (target, mark) = match target.split_once(':') {
        Some((target, anchor)) => (target.to_owned(), anchor),
        None => (target, mark),
    };
    if !tree.exists(&target) {
        return Some(format!("`{address}` leads nowhere: there is no {target}"));
    }
    if mark.is_empty() {
        return None;
    }
    let text = tree.text(&target).unwrap_or("");
    if target.ends_with(".md") {
        let known = headings(text).into_iter().any(|heading| heading == mark);
        return (!known).then(|| format!("`{address}`: {target} has no heading #{mark}"));
    }
    anchor_problem(&target, text, mark)
}

/// What is wrong with a code span that names a file of ours.
fn name(tree: &Tree, code: &str) -> Option<String> {
    let is_path = code.chars().all(|c| c.is_ascii_alphanumeric() || "_-./:#".contains(c));
    if !is_path || !OURS.iter().any(|folder| code.starts_with(folder)) {
        return None;
    }
    let (file, anchor) = code.split_once([':', '#']).unwrap_or((code, ""));
    if !tree.exists(file) {
        return Some(format!("`{code}` names a file that does not exist: {file}"));
    }
    if anchor.is_empty() {
        None
    } else {
        anchor_problem(file, tree.text(file).unwrap_or(""), anchor)
    }
}

fn anchor_problem(file: &str, text: &str, anchor: &str) -> Option<String> {
    let digits = anchor.trim_start_matches('L').trim_start_matches(|c: char| c.is_ascii_digit());
    if digits.is_empty() || digits.starts_with('-') {
        return Some(format!("{file}:{anchor} names a line, which will move: name an anchor"));
    }
    excerpt(text, anchor).err().map(|error| format!("{file}:{anchor}: {error}"))
}

/// `folder/file` with its `.` and `..` resolved, unless that leads out of the root.
fn join(folder: &str, file: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The marks under which a page's headings are reached: lower case, blanks as hyphens, other
/// punctuation gone, a number on repetitions. Ids set in HTML count too.
fn headings(markdown: &str) -> Vec<String> {
    let mut marks = Vec::new();
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(markdown, Options::all()) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let text = heading.take().unwrap_or_default().to_lowercase();
                let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
                let mark: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
                let times = seen.entry(mark.clone()).or_default();
                marks.push(if *times == 0 { mark } else { format!("{mark}-{times}") });
                *times += 1;
            }
            Event::Text(text) | Event::Code(text) => {
                heading.iter_mut().for_each(|heading| heading.push_str(&text));
            }
            Event::Html(html) | Event::InlineHtml(html) => {
                let ids = ["id=\"", "name=\""].iter().flat_map(|key| values(&html, key));
                marks.extend(ids.map(str::to_owned));
            }
            _ => {}
        }
    }
    marks
}

fn addresses(html: &str) -> Vec<&str> {
    ["href=\"", "src=\"", "srcset=\""].iter().flat_map(|key| values(html, key)).collect()
}

/// What stands in quotes after each `key`.
fn values<'h>(html: &'h str, key: &str) -> Vec<&'h str> {
    html.split(key).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn links_lead_somewhere() {
    demand_none("links lead somewhere", check(&Tree::of_the_repository()));
}

#[test]
fn dead_links_are_found() {
    let readme = "# One\n[a](docs/0.md#the-turn-1) ![b](docs/gone.svg)\n<img src=\"docs/x.svg\">\n\
                  [c](https://example.org/x) [d](#one) [e](#two)\n\n`runtime/a.rs:turn` `runtime/b.rs`\n\
                  `runtime/a.rs:gone` `runtime/a.rs:12` `runtime/*.rs`\n";
    let chapter = "# The turn!\n## The `turn`\n<a id=\"own\"></a>\n[up](../README.md) [out](../../x)\n\
                   [own](#own) [mark](../runtime/a.rs#turn) [line](../runtime/a.rs#L3)\n[dir](../runtime)\n";
    let source = "// ANCHOR: turn\nfn turn() {}\n// END: turn\n";
    let findings = check(&Tree::planted(&[
        ("README.md", readme),
        ("docs/0.md", chapter),
        ("runtime/a.rs", source),
    ]));
    demand(&findings, "README.md", 2, "`docs/gone.svg` leads nowhere");
    demand(&findings, "README.md", 3, "`docs/x.svg` leads nowhere");
    demand(&findings, "README.md", 4, "no heading #two");
    demand(&findings, "README.md", 6, "names a file that does not exist: runtime/b.rs");
    demand(&findings, "README.md", 7, "runtime/a.rs:gone");
    demand(&findings, "README.md", 7, "names a line");
    demand(&findings, "docs/0.md", 4, "leads out of the repository");
    demand(&findings, "docs/0.md", 5, "names a line");
    assert_eq!(findings.len(), 8, "{findings:#?}");
}
