//! Code quoted in README.md and `docs/` is the code that runs.
//!
//! A block opened with ```` ```rust runtime/engine/scheduler/event_loop.rs#turn ```` quotes what that file
//! holds between the lines `// ANCHOR: turn` and `// END: turn`, shifted to the left margin. The
//! chapter keeps the text itself, so it shows wherever the page is read. When the source changes, the
//! test fails; `BLESS=1 cargo test --test house` writes the source into the chapters again.

use std::{fs, ops::Range};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

use crate::tree::{Finding, Tree, demand, demand_none, root};

/// One block that quotes, its text, and where block and text stand in the page.
struct Quote {
    line: usize,
    range: Range<usize>,
    info: String,
    text: String,
}

fn quotes(markdown: &str) -> Vec<Quote> {
    let mut quotes = Vec::new();
    let mut open: Option<Quote> = None;
    for (event, range) in Parser::new_ext(markdown, Options::all()).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                let line = 1 + markdown[..range.start].matches('\n').count();
                open = Some(Quote { line, range, info: info.to_string(), text: String::new() });
            }
            Event::Text(text) => open.iter_mut().for_each(|quote| quote.text.push_str(&text)),
            Event::End(TagEnd::CodeBlock) => quotes.extend(open.take()),
            _ => {}
        }
    }
    quotes.retain(|quote| quote.info.starts_with("rust "));
    quotes
}

/// What `text` holds between the marks of `anchor`: without marks, without common indentation.
pub(crate) fn excerpt(text: &str, anchor: &str) -> Result<String, String> {
    let is_mark = |line: &str, kind: &str, name: &str| {
        line.trim()
            .strip_prefix("// ")
            .and_then(|l| l.strip_prefix(kind))
            .is_some_and(|n| n.trim() == name)
    };
    let lines: Vec<&str> = text.lines().collect();
    let places = |kind: &str| -> Vec<usize> {
        (0..lines.len()).filter(|&at| is_mark(lines[at], kind, anchor)).collect()
    };
    let (starts, ends) = (places("ANCHOR:"), places("END:"));
    let (&[start], &[end]) = (&starts[..], &ends[..]) else {
        return Err(format!(
            "`// ANCHOR: {anchor}` stands there {} times and `// END: {anchor}` {} times, not once",
            starts.len(),
            ends.len()
        ));
    };
    if end < start {
        return Err(format!("`// END: {anchor}` stands above its ANCHOR"));
    }
    let other_mark =
        |line: &str| ["// ANCHOR:", "// END:"].iter().any(|m| line.trim().starts_with(m));
    let body: Vec<&str> =
        lines[start + 1..end].iter().copied().filter(|line| !other_mark(line)).collect();
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let margin = body.iter().filter(|line| !line.trim().is_empty()).map(indent).min().unwrap_or(0);
    Ok(body.iter().map(|line| format!("{}\n", line.get(margin..).unwrap_or(""))).collect())
}

/// What the block should say, or what is wrong with its opening line.
fn source(tree: &Tree, quote: &Quote) -> Result<String, String> {
    let address = quote.info["rust ".len()..].trim();
    let Some((path, anchor)) = address.split_once('#') else {
        return Err(format!("`{address}` is not of the form path#anchor"));
    };
    let text = tree.text(path).ok_or_else(|| format!("quotes {path}, which does not exist"))?;
    let excerpt = excerpt(text, anchor).map_err(|error| format!("quotes {path}: {error}"))?;
    if excerpt.contains("```") {
        return Err(format!("{path}#{anchor} holds a code fence itself: quote a smaller part"));
    }
    Ok(excerpt)
}

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, markdown) in tree.markdown() {
        for quote in quotes(markdown) {
            let problem = match source(tree, &quote) {
                Ok(source) => first_difference(&quote, &source),
                Err(error) => Some((0, error)),
            };
            if let Some((offset, what)) = problem {
                findings.push(Finding::new(path, quote.line + offset, what));
            }
        }
    }
    findings
}

fn first_difference(quote: &Quote, source: &str) -> Option<(usize, String)> {
    if quote.text == source {
        return None;
    }
    let at = quote.text.lines().zip(source.lines()).take_while(|(page, code)| page == code).count();
    let shown =
        |text: &str| text.lines().nth(at).map_or("no more lines".into(), |l| format!("{l:?}"));
    let what = format!(
        "is not what {} says: here {}, there {}; `BLESS=1 cargo test --test house` copies it anew",
        quote.info["rust ".len()..].trim(),
        shown(&quote.text),
        shown(source),
    );
    Some((at + 1, what))
}

/// The page with each quotation replaced by its source.
fn bless(tree: &Tree, markdown: &str) -> String {
    let mut page = markdown.to_owned();
    for quote in quotes(markdown).into_iter().rev() {
        let Ok(source) = source(tree, &quote) else { continue };
        // The first and the last line of the block are its fences.
        let block = &markdown[quote.range.clone()];
        let start = block.find('\n').map_or(block.len(), |at| at + 1);
        let end = block.trim_end().rfind('\n').map_or(block.len(), |at| at + 1);
        if start <= end {
            page.replace_range(quote.range.start + start..quote.range.start + end, &source);
        }
    }
    page
}

#[test]
fn quoted_code_is_the_code_that_runs() {
    let mut tree = Tree::of_the_repository();
    if std::env::var_os("BLESS").is_some_and(|value| value == "1") {
        for (path, markdown) in tree.markdown() {
            let page = bless(&tree, markdown);
            if page != markdown {
                fs::write(root().join(path), page).expect("the chapter is writable");
            }
        }
        tree = Tree::of_the_repository();
    }
    demand_none("quoted code is the code that runs", check(&tree));
}

const SOURCE: &str = "mod m {\n    // ANCHOR: f\n    fn f() {\n        // ANCHOR: g\n        g();\n\n        \
                      // END: g\n    }\n    // END: f\n}\n// ANCHOR: open\n";

#[test]
fn an_excerpt_is_what_stands_between_the_marks() {
    assert_eq!(excerpt(SOURCE, "f").unwrap(), "fn f() {\n    g();\n\n}\n");
    assert_eq!(excerpt(SOURCE, "g").unwrap(), "g();\n\n");
    for anchor in ["open", "none", "f "] {
        excerpt(SOURCE, anchor).expect_err("no such pair of marks");
    }
}

#[test]
fn a_stale_quotation_is_found_and_blessed() {
    let page = "# One\n\n```rust runtime/a.rs#f\nfn f() {\n    h();\n\n}\n```\n\n```rust\nfree();\n```\n\n\
                ```rust runtime/a.rs#g\n```\n\n```rust runtime/a.rs#h\n```\n```rust runtime/z.rs#f\n```\n\
                ```rust a.rs\n```\n```console cargo run --example hello\nHello\n```\n";
    let tree = Tree::planted(&[("docs/1.md", page), ("runtime/a.rs", SOURCE)]);
    let findings = check(&tree);
    demand(&findings, "docs/1.md", 5, "here \"    h();\", there \"    g();\"");
    demand(&findings, "docs/1.md", 15, "here no more lines, there \"g();\"");
    demand(&findings, "docs/1.md", 17, "stands there 0 times");
    demand(&findings, "docs/1.md", 19, "runtime/z.rs, which does not exist");
    demand(&findings, "docs/1.md", 21, "not of the form path#anchor");
    assert_eq!(findings.len(), 5, "{findings:#?}");

    let blessed = bless(&tree, page);
    let after = check(&Tree::planted(&[("docs/1.md", &blessed), ("runtime/a.rs", SOURCE)]));
    let left: Vec<usize> = after.iter().map(|finding| finding.line).collect();
    assert_eq!(left.len(), 3, "what has no source is left as it was: {after:#?}");
    assert!(blessed.contains("```rust\nfree();\n```\n\n") && blessed.ends_with("Hello\n```\n"));
}
