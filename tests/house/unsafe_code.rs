//! Where `unsafe` may stand, what must stand above it, and who may know of loom.
//!
//! The compiler denies `unsafe` by lint, and a file may lift the lint. This is the list of the files
//! that may. The switch between std and loom is one file; where `cfg(loom)` spreads, the models stop
//! checking the code that ships.

use crate::{
    tokens::{self, Token, inside, needs_test, split},
    tree::{Finding, Tree, demand, demand_none},
};

/// The files of `runtime/` that may hold `unsafe`, and for what.
const MAY_BE_UNSAFE: &[(&str, &str)] = &[
    ("runtime/adapters/hyper/io.rs", "memory that a reader fills, and nobody zeroes first"),
    (
        "runtime/adapters/tokio_io.rs",
        "memory that a reader fills, and that nobody has to zero first",
    ),
    (
        "runtime/engine/base/clock.rs",
        "clock_gettime, which rustix reads in a way valgrind cannot follow; the cycle counter",
    ),
    ("runtime/engine/base/pinned.rs", "the pin of a slice, passed on to its elements"),
    ("runtime/engine/base/prefetch.rs", "an instruction of the processor"),
    ("runtime/engine/reactor/slot.rs", "a waker in two atomic words"),
    ("runtime/engine/reactor/source.rs", "who takes that waker out: the word says"),
    ("runtime/net/recvmmsg.rs", "a system call that rustix does not offer"),
    ("runtime/net/unix/peer_cred.rs", "a system call that rustix answers wrongly for some peers"),
    ("runtime/engine/run_queue/lifo.rs", "a place that its owner fills and a thief may empty"),
    ("runtime/engine/run_queue/stealing.rs", "a ring of such places"),
    ("runtime/engine/task/local.rs", "the waker that is a number: its RawWaker"),
    ("runtime/engine/task/cell.rs", "the join cell: future, outcome and waker of two sides"),
    ("runtime/engine/task/spawned.rs", "a future's type, forgotten and remembered"),
    ("runtime/signal/disposition.rs", "what a signal does now: sigaction, which no crate asks"),
    ("runtime/engine/task/state.rs", "what a task's word guards: one claim at a time"),
    ("runtime/sync/guarded.rs", "the value under a lock, for what has all its permits, or one"),
];

/// The files of `runtime/` that may ask for loom outside their tests.
const MAY_ASK_FOR_LOOM: &[&str] = &[
    "runtime/engine/base/primitives.rs",
    "runtime/engine/reactor/selector.rs",
    "runtime/engine/wait.rs",
    "runtime/lib.rs",
];

/// A SAFETY comment ends at most this many lines above its `unsafe`.
const REACH: usize = 3;

fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.files("runtime/", "rs") {
        match tokens::of_text(text) {
            Ok(row) => {
                check_unsafe(path, text, &row, &mut findings);
                check_loom(path, &row, &mut findings);
            }
            Err(error) => findings.push(Finding::new(path, 1, error)),
        }
    }
    findings
}

fn check_unsafe(path: &str, text: &str, row: &[Token], findings: &mut Vec<Finding>) {
    let allowed = MAY_BE_UNSAFE.iter().any(|&(file, _)| file == path);
    let mut used = false;
    for (at, token) in row.iter().enumerate() {
        let next = |n: usize| row.get(at + n).map_or("", |t| t.text.as_str());
        let mut find = |what: &str| findings.push(Finding::new(path, token.line, what));
        match token.text.as_str() {
            // A function pointer's type promises nothing yet.
            "unsafe" if next(1) == "fn" && next(2) == "(" => {}
            "unsafe" => {
                used = true;
                if !allowed {
                    find(
                        "`unsafe` does not live here: find a safe way, or argue for a place in \
                          MAY_BE_UNSAFE of tests/house/unsafe_code.rs",
                    );
                }
                let claims = matches!(next(1), "{" | "impl" | "(");
                if claims && !has_safety_comment(text, token.line) {
                    find(
                        "no `// SAFETY:` comment directly above: name the invariant it rests on, and \
                          the model that checks it",
                    );
                }
            }
            "unsafe_code" if !allowed && lifts_a_lint(&row[..at]) => {
                find("lifts `unsafe_code` where no `unsafe` may live: take the attribute out");
            }
            _ => {}
        }
    }
    if allowed && !used {
        let what =
            "holds no `unsafe` any more: take it off MAY_BE_UNSAFE of tests/house/unsafe_code.rs";
        findings.push(Finding::new(path, 1, what));
    }
}

/// Whether the attribute that these tokens lead into makes a lint weaker.
fn lifts_a_lint(before: &[Token]) -> bool {
    let levels = ["allow", "expect", "warn", "deny", "forbid"];
    let level = before.iter().rev().find(|token| levels.contains(&token.text.as_str()));
    level.is_some_and(|token| ["allow", "expect", "warn"].contains(&token.text.as_str()))
}

/// Whether the comment that ends nearest above `line` says SAFETY, and nothing but the beginning of
/// the same statement stands between: no empty line, no other `unsafe`.
fn has_safety_comment(text: &str, line: usize) -> bool {
    let above: Vec<&str> = text.lines().take(line - 1).map(str::trim).collect();
    let is_comment = |line: &&&str| line.starts_with("//");
    let between = above.iter().rev().take_while(|line| !is_comment(line)).count();
    let (comments, statement) = above.split_at(above.len() - between);
    between < REACH
        && statement.iter().all(|line| !line.is_empty() && !line.contains("unsafe"))
        && comments
            .iter()
            .rev()
            .take_while(is_comment)
            .any(|line| line.trim_start_matches('/').trim_start().starts_with("SAFETY:"))
}

fn check_loom(path: &str, row: &[Token], findings: &mut Vec<Finding>) {
    if MAY_ASK_FOR_LOOM.contains(&path) {
        return;
    }
    for (at, token) in row.iter().enumerate() {
        let open = match token.text.as_str() {
            "cfg" | "cfg_attr" if row.get(at + 1).is_some_and(|t| t.text == "(") => at + 1,
            "cfg" if row.get(at + 1).is_some_and(|t| t.text == "!") => at + 2,
            _ => continue,
        };
        let Some(predicate) = split(inside(row, open)).first().copied() else { continue };
        if predicate.iter().any(|t| t.text == "loom") && !needs_test(predicate) {
            let what = "asks for loom: what differs under the models goes through primitives.rs or \
                        wait.rs (tests may say `cfg(all(test, loom))`)";
            findings.push(Finding::new(path, token.line, what));
        }
    }
}

#[test]
fn unsafe_and_loom_stay_where_they_live() {
    demand_none("`unsafe` and `cfg(loom)` have few homes", check(&Tree::of_the_repository()));
}

#[test]
fn unsafe_in_the_wrong_file_is_found() {
    let source = "//! unsafe { in a comment }\n#![allow(unsafe_code)]\n\
                  type F = unsafe fn(*const ());\n\
                  // SAFETY: no.\nfn f() { unsafe { g() } }\n\
                  macro_rules! m { () => { unsafe fn h() {} } }\n#[deny(unsafe_code)]\nmod x {}\n";
    let findings = check(&Tree::planted(&[("runtime/engine/base/stats.rs", source)]));
    demand(&findings, "runtime/engine/base/stats.rs", 2, "lifts `unsafe_code`");
    demand(&findings, "runtime/engine/base/stats.rs", 5, "does not live here");
    demand(&findings, "runtime/engine/base/stats.rs", 6, "does not live here");
    assert_eq!(findings.len(), 3, "{findings:#?}");
}

#[test]
fn unsafe_without_its_reason_is_found() {
    let source = "//! Essay.\n#![allow(unsafe_code)]\n// SAFETY: fine,\n// in two lines.\n\
                  unsafe impl Send for A {}\n\nunsafe impl Send for B {}\n\n// Safe, I hope.\n\
                  fn f() { unsafe { g() } }\n// SAFETY: too far up.\nlet a;\nlet b;\nlet c;\n\
                  let d = unsafe { g() };\n";
    let findings = check(&Tree::planted(&[("runtime/engine/task/cell.rs", source)]));
    // B stands two lines under a comment that is A's.
    demand(&findings, "runtime/engine/task/cell.rs", 7, "no `// SAFETY:`");
    demand(&findings, "runtime/engine/task/cell.rs", 10, "no `// SAFETY:`");
    demand(&findings, "runtime/engine/task/cell.rs", 15, "no `// SAFETY:`");
    assert_eq!(findings.len(), 3, "{findings:#?}");
}

#[test]
fn a_home_without_unsafe_is_found() {
    let findings =
        check(&Tree::planted(&[("runtime/engine/task/local.rs", "//! Safe.\nfn f() {}\n")]));
    demand(&findings, "runtime/engine/task/local.rs", 1, "take it off");
}

#[test]
fn loom_in_the_wrong_file_is_found() {
    let source = "//! Essay.\n#[cfg(loom)]\nuse loom::thread;\n#[cfg(all(test, loom))]\nmod models {}\n\
                  #[cfg(all(test, not(loom)))]\nmod tests {}\n#[cfg(any(test, loom))]\nmod a {}\n\
                  fn f() { if cfg!(loom) {} }\n#[cfg_attr(loom, allow(unused))]\nfn g() {}\n\
                  #[cfg(unix)]\nfn h() { let loom = 1; }\n";
    let findings = check(&Tree::planted(&[
        ("runtime/engine/inbox.rs", source),
        ("runtime/engine/wait.rs", source),
    ]));
    let lines: Vec<usize> = findings.iter().map(|finding| finding.line).collect();
    assert_eq!(lines, [2, 8, 10, 11], "{findings:#?}");
}
