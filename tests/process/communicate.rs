//! What is written to a child while its output is read.

use std::io::ErrorKind;

use futures_lite::{AsyncReadExt, AsyncWriteExt, future::poll_once};
use whirligig::{
    process::{Child, Command, Stdio},
    spawn,
};

use crate::{cat, shell, variants::on_each_variant};

/// 10 MiB: 160 times what a pipe holds.
fn megabytes() -> Vec<u8> {
    (0..10 << 20).map(|n: u32| (n % 249) as u8).collect()
}

fn piped(command: &mut Command) -> Child {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A child that writes while it reads, and writes all of it on both streams: no order of reading them one after the
/// other would end.
#[test]
fn ten_megabytes_each_way() {
    on_each_variant(|_| async {
        let mut child = piped(&mut shell("tee /dev/stderr"));
        let input = megabytes();
        let output = child.communicate(&input).await.unwrap();
        assert!(output.status.success());
        assert!(output.stdout == input, "{} bytes came back", output.stdout.len());
        assert!(output.stderr == input, "{} bytes came back", output.stderr.len());
    });
}

/// The same by hand: one task writes, another reads.
#[test]
fn a_task_for_each_stream() {
    on_each_variant(|_| async {
        let mut child = cat().spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let writing = spawn(async move {
            stdin.write_all(&megabytes()).await.unwrap();
            // Closing says the end to the child, while the handle is still there.
            stdin.close().await.unwrap();
            stdin
        });
        let mut got = Vec::new();
        stdout.read_to_end(&mut got).await.unwrap();
        assert!(got == megabytes(), "{} bytes came back", got.len());
        assert!(child.wait().await.unwrap().success());
        drop(writing.await.unwrap());
    });
}

#[test]
fn a_child_that_reads_no_more_is_no_error() {
    on_each_variant(|_| async {
        let input = megabytes();
        let output = piped(&mut shell("head -c 3; exit 7")).communicate(&input).await.unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(7), &input[..3]));
        let output = piped(&mut Command::new("true")).communicate(&input).await.unwrap();
        assert!(output.status.success() && output.stdout.is_empty());
    });
}

#[test]
fn only_what_is_piped_is_read() {
    on_each_variant(|_| async {
        let mut child = shell("echo out; echo err >&2");
        let mut child = child.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.communicate("").await.unwrap();
        assert_eq!((&output.stdout[..], &output.stderr[..]), (&b""[..], &b"err\n"[..]));
        // Taken, read by hand, and then the rest.
        let mut child = piped(&mut shell("echo out; echo err >&2"));
        let mut stdout = child.stdout.take().unwrap();
        let mut line = String::new();
        stdout.read_to_string(&mut line).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(
            (&line[..], &output.stdout[..], &output.stderr[..]),
            ("out\n", &b""[..], &b"err\n"[..])
        );
    });
}

#[test]
fn an_input_that_nobody_reads_is_an_error() {
    on_each_variant(|_| async {
        let mut child = Command::new("true").spawn().unwrap();
        let error = child.communicate("lost").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        let expected = "communicate with `true`: its standard input is not piped";
        assert!(error.to_string().starts_with(expected), "{error}");
        assert!(child.wait().await.unwrap().success());
    });
}

/// `communicate` under a time limit: the child is still there when it is given up, to be killed.
#[test]
fn given_up_it_leaves_the_child() {
    on_each_variant(|_| async {
        let mut child = piped(&mut shell("exec sleep 1000"));
        assert!(poll_once(child.communicate(megabytes())).await.is_none());
        assert_eq!(child.try_wait().unwrap(), None);
        assert!(!child.kill().await.unwrap().success());
    });
}

/// A child that waits for the end of its input is not waited for, for ever.
#[test]
fn waiting_closes_the_input() {
    on_each_variant(|_| async {
        assert!(cat().spawn().unwrap().wait().await.unwrap().success());
        let output = cat().spawn().unwrap().wait_with_output().await.unwrap();
        assert!(output.status.success());
    });
}
