//! What a command starts, and what it says when it cannot.

use std::{
    ffi::OsStr,
    fs,
    io::ErrorKind,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::PathBuf,
    process,
};

use whirligig::process::{Command, CommandError, Stdio};

use crate::{shell, variants::on_each_variant};

async fn says(command: &mut Command) -> String {
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn arguments_environment_and_directory() {
    on_each_variant(|_| async {
        assert_eq!(says(Command::new("echo").arg("a b").args(["c", "*"])).await, "a b c *\n");
        let printenv = |name: &str| {
            let mut command = shell(&format!("echo ${{{name}-none}}"));
            command.env("ONE", "1");
            command
        };
        assert_eq!(says(&mut printenv("ONE")).await, "1\n");
        assert_eq!(says(printenv("TWO").envs([("TWO", "2"), ("THREE", "3")])).await, "2\n");
        assert_eq!(says(printenv("ONE").env_remove("ONE")).await, "none\n");
        let mut cleared = printenv("HOME");
        cleared.env_clear().env("PATH", std::env::var("PATH").unwrap());
        assert_eq!(says(&mut cleared).await, "none\n");
        assert_eq!(says(Command::new("pwd").current_dir("/")).await, "/\n");
        assert_eq!(says(shell("echo $0").arg0("another")).await, "another\n");
    });
}

#[test]
fn what_std_can_do_goes_on_to_it() {
    on_each_variant(|_| async {
        let mut std = process::Command::new("sh");
        std.args(["-c", "echo $0; exit 3"]).arg0("x");
        let mut command = Command::from(std);
        command.as_std_mut().env("A", "b");
        assert_eq!(command.as_std().get_program(), OsStr::new("sh"));
        let output = command.output().await.unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b"x\n"[..]));
        assert_eq!(command.into_std().get_envs().count(), 1);
    });
}

/// `output` takes what was not set, and leaves the command as it was.
#[test]
fn the_streams_of_output() {
    on_each_variant(|_| async {
        let mut command = shell("cat; echo out; echo err >&2");
        for _ in 0..2 {
            let output = command.output().await.unwrap();
            assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
        }
        command.stdout(Stdio::null());
        let output = command.output().await.unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b""[..], &b"err\n"[..]));
        let child = Command::new("true").spawn().unwrap();
        assert!(child.stdin.is_none() && child.stdout.is_none() && child.stderr.is_none());
    });
}

/// Piped output that `status` reads not is closed, so that the child does not wait for a reader for ever.
#[test]
fn status_closes_what_nobody_reads() {
    on_each_variant(|_| async {
        let mut yes = Command::new("yes");
        let status = yes.stdout(Stdio::piped()).stdin(Stdio::piped()).status().await.unwrap();
        assert!(!status.success(), "`yes` met a broken pipe");
    });
}

fn script(name: &str, text: &str, mode: u32) -> PathBuf {
    let path = std::env::temp_dir().join(format!("whirligig-{}-{name}", process::id()));
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn an_error_names_the_program_and_what_to_look_at() {
    let no_rights = script("no-rights", "#!/bin/sh\n", 0o644);
    let no_interpreter = script("no-interpreter", "#!/no/such/interpreter\n", 0o755);
    let starts = |command: &mut Command| {
        let error = command.spawn().unwrap_err();
        let inside = error.get_ref().and_then(|error| error.downcast_ref::<CommandError>());
        let inside = inside.expect("the error has the program inside");
        assert_eq!(inside.program(), command.as_std().get_program());
        assert_eq!(inside.io_error().kind(), error.kind());
        assert!(format!("{inside:?}").contains(&error.to_string()));
        (error.kind(), error.to_string())
    };
    let (kind, text) = starts(&mut Command::new("no-such-program"));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.starts_with("start `no-such-program`: No such file"), "{text}");
    assert!(text.contains("not in `PATH`"), "{text}");
    let (kind, text) = starts(Command::new("true").current_dir("/no/such/directory"));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains("`current_dir`"), "{text}");
    let (kind, text) = starts(&mut Command::new(&no_interpreter));
    assert_eq!(kind, ErrorKind::NotFound);
    assert!(text.contains("interpreter that its first line names"), "{text}");
    let (kind, text) = starts(&mut Command::new(&no_rights));
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert!(text.contains("may not be executed"), "{text}");
    for path in [no_rights, no_interpreter] {
        fs::remove_file(path).unwrap();
    }
}

/// A future of `status` or `output` that could not start its program gives the error, and does not panic.
#[test]
fn what_cannot_start_tells_so_when_it_is_awaited() {
    on_each_variant(|_| async {
        let error = Command::new("no-such-program").status().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        let error = Command::new("no-such-program").output().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    });
}

/// A pipeline: one child's output is the next one's input, without this process in between.
#[test]
fn one_child_feeds_the_next() {
    on_each_variant(|_| async {
        let mut seq = Command::new("seq").arg("100000").stdout(Stdio::piped()).spawn().unwrap();
        let numbers = Stdio::try_from(seq.stdout.take().unwrap()).unwrap();
        let mut tail = Command::new("tail");
        let output = tail.args(["-n", "1"]).stdin(numbers).output();
        // The command holds its end of the pipe as long as it is there.
        drop(tail);
        assert_eq!(output.await.unwrap().stdout, b"100000\n");
        assert!(seq.wait().await.unwrap().success());
    });
}
