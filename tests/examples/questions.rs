//! The commands that `docs/questions.md` and chapter 15 tell the reader to type: each is run.
//!
//! What they print is checked where their twins are. Here it is enough that they do what they were told, and fail in
//! nothing: a command that was renamed is found.

use std::{fs, thread};

use super::{example, output};

/// The lines of a page's shell blocks.
fn commands(page: &str) -> Vec<String> {
    let path = format!("{}/docs/{page}", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(path).expect("the page is there");
    let mut in_shell = false;
    let mut commands = Vec::new();
    for line in text.lines() {
        match line {
            "```sh" => in_shell = true,
            "```" => in_shell = false,
            command if in_shell => commands.push(command.to_owned()),
            _ => {}
        }
    }
    commands
}

/// What a command runs and with which arguments, if it runs an example.
fn run_of(command: &str) -> Option<(&str, Vec<&str>)> {
    let rest = command.strip_prefix("cargo run ")?;
    let rest = rest.strip_prefix("--release ").unwrap_or(rest).strip_prefix("--example ")?;
    let mut words = rest.split_whitespace();
    let name = words.next()?;
    let arguments = words.skip_while(|word| *word == "--").collect();
    Some((name, arguments))
}

#[test]
fn each_question_has_a_command_and_each_command_runs() {
    let commands = commands("questions.md");
    assert!(commands.len() >= 27, "{} commands for 27 questions", commands.len());
    // Most of them sleep.
    for some in commands.chunks(6) {
        thread::scope(|scope| {
            for command in some {
                scope.spawn(move || {
                    let (name, arguments) = run_of(command)
                        .unwrap_or_else(|| panic!("not one that runs an example: {command}"));
                    let printed = output(example(name).args(arguments));
                    assert!(!printed.is_empty(), "{command} prints nothing");
                });
            }
        });
    }
}

#[test]
fn the_questions_are_numbered() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/questions.md");
    let text = fs::read_to_string(path).expect("the page is there");
    let sections: Vec<&str> = text.split("\n### ").skip(1).collect();
    assert_eq!(sections.len(), 27);
    for (number, section) in (1..).zip(sections) {
        assert!(section.starts_with(&format!("{number}. ")), "{number}: {section}");
        assert!(section.contains("```sh\ncargo run "), "question {number} has no program");
    }
}

#[test]
fn commands_of_the_chapter_run() {
    for command in commands("15-beside-the-loop.md") {
        if let Some((name, arguments)) = run_of(&command) {
            output(example(name).args(arguments));
        }
    }
}

#[test]
fn beside() {
    let printed = output(example("beside").arg("epoll"));
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some("a pipe: 1 byte, and the task was woken for it"));
    assert_eq!(lines.next(), Some("a child: exit status: 0, and the task was woken for it"));
    let file = lines.next().expect("a third line");
    assert!(file.starts_with("a file: ") && file.contains("cannot be watched"), "{printed}");

    let expected = "a future: nothing of it happened\n\
                    a call taken back: it never began\n\
                    a call that had begun: it went on\n\
                    a call in line: it was made all the same\n\
                    a child: it went on\n\
                    a child with kill_on_drop: it was killed\n";
    assert_eq!(output(example("beside").arg("dropped")), expected);
    super::refuses("beside", &[], "Usage");
}

#[test]
fn many_sockets() {
    let printed = output(example("many_sockets").args(["--connections", "200"]));
    let first = "200 connections at once, 200 bytes echoed, on one thread\n";
    assert!(printed.starts_with(first), "{printed}");
    assert!(printed.contains("bytes of memory for each"), "{printed}");
    super::refuses("many_sockets", &["--connections", "all"], "--connections");
}
