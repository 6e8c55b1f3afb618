//! Which file may import which: all files in one order, and a test that reads every path.
//!
//! A file imports only from files earlier in the list: from all of the groups before its own, and from those
//! files of its own group that its line names. So no import cycle can exist, and a reader who follows the list
//! never meets a name whose file is still to come.
//! How the imports are read stands in `edges.rs`.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    edges::{Edge, read_edges},
    tree::{Finding, Tree, demand, demand_none},
};

/// To add a file: write it into the earliest group that has all it imports. After `<-` stand the files of the same
/// group, earlier in the list, that it may import.
const ORDER: &str = "
base
    engine/base/primitives.rs
    engine/base/prefetch.rs
    engine/base/pinned.rs
    engine/base/locals.rs
    engine/base/local_key.rs
    engine/base/id.rs                   <- engine/base/primitives.rs
    engine/base/location.rs                <- engine/base/id.rs
    engine/base/this_poll.rs            <- engine/base/id.rs engine/base/local_key.rs engine/base/locals.rs engine/base/location.rs
    engine/base/stats.rs                <- engine/base/primitives.rs
    engine/base/user_code.rs
    engine/base/error.rs
    engine/base/checks.rs               <- engine/base/primitives.rs
    engine/base/holders.rs              <- engine/base/checks.rs engine/base/id.rs
    engine/base/mod.rs
    engine/base/clock.rs      <- engine/base/primitives.rs
    engine/base/trace.rs   <- engine/base/local_key.rs engine/base/id.rs engine/base/location.rs engine/base/user_code.rs engine/base/clock.rs
queues and lists
    engine/waiting/mod.rs
    engine/waiting/shell.rs
    engine/waiting/thread.rs
    engine/waiting/waiter.rs
    engine/waiting/wait_list.rs <- engine/waiting/waiter.rs
    engine/run_queue/batches.rs
    engine/run_queue/lifo.rs
    engine/run_queue/stealing.rs   <- engine/run_queue/lifo.rs
    engine/run_queue/injector.rs   <- engine/run_queue/stealing.rs
    engine/run_queue/mod.rs
    engine/timer/wheel.rs
    engine/timer/slack.rs          <- engine/timer/wheel.rs
from thread to thread
    engine/wait.rs
    engine/park.rs
    engine/inbox.rs                <- engine/wait.rs engine/park.rs
parts of a loop
    engine/task/mod.rs
    engine/task/key.rs
    engine/task/outcome.rs
    engine/task/poll.rs
    engine/task/reach.rs
    engine/task/cell.rs            <- engine/task/outcome.rs engine/task/poll.rs
    engine/task/shared_joiner.rs   <- engine/task/outcome.rs engine/task/cell.rs engine/task/reach.rs
    engine/task/join.rs            <- engine/task/outcome.rs engine/task/cell.rs engine/task/reach.rs engine/task/shared_joiner.rs
    engine/task/spawned.rs         <- engine/task/outcome.rs engine/task/poll.rs engine/task/cell.rs engine/task/reach.rs engine/task/join.rs
    engine/task/slots.rs           <- engine/task/key.rs engine/task/spawned.rs
    engine/task/steps.rs           <- engine/task/poll.rs
    engine/task/tasks.rs           <- engine/task/key.rs engine/task/slots.rs engine/task/spawned.rs
    engine/task/local.rs <- engine/task/key.rs engine/task/slots.rs engine/task/spawned.rs engine/task/steps.rs engine/task/tasks.rs engine/task/poll.rs engine/task/reach.rs
    engine/waiting/leaf.rs         <- engine/task/local.rs
    engine/waiting/arrivals.rs     <- engine/task/local.rs
    engine/task/state.rs           <- engine/task/spawned.rs
    engine/task/shared.rs          <- engine/task/join.rs engine/task/poll.rs engine/task/reach.rs engine/task/spawned.rs engine/task/state.rs engine/task/steps.rs
    engine/task/owned.rs           <- engine/task/shared.rs
    engine/blocking/mod.rs <- engine/task/spawned.rs engine/task/poll.rs
    engine/reactor/flags.rs
    engine/reactor/slot.rs
    engine/reactor/source.rs       <- engine/reactor/flags.rs engine/reactor/slot.rs
    engine/reactor/sources.rs      <- engine/reactor/source.rs
    engine/reactor/woken.rs
    engine/reactor/selector.rs
    engine/reactor/registration.rs <- engine/reactor/flags.rs engine/reactor/selector.rs engine/reactor/source.rs engine/reactor/sources.rs
    engine/reactor/mod.rs          <- engine/reactor/flags.rs engine/reactor/source.rs engine/reactor/sources.rs engine/reactor/woken.rs engine/reactor/registration.rs
    engine/reactor/shared.rs       <- engine/reactor/flags.rs engine/reactor/source.rs engine/reactor/sources.rs engine/reactor/woken.rs engine/reactor/registration.rs engine/reactor/mod.rs
    engine/timer/mod.rs
schedulers
    engine/scheduler/remote.rs
    engine/scheduler/poll_interval.rs
    engine/scheduler/spin.rs
    engine/scheduler/event_loop.rs <- engine/scheduler/remote.rs engine/scheduler/poll_interval.rs engine/scheduler/spin.rs
    engine/scheduler/waiting.rs <- engine/scheduler/event_loop.rs engine/scheduler/spin.rs
    engine/scheduler/pool/cost.rs
    engine/scheduler/pool/watch.rs
    engine/scheduler/pool/parker.rs
    engine/scheduler/pool/idle.rs <- engine/scheduler/pool/parker.rs
    engine/scheduler/pool/threads.rs
    engine/scheduler/pool/numbers.rs
    engine/scheduler/pool/mod.rs <- engine/scheduler/pool/cost.rs engine/scheduler/pool/watch.rs engine/scheduler/pool/parker.rs engine/scheduler/pool/idle.rs engine/scheduler/pool/threads.rs engine/scheduler/pool/numbers.rs
    engine/scheduler/pool/worker.rs <- engine/scheduler/pool/mod.rs engine/scheduler/poll_interval.rs
    engine/scheduler/pool/sharing.rs <- engine/scheduler/pool/cost.rs engine/scheduler/pool/mod.rs engine/scheduler/pool/worker.rs
    engine/scheduler/pool/guard.rs <- engine/scheduler/pool/watch.rs engine/scheduler/pool/worker.rs
    engine/scheduler/pool/parking.rs <- engine/scheduler/pool/idle.rs engine/scheduler/pool/mod.rs engine/scheduler/pool/worker.rs engine/scheduler/pool/guard.rs
    engine/scheduler/pool/worker_thread.rs <- engine/scheduler/pool/mod.rs engine/scheduler/pool/threads.rs engine/scheduler/pool/worker.rs
    engine/scheduler/mod.rs
what runs this thread
    engine/mod.rs
    engine/current.rs
    engine/armed_timer.rs   <- engine/current.rs
owners and handles
    handle.rs
    dump.rs
    shutdown.rs             <- dump.rs
    event_loop.rs           <- dump.rs handle.rs shutdown.rs
    block_on.rs             <- handle.rs event_loop.rs
    runtime.rs              <- dump.rs handle.rs shutdown.rs
    trace.rs
    builder.rs              <- event_loop.rs runtime.rs
what users await
    time/instant.rs
    time/sleep.rs           <- time/instant.rs
    time/interval.rs        <- time/instant.rs time/sleep.rs
    time/timeout.rs         <- time/instant.rs time/sleep.rs
    time/mod.rs             <- time/instant.rs time/sleep.rs time/interval.rs time/timeout.rs
    task/cancel.rs
    task/blocking.rs        <- task/cancel.rs
    task/budget.rs
    task/calls.rs           <- time/instant.rs
    task/cancel_on_drop.rs
    task/cancel_token.rs    <- task/calls.rs time/instant.rs
    task/cleanup.rs
    task/shield.rs
    task/end.rs
    task/group.rs           <- task/cancel.rs
    task/info.rs
    task/locals.rs
    task/many.rs
    task/gather.rs          <- task/many.rs
    task/race.rs            <- task/many.rs
    task/as_completed.rs    <- task/many.rs
    task/wait.rs            <- task/many.rs time/instant.rs time/sleep.rs
    task/errors.rs
    task/child.rs
    task/children.rs <- task/child.rs
    task/outcome.rs <- task/child.rs task/errors.rs
    task/scope.rs <- task/child.rs task/children.rs task/end.rs task/errors.rs task/outcome.rs time/mod.rs time/sleep.rs
    task/borrowing.rs <- task/child.rs task/children.rs task/errors.rs task/outcome.rs
    task/mod.rs <- task/cancel.rs task/blocking.rs task/budget.rs task/cancel_on_drop.rs task/group.rs task/gather.rs task/race.rs task/as_completed.rs task/wait.rs task/borrowing.rs task/child.rs task/errors.rs task/scope.rs task/calls.rs task/cancel_token.rs task/cleanup.rs task/shield.rs task/info.rs task/locals.rs
    queue/error.rs
    queue/items.rs
    queue/heap.rs <- queue/items.rs
    queue/order.rs <- queue/heap.rs queue/items.rs
    queue/core.rs <- queue/error.rs queue/order.rs
    queue/generic.rs <- queue/core.rs queue/error.rs queue/order.rs
    queue/futures.rs <- queue/generic.rs queue/error.rs queue/order.rs
    queue/blocking.rs <- queue/generic.rs queue/error.rs queue/order.rs
    queue/stream.rs <- queue/generic.rs queue/order.rs
    queue/sink.rs <- queue/error.rs queue/generic.rs queue/order.rs
    queue/local.rs          <- queue/futures.rs queue/generic.rs queue/order.rs
    queue/mod.rs <- queue/futures.rs queue/generic.rs queue/core.rs queue/error.rs queue/order.rs queue/sink.rs queue/stream.rs
    sync/permits.rs
    sync/guarded.rs         <- sync/permits.rs
    sync/semaphore.rs       <- sync/permits.rs
    sync/mutex.rs           <- sync/permits.rs sync/guarded.rs
    sync/rwlock.rs          <- sync/permits.rs sync/guarded.rs sync/mutex.rs
    sync/condition.rs       <- sync/permits.rs sync/guarded.rs sync/mutex.rs
    sync/barrier.rs
    sync/event.rs
    sync/once_cell.rs
    sync/rate_limiter.rs    <- time/mod.rs
    sync/oneshot.rs
    sync/watch.rs
    sync/broadcast.rs
    sync/mpsc.rs            <- queue/mod.rs sync/event.rs
    sync/mod.rs             <- sync/event.rs sync/once_cell.rs sync/rate_limiter.rs sync/semaphore.rs sync/mutex.rs sync/rwlock.rs sync/condition.rs sync/barrier.rs
    io/source.rs
    io/operation.rs         <- io/source.rs
    io/traits.rs            <- io/source.rs
    io/pipe.rs              <- io/source.rs io/operation.rs
    io/copy.rs
    io/pooled.rs            <- task/mod.rs
    io/stdio.rs             <- io/source.rs io/operation.rs io/pooled.rs
    io/mod.rs               <- io/source.rs io/operation.rs io/pipe.rs io/copy.rs io/stdio.rs
    signal/kind.rs
    signal/disposition.rs   <- signal/kind.rs
    signal/delivery.rs      <- io/mod.rs signal/kind.rs signal/disposition.rs
    signal/listener.rs      <- signal/kind.rs signal/delivery.rs
    signal/ctrl_c.rs        <- signal/kind.rs signal/listener.rs
    signal/mod.rs           <- signal/kind.rs signal/listener.rs signal/ctrl_c.rs
    process/error.rs
    process/exit.rs         <- io/mod.rs signal/mod.rs process/error.rs
    process/orphans.rs      <- signal/mod.rs process/exit.rs
    process/child.rs        <- io/mod.rs signal/mod.rs process/error.rs process/exit.rs process/orphans.rs
    process/command.rs      <- process/error.rs process/child.rs
    process/mod.rs          <- process/error.rs process/exit.rs process/child.rs process/command.rs
    net/addresses.rs        <- task/mod.rs
    net/family.rs
    net/error.rs
    net/options.rs
    net/targets.rs          <- net/addresses.rs net/error.rs
    net/bind.rs             <- net/addresses.rs net/targets.rs
    net/socket.rs           <- net/error.rs net/options.rs
    net/datagram.rs         <- io/mod.rs net/family.rs
    net/stream.rs           <- io/mod.rs net/datagram.rs net/family.rs
    net/send_file.rs        <- io/mod.rs net/family.rs net/stream.rs
    net/split.rs            <- net/family.rs net/stream.rs
    net/listener.rs         <- io/mod.rs time/instant.rs time/sleep.rs net/family.rs net/stream.rs
    net/tcp.rs              <- io/mod.rs net/addresses.rs net/bind.rs net/family.rs net/listener.rs net/options.rs net/socket.rs net/stream.rs
    net/connect.rs          <- io/mod.rs time/sleep.rs time/timeout.rs time/mod.rs net/addresses.rs net/error.rs net/socket.rs net/targets.rs net/tcp.rs
    net/batch.rs
    net/recvmmsg.rs         <- net/batch.rs
    net/many.rs             <- net/batch.rs net/datagram.rs net/recvmmsg.rs
    net/udp.rs              <- net/addresses.rs net/batch.rs net/bind.rs net/datagram.rs net/error.rs net/family.rs net/many.rs net/targets.rs
    net/unix/address.rs     <- net/family.rs
    net/unix/ancillary.rs   <- net/datagram.rs
    net/unix/peer_cred.rs
    net/unix/retry.rs       <- time/sleep.rs time/mod.rs
    net/unix/stream.rs      <- io/mod.rs net/error.rs net/listener.rs net/stream.rs net/unix/address.rs net/unix/ancillary.rs net/unix/peer_cred.rs net/unix/retry.rs
    net/unix/datagram.rs    <- io/mod.rs net/datagram.rs net/error.rs net/unix/address.rs net/unix/ancillary.rs net/unix/peer_cred.rs net/unix/retry.rs net/unix/stream.rs
    net/unix/seqpacket.rs   <- net/listener.rs net/unix/address.rs net/unix/datagram.rs net/unix/peer_cred.rs net/unix/stream.rs
    net/unix/mod.rs         <- net/unix/address.rs net/unix/datagram.rs net/unix/peer_cred.rs net/unix/seqpacket.rs net/unix/stream.rs
    net/mod.rs              <- net/send_file.rs net/addresses.rs net/batch.rs net/bind.rs net/datagram.rs net/error.rs net/family.rs net/socket.rs net/stream.rs net/tcp.rs net/connect.rs net/split.rs net/listener.rs net/udp.rs net/unix/mod.rs
files
    fs/error.rs
    fs/calls.rs              <- fs/error.rs
    fs/directory.rs          <- fs/calls.rs fs/error.rs
    fs/file.rs               <- fs/error.rs
    fs/open.rs               <- fs/calls.rs fs/file.rs
    fs/mod.rs                <- fs/calls.rs fs/directory.rs fs/error.rs fs/file.rs fs/open.rs
executors
    executor/call.rs
    executor/completed.rs    <- executor/call.rs
    executor/queued.rs       <- executor/call.rs
    executor/cpu.rs          <- executor/call.rs executor/queued.rs
    executor/map.rs          <- executor/call.rs
    executor/delayed.rs      <- executor/call.rs
    executor/thread_pool.rs  <- executor/call.rs executor/delayed.rs executor/map.rs
    executor/process_pool/function.rs <- executor/call.rs executor/delayed.rs
    executor/process_pool/frame.rs <- executor/process_pool/function.rs
    executor/process_pool/child.rs <- executor/process_pool/frame.rs executor/process_pool/function.rs
    executor/process_pool/line.rs <- executor/call.rs executor/queued.rs executor/process_pool/frame.rs
    executor/process_pool/worker.rs <- executor/call.rs executor/process_pool/child.rs executor/process_pool/frame.rs executor/process_pool/line.rs
    executor/process_pool/pool.rs <- executor/call.rs executor/delayed.rs executor/map.rs executor/process_pool/child.rs executor/process_pool/frame.rs executor/process_pool/function.rs executor/process_pool/line.rs executor/process_pool/worker.rs
    executor/process_pool/mod.rs <- executor/process_pool/child.rs executor/process_pool/function.rs executor/process_pool/pool.rs
    executor/mod.rs          <- executor/call.rs executor/completed.rs executor/cpu.rs executor/delayed.rs executor/map.rs executor/process_pool/mod.rs executor/thread_pool.rs
other crates' traits
    adapters/tokio_io.rs
    adapters/quinn.rs
    adapters/hickory.rs
    adapters/hyper/rt.rs
    adapters/hyper/io.rs
    adapters/hyper/connector.rs
    adapters/hyper/first_bytes.rs
    adapters/hyper/serve.rs <- adapters/hyper/first_bytes.rs adapters/hyper/rt.rs
    adapters/hyper/mod.rs <- adapters/hyper/connector.rs adapters/hyper/io.rs adapters/hyper/rt.rs adapters/hyper/serve.rs
    adapters/mod.rs
the public names
    lib.rs
";

const WHERE: &str = "the table ORDER in tests/house/imports.rs";

/// One file's line in the table.
#[derive(Debug)]
struct Place<'a> {
    group: usize,
    group_name: &'a str,
    siblings: Vec<&'a str>,
}

fn read_table<'a>(table: &'a str) -> Result<BTreeMap<&'a str, Place<'a>>, String> {
    let mut order: BTreeMap<&str, Place<'_>> = BTreeMap::new();
    let (mut group, mut group_name) = (0, "");
    for line in table.lines().filter(|line| !line.trim().is_empty()) {
        if !line.starts_with(' ') {
            (group, group_name) = (group + 1, line.trim());
            continue;
        }
        let (file, siblings) = line.split_once("<-").unwrap_or((line, ""));
        let (file, siblings) = (file.trim(), siblings.split_whitespace().collect::<Vec<_>>());
        for sibling in &siblings {
            if order.get(sibling).is_none_or(|place| place.group != group) {
                return Err(format!("{file} names {sibling}, which is not earlier in its group"));
            }
        }
        if order.insert(file, Place { group, group_name, siblings }).is_some() {
            return Err(format!("{file} stands there twice"));
        }
    }
    Ok(order)
}

fn check(tree: &Tree, table: &str) -> Vec<Finding> {
    let order = match read_table(table) {
        Ok(order) => order,
        Err(error) => return vec![Finding::new("tests/house/imports.rs", 1, error)],
    };
    let mut findings = Vec::new();
    let (files, edges) = read_edges(tree, &mut findings);
    for file in &files {
        // A file's unit tests are not in the list.
        if !order.contains_key(file.as_str()) && !file.ends_with("_tests.rs") {
            let what = format!("is not in the list: add it to {WHERE}");
            findings.push(Finding::new(&format!("runtime/{file}"), 1, what));
        }
    }
    let line_of = |file: &str| {
        let at = include_str!("imports.rs").lines().position(|line| line.trim().starts_with(file));
        at.map_or(1, |at| at + 1)
    };
    for (file, place) in &order {
        let mut find =
            |what| findings.push(Finding::new("tests/house/imports.rs", line_of(file), what));
        if !files.contains(*file) {
            find(format!("{file}: there is no such file: correct its line in ORDER"));
            continue;
        }
        for sibling in &place.siblings {
            if !edges.iter().any(|edge| edge.from == *file && edge.to == *sibling) {
                find(format!("{file} does not import {sibling}: take it out of its line in ORDER"));
            }
        }
    }
    for edge in &edges {
        let (Some(from), Some(to)) = (order.get(edge.from.as_str()), order.get(edge.to.as_str()))
        else {
            continue;
        };
        let Edge { path, to: file, .. } = edge;
        let problem = if to.group > from.group {
            format!("later in the list, from {:?} to {:?}", from.group_name, to.group_name)
        } else if to.group == from.group && !from.siblings.contains(&file.as_str()) {
            "a sibling that it does not know".to_owned()
        } else {
            continue;
        };
        let what = format!(
            "`{path}` lives in {file}: {problem}. Name the thing by the file that defines it; if that \
             is {file}, move what is shared to an earlier file, or hand it in from a later one (the order: {WHERE})"
        );
        findings.push(Finding::new(&format!("runtime/{}", edge.from), edge.line, what));
    }
    findings.extend(find_cycle(&files, &edges));
    findings
}

/// One import cycle, if there is any, told at its first edge.
fn find_cycle(files: &BTreeSet<String>, edges: &BTreeSet<Edge>) -> Option<Finding> {
    // Files that import nothing but files taken away before are taken away, until none is left or
    // each left imports another that is left.
    let mut left: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    let onward = |left: &BTreeSet<&str>, file: &str| {
        edges.iter().find(|edge| edge.from == file && left.contains(edge.to.as_str()))
    };
    while let Some(leaf) = left.iter().copied().find(|file| onward(&left, file).is_none()) {
        left.remove(leaf);
    }
    let mut trip: Vec<&Edge> = Vec::new();
    let mut file = *left.first()?;
    loop {
        if let Some(start) = trip.iter().position(|edge| edge.from == file) {
            let names: Vec<&str> = trip[start..].iter().map(|edge| edge.from.as_str()).collect();
            let what = format!("an import cycle: {} -> {file}", names.join(" -> "));
            return Some(Finding::new(&format!("runtime/{file}"), trip[start].line, what));
        }
        let edge = onward(&left, file)?;
        trip.push(edge);
        file = &edge.to;
    }
}

#[test]
fn a_file_imports_only_earlier_files() {
    let findings = check(&Tree::of_the_repository(), ORDER);
    demand_none("a file imports only from files earlier in the list", findings);
}

/// An order of five files, and what the tests below put into it.
const SMALL: &str = "
first
    a.rs
    b.rs <- a.rs
middle
    task/join.rs
    task/mod.rs <- task/join.rs
last
    lib.rs
";

fn check_small(replaced: &[(&str, &str)]) -> Vec<Finding> {
    let mut files = vec![
        ("runtime/a.rs", "pub fn a() {} pub mod inner { pub fn c() {} }"),
        ("runtime/b.rs", "use super::a::{self as first, inner};\nfn b() { first::a() }"),
        ("runtime/task/join.rs", "use crate::{a::{inner::c, *}, b};\nfn f(x: super::join::X) {}"),
        ("runtime/task/mod.rs", "mod join;\npub use join::X;\npub(super) fn g() { thread() }"),
        ("runtime/lib.rs", "mod a; mod b; pub mod task;\npub use task::X;"),
    ];
    for new in replaced {
        files.retain(|old| old.0 != new.0);
        files.push(*new);
    }
    check(&Tree::planted(&files), SMALL)
}

#[test]
fn a_clean_order_is_clean() {
    assert_eq!(check_small(&[]), []);
}

#[test]
fn imports_from_later_files_are_found_however_they_are_written() {
    let source = "use crate::a::a;\n\
                  use crate::task;\n\
                  use super::{\n    a::{self},\n    task::{join::{Y as Z}},\n};\n\
                  fn f() { crate::task::g(); }\n\
                  fn g() { assert!(x == crate::task::join::Y); }\n\
                  macro_rules! m { () => { $crate::X } }\n\
                  fn h() { task::g(); }\n\
                  mod inner { fn i(x: &dyn super::super::task::T) {} }\n\
                  #[cfg(test)]\nmod tests { use crate::task::*; }\n\
                  #[cfg(all(test, loom))]\nuse crate::task::join;\n\
                  impl S { #[cfg(test)] fn j() { crate::task::g() } }\n\
                  fn k() -> std::task::Poll<u8> { ::task::x(); core::task::y() }\n\
                  /// [`crate::task`]\nstruct Free(pub(crate) u8);\n";
    let findings = check_small(&[("runtime/b.rs", source)]);
    for (line, what) in [
        (2, "`crate::task` lives in task/mod.rs"),
        (5, "`super::task::join::Y` lives in task/join.rs"),
        (7, "`crate::task::g` lives in task/mod.rs"),
        (8, "`crate::task::join::Y` lives in task/join.rs"),
        (9, "`crate::X` lives in lib.rs: later in the list, from \"first\" to \"last\""),
        (10, "`task::g` lives in task/mod.rs"),
        (11, "`super::super::task::T` lives in task/mod.rs"),
    ] {
        demand(&findings, "runtime/b.rs", line, what);
    }
    let last = findings.iter().map(|finding| finding.line).max();
    assert_eq!(last, Some(11), "what only tests use is free: {findings:#?}");
}

#[test]
fn a_sibling_and_a_cycle_are_found() {
    let findings = check_small(&[("runtime/a.rs", "//! A.\n\nuse crate::b;\n")]);
    demand(
        &findings,
        "runtime/a.rs",
        3,
        "`crate::b` lives in b.rs: a sibling that it does not know",
    );
    demand(&findings, "runtime/a.rs", 3, "an import cycle: a.rs -> b.rs -> a.rs");
}

#[test]
fn missing_and_vanished_files_in_the_table_are_found() {
    let findings = check_small(&[("runtime/new.rs", ""), ("runtime/b.rs", "")]);
    demand(&findings, "runtime/new.rs", 1, "is not in the list");
    assert!(findings.iter().any(|f| f.what.contains("b.rs does not import a.rs")), "{findings:#?}");
    let findings = check(&Tree::planted(&[("runtime/a.rs", "")]), "first\n    a.rs\n    z.rs\n");
    assert!(findings[0].what.starts_with("z.rs: there is no such file"), "{findings:#?}");
    for table in ["first\n    a.rs <- b.rs\n    b.rs\n", "first\n    a.rs\n    a.rs\n"] {
        read_table(table).expect_err("the table contradicts itself");
    }
}

#[test]
fn a_file_declared_for_tests_is_free() {
    let findings = check_small(&[
        ("runtime/a.rs", "#[cfg(test)]\nmod tests;"),
        ("runtime/a/tests.rs", "use crate::task::X;"),
        ("runtime/b.rs", "use crate::a::inner;"),
    ]);
    assert_eq!(findings, []);
}
