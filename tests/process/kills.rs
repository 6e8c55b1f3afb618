//! Signals to children and to their groups; what dropping does.

use std::{io::ErrorKind, os::unix::process::ExitStatusExt, time::Duration};

use futures_lite::{AsyncBufReadExt, AsyncReadExt, StreamExt, future::poll_once, io::BufReader};
use whirligig::{
    process::{Child, Command, Stdio},
    signal::SignalKind,
    task, time,
};

use crate::{cat, shell, variants::on_each_variant};

fn sleeps() -> Command {
    let mut command = Command::new("sleep");
    command.arg("1000");
    command
}

/// A shell that says one line and then runs a child of its own, which has its output.
fn family() -> Command {
    let mut command = shell("sleep 1000 & echo ready; wait");
    command.stdout(Stdio::piped());
    command
}

/// The output of a family that is ready.
async fn output_of(child: &mut Child) -> impl AsyncReadExt + Unpin + use<> {
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).await.unwrap();
    assert_eq!(line, "ready\n");
    output
}

#[test]
fn each_signal_gets_there() {
    on_each_variant(|_| async {
        for (kind, number) in [
            (SignalKind::terminate(), 15),
            (SignalKind::interrupt(), 2),
            (SignalKind::hangup(), 1),
            (SignalKind::kill(), 9),
        ] {
            let mut child = sleeps().spawn().unwrap();
            child.signal(kind).unwrap();
            assert_eq!(child.wait().await.unwrap().signal(), Some(number));
            child.signal(kind).expect("nothing happens to one that has ended");
        }
        let mut child = sleeps().spawn().unwrap();
        let error = child.signal(SignalKind::from_raw(40)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("signal `sleep`: signal 40 has no name"), "{error}");
        assert_eq!(child.kill().await.unwrap().signal(), Some(9));
    });
}

/// Stopped is not ended.
#[test]
fn a_stopped_child_is_waited_for() {
    on_each_variant(|_| async {
        let mut child = cat().spawn().unwrap();
        child.signal(SignalKind::stop()).unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") T ") {
            task::yield_now().await;
        }
        assert!(poll_once(child.wait()).await.is_none());
        child.signal(SignalKind::resume()).unwrap();
        assert!(child.wait().await.unwrap().success(), "its input was closed");
    });
}

/// One task waits while another kills.
#[test]
fn a_handle_kills_what_is_waited_for() {
    on_each_variant(|_| async {
        let mut child = sleeps().spawn().unwrap();
        let handle = child.handle();
        let waiting = whirligig::spawn(async move { child.wait().await });
        task::yield_now().await;
        handle.start_kill().unwrap();
        assert_eq!(waiting.await.unwrap().unwrap().signal(), Some(9));
        assert_eq!(handle.try_wait().unwrap().unwrap().signal(), Some(9));
    });
}

#[test]
fn killing_the_child_leaves_its_own() {
    on_each_variant(|_| async {
        let mut shell = family().process_group(0).spawn().unwrap();
        let mut output = output_of(&mut shell).await;
        shell.start_kill().unwrap();
        // Not reaped before the group is gone: its number is the group's.
        let mut byte = [0];
        assert!(poll_once(output.read(&mut byte)).await.is_none(), "its child has the pipe");
        shell.signal_group(SignalKind::kill()).unwrap();
        assert_eq!(output.read(&mut byte).await.unwrap(), 0);
        assert_eq!(shell.wait().await.unwrap().signal(), Some(9));
    });
}

#[test]
fn a_group_is_killed_as_a_whole() {
    on_each_variant(|_| async {
        let mut shell = family().process_group(0).spawn().unwrap();
        let mut output = output_of(&mut shell).await;
        assert_eq!(shell.kill_group().await.unwrap().signal(), Some(9));
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0, "all of its writers are gone");
        let error = shell.signal_group(SignalKind::kill()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("may be another's by now"), "{error}");
    });
}

#[test]
fn one_that_leads_no_group_says_so() {
    on_each_variant(|_| async {
        let mut child = sleeps().spawn().unwrap();
        let error = child.signal_group(SignalKind::kill()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("process_group(0)"), "{error}");
        assert_eq!(child.try_wait().unwrap(), None, "and is not killed, nor is this group");
        child.kill().await.unwrap();
    });
}

/// Dropped with `kill_on_drop`, a child dies, and its group if it leads one. Told by the output's end.
#[test]
fn kill_on_drop() {
    on_each_variant(|_| async {
        let mut child = sleeps().stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let handle = child.handle();
        drop(child);
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(handle.wait().await.unwrap().signal(), Some(9));

        let mut shell = family().process_group(0).kill_on_drop(true).spawn().unwrap();
        let mut output = output_of(&mut shell).await;
        drop(shell);
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0, "all of its writers are gone");
    });
}

/// Whatever owns it may be dropped: a task that is cancelled, a timeout.
#[test]
fn kill_on_drop_of_what_owns_it() {
    on_each_variant(|_| async {
        let mut child = sleeps().stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let owner = async move { child.wait().await };
        time::timeout(Duration::from_millis(1), owner).await.unwrap_err();
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);

        let mut child = sleeps().stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let owner = whirligig::spawn(async move { child.wait().await });
        task::yield_now().await;
        owner.cancel();
        assert_eq!(output.read(&mut [0]).await.unwrap(), 0);
        assert!(owner.await.unwrap_err().is_cancelled());
    });
}

/// Without it, a child goes on when it is dropped, and can still be waited for by a handle.
#[test]
fn dropped_it_goes_on() {
    on_each_variant(|_| async {
        let mut child = cat().spawn().unwrap();
        let (input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let handle = child.handle();
        drop(child);
        let mut lines = BufReader::new(&mut output).lines();
        assert_eq!(input.write(b"still there\n").await.unwrap(), 12);
        assert_eq!(lines.next().await.unwrap().unwrap(), "still there");
        drop(input);
        assert!(handle.wait().await.unwrap().success());
    });
}
