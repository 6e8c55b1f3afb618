//! The example that runs commands at once: their lines, how they end, and that nothing of them is left.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
};

use super::{Background, example, refuses};

fn run(arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let run = example("children").args(arguments).output().expect("the example starts");
    let printed = String::from_utf8(run.stdout).expect("it prints UTF-8");
    let mut lines: Vec<String> = printed.lines().map(str::to_owned).collect();
    // Those of one command come in order; those of several as they happen to.
    lines.sort_by_key(|line| line.chars().next());
    (run.status.code(), lines)
}

#[test]
fn children_say_their_lines_and_how_they_ended() {
    let (code, lines) = run(&["seq 3", "echo four; exit 4", "kill -TERM $$", "true"]);
    let expected =
        ["1| 1", "1| 2", "1| 3", "2| four", "2: exit status: 4", "3: signal: 15 (SIGTERM)"];
    assert_eq!((code, &lines[..]), (Some(1), &expected.map(str::to_owned)[..]));
    assert_eq!(run(&["true", "echo well"]), (Some(0), vec!["2| well".to_owned()]));
}

/// The output ends with the last that has it open: also the shell's own children are gone.
#[test]
fn children_are_killed_at_their_limit_with_all_that_they_started() {
    let (code, lines) = run(&["--limit", "1", "sleep 1000 & sleep 1000", "echo done"]);
    let expected = ["1: killed after 1 s", "2| done"];
    assert_eq!((code, &lines[..]), (Some(1), &expected.map(str::to_owned)[..]));
}

#[test]
fn children_end_at_ctrl_c() {
    let mut program = example("children");
    let program = program.arg("sleep 1000 & echo ready; wait").stdout(Stdio::piped());
    let mut program = Background(program.stderr(Stdio::piped()).spawn().expect("it starts"));
    let mut output = BufReader::new(program.0.stdout.take().expect("its output is piped"));
    let mut complaints = program.0.stderr.take().expect("its complaints are piped");
    let mut line = String::new();
    output.read_line(&mut line).expect("it writes UTF-8");
    assert_eq!(line, "1| ready\n");
    let interrupt = format!("kill -INT {}", program.0.id());
    let sent = Command::new("sh").args(["-c", &interrupt]).status().expect("there is a shell");
    assert!(sent.success());
    // `sleep` has this stream as well: its end is the end of all of them.
    let mut told = String::new();
    complaints.read_to_string(&mut told).expect("it writes UTF-8");
    assert_eq!(told, "interrupted by Ctrl-C\n");
    assert_eq!(program.0.wait().expect("it is ours").signal(), Some(2));
}

#[test]
fn children_need_a_command() {
    refuses("children", &[], "COMMANDS");
    refuses("children", &["--limit", "soon", "true"], "--limit");
}
