//! What is written on standard error of an end that no handle sees.
//!
//! Each test starts its own program again with `CHILD` set, for that test alone, and reads what the
//! child wrote. In the child the same function does what is to be reported.

use std::{env, future::pending, process::Command};

use whirligig::{
    spawn_local, task,
    task::{JoinHandle, yield_now},
};

/// Starts this program again for one test and returns the lines that whirligig wrote on standard
/// error (the others are the panic hook's); `None` in the child.
fn reports_of_child(test: &str) -> Option<Vec<String>> {
    if env::var_os("CHILD").is_some() {
        return None;
    }
    let mut run = Command::new(env::current_exe().unwrap());
    let run = run.args([test, "--exact", "--nocapture"]).env("CHILD", "1").output().unwrap();
    let stderr = String::from_utf8(run.stderr).unwrap();
    let stdout = String::from_utf8(run.stdout).unwrap();
    assert!(run.status.success() && stdout.contains("1 passed"), "{}: {stderr}", run.status);
    let ours = stderr.lines().filter(|line| line.starts_with("whirligig: "));
    Some(ours.map(str::to_owned).collect())
}

#[track_caller]
fn demand_report(report: &str, name: &str, line: u32, ending: &str) {
    let who = format!("'{name}', spawned at {}:{line}:", file!());
    assert!(report.contains(&who), "{report}\nis not about {who}");
    assert!(report.ends_with(ending), "{report}\ndoes not end {ending}");
}

#[test]
fn a_panic_that_no_handle_sees_is_reported_with_name_and_spawn_place() {
    let line = line!() + 1;
    let spawn = |name, future| task::Builder::new().name(name).spawn_local(future);
    let test = "a_panic_that_no_handle_sees_is_reported_with_name_and_spawn_place";
    if let Some(lines) = reports_of_child(test) {
        assert_eq!(lines.len(), 2, "{lines:#?}");
        let said = "panicked and nobody awaits it: the handle goes before";
        demand_report(&lines[0], "before", line, said);
        let said = "panicked and nobody awaits it: the handle goes after";
        demand_report(&lines[1], "after", line, said);
        return;
    }
    let bomb = async |when: &str| -> () {
        yield_now().await;
        panic!("the handle goes {when}")
    };
    whirligig::run(async move {
        drop(spawn("before", bomb("before")));
        let late = spawn("after", bomb("after"));
        let seen = spawn("seen", bomb("never"));
        assert!(seen.await.unwrap_err().is_panic());
        drop(late);
    });
}

#[test]
fn an_error_left_to_a_detached_task_is_reported_and_nothing_else_is() {
    let line = line!() + 1;
    let spawn = |name, future| task::Builder::new().name(name).spawn_local(future);
    if let Some(lines) =
        reports_of_child("an_error_left_to_a_detached_task_is_reported_and_nothing_else_is")
    {
        assert_eq!(lines.len(), 3, "{lines:#?}");
        let said = "failed and nobody awaits it: invalid digit found in string";
        demand_report(&lines[0], "ended already", line, said);
        demand_report(&lines[1], "ends later", line, said);
        demand_report(&lines[2], "panics", line, "panicked and nobody awaits it: instead");
        return;
    }
    let parse = async |text: &str| {
        match text {
            "panic" => panic!("instead"),
            "wait" => pending().await,
            _ => yield_now().await,
        }
        text.parse::<i32>()
    };
    whirligig::run(async move {
        let ended = spawn("ended already", parse("x"));
        spawn("succeeds", parse("1")).detach_reporting();
        while !ended.is_finished() {
            yield_now().await;
        }
        ended.detach_reporting();
        spawn("ends later", parse("y")).detach_reporting();
        yield_now().await;
        yield_now().await;
        spawn("panics", parse("panic")).detach_reporting();
        let cancelled: JoinHandle<_> = spawn("is cancelled", parse("wait"));
        cancelled.cancel();
        cancelled.detach_reporting();
        yield_now().await;
        // Only detached, an error is nobody's business.
        drop(spawn("dropped", parse("z")));
        yield_now().await;
        yield_now().await;
    });
}

#[test]
fn a_foreign_closure_that_panics_is_reported() {
    if let Some(lines) = reports_of_child("a_foreign_closure_that_panics_is_reported") {
        let [line] = &lines[..] else { panic!("one report, not {lines:?}") };
        assert!(
            line.starts_with("whirligig: task ") && line.contains("tests/reports.rs:"),
            "{line}"
        );
        assert!(line.ends_with("panicked and nobody awaits it: closure"), "{line}");
        return;
    }
    whirligig::run(async {
        let handle = whirligig::Handle::current();
        handle.call_soon_threadsafe(|| panic!("closure")).unwrap();
        yield_now().await;
        spawn_local(async {}).await.unwrap();
    });
}
