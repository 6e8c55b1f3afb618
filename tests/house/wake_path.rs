//! One wake, from readiness to poll, passes through five files at most.
//!
//! `runtime/lib.rs` tells the trip in a paragraph that begins with "One wake": the files in order, each
//! once, though the trip comes back to some of them in the next turn, and in parentheses after each the
//! functions that the trip goes through. This reads that paragraph and
//! holds it against the files, so that the map at the door cannot lie.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::tree::{Finding, Tree, demand, demand_none};

const MAP: &str = "runtime/lib.rs";
const BEGINS: &str = "One wake";
const MOST_FILES: usize = 5;
/// Where a readiness becomes known.
const FIRST: &str = "reactor/source.rs";
/// Where `Future::poll` is called.
const LAST: &str = "task/spawned.rs";

/// The crate's own documentation: Markdown, line for line with the file.
fn essay(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect()
}

/// The code spans of the paragraph that begins with [`BEGINS`], and the line where it does.
fn spans(markdown: &str) -> Option<(usize, Vec<String>)> {
    let mut paragraph: Option<(usize, String, Vec<String>)> = None;
    for (event, range) in Parser::new(markdown).into_offset_iter() {
        match event {
            Event::Start(Tag::Paragraph) => {
                let line = 1 + markdown[..range.start].matches('\n').count();
                paragraph = Some((line, String::new(), Vec::new()));
            }
            Event::End(TagEnd::Paragraph) => {
                let (line, text, spans) = paragraph.take()?;
                if text.starts_with(BEGINS) {
                    return Some((line, spans));
                }
            }
            Event::Text(piece) => {
                paragraph.iter_mut().for_each(|(_, text, _)| text.push_str(&piece));
            }
            Event::Code(code) => {
                paragraph.iter_mut().for_each(|(_, _, spans)| spans.push(code.to_string()));
            }
            _ => {}
        }
    }
    None
}

fn check(tree: &Tree) -> Vec<Finding> {
    let Some((line, spans)) = tree.text(MAP).and_then(|text| spans(&essay(text))) else {
        let what = format!("the essay has no paragraph that begins with {BEGINS:?}");
        return vec![Finding::new(MAP, 1, what)];
    };
    let mut findings = Vec::new();
    let mut find = |what: String| findings.push(Finding::new(MAP, line, what));
    let mut files: Vec<&str> = Vec::new();
    for span in &spans {
        if span.ends_with(".rs") {
            if tree.text(&format!("runtime/{span}")).is_none() {
                find(format!("the wake's trip passes `{span}`, which does not exist"));
            }
            if files.contains(&span.as_str()) {
                find(format!("the wake's trip comes back to `{span}`: tell each file once"));
            }
            files.push(span);
            continue;
        }
        // Functions are plain names; other code (`Waker`) is somebody else's.
        let is_function = span.starts_with(|c: char| c.is_lowercase())
            && span.chars().all(|c| c.is_alphanumeric() || c == '_');
        let Some(file) = files.last().filter(|_| is_function) else { continue };
        let text = tree.text(&format!("runtime/{file}")).unwrap_or("");
        if !["(", "<"].iter().any(|next| text.contains(&format!("fn {span}{next}"))) {
            find(format!(
                "the wake's trip goes through `{span}` of `{file}`, which has no such function"
            ));
        }
    }
    if files.len() > MOST_FILES {
        find(format!("the wake's trip passes {} files, {MOST_FILES} is the most", files.len()));
    }
    if files.first() != Some(&FIRST) || files.last() != Some(&LAST) {
        find(format!("the wake's trip begins in `{FIRST}` and ends in `{LAST}`"));
    }
    findings
}

#[test]
fn a_wake_passes_five_files_at_most() {
    demand_none("from readiness to poll in five files", check(&Tree::of_the_repository()));
}

#[test]
fn a_false_trip_is_found() {
    let house = |essay| {
        Tree::planted(&[
            (MAP, essay),
            ("runtime/reactor/source.rs", "fn set(&self) {}"),
            ("runtime/task/local.rs", "fn wake<T>(key: u64) {}"),
            ("runtime/task/spawned.rs", "fn poll() {}"),
        ])
    };
    let told = "//! Map.\n//!\n//! One wake: `reactor/source.rs` (`set`) -> `Waker` ->\n\
                //! `task/local.rs` (`wake`) -> `task/spawned.rs` (`poll`).\n";
    assert_eq!(check(&house(told)), []);
    let findings =
        check(&house("//! Map.\n//!\n//! One wake: `reactor/source.rs` (`sets`) -> `gone.rs`"));
    demand(&findings, MAP, 3, "`sets` of `reactor/source.rs`");
    demand(&findings, MAP, 3, "`gone.rs`, which does not exist");
    demand(&findings, MAP, 3, "ends in");
    demand(&check(&house("//! Map.\n")), MAP, 1, "no paragraph");
    let long = "//! One wake: `reactor/source.rs` `a.rs` `b.rs` `c.rs` `d.rs` `task/spawned.rs`\n";
    demand(&check(&house(long)), MAP, 1, "6 files, 5 is the most");
}
