//! The standard streams: of a terminal, a pipe, a socket and a file, in a process that has them as its own.
//!
//! A test runs this program again as a child (`tests/support/again.rs`), with the streams under test; the child says on
//! standard error what it sees. The terminal is one end of a pseudo-terminal, whose other end is in the test's hand.

use std::{
    fs::{self, File},
    io::{Read, Seek, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::PathBuf,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use futures_lite::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, StreamExt,
    future::{poll_once, race},
    io::BufReader,
};
use rustix::{
    fs::{OFlags, fcntl_getfl},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};
use whirligig::{
    Runtime,
    io::{stderr, stdin, stdout},
    time,
};

use self::again::{Playing, as_child_with, end, ended, role, say};

#[path = "support/again.rs"]
mod again;
#[path = "support/watchdog.rs"]
mod watchdog;

/// Both ends of a terminal: what the user types and sees, and what the program has. Without echo.
fn terminal() -> (File, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let user = openpt(flags).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let path = ptsname(&user, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let program = rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap();
    let mut settings = tcgetattr(&program).unwrap();
    settings.make_raw();
    // Lines, as a terminal is at first, and no echo.
    settings.local_modes |= rustix::termios::LocalModes::ICANON;
    tcsetattr(&program, OptionalActions::Now, &settings).unwrap();
    (user.into(), program)
}

fn is_nonblocking(fd: &impl AsFd) -> bool {
    fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

/// What a child does: says each line that it reads, and at the end so.
fn says_its_lines() {
    let lines = async {
        let stdin = stdin().unwrap();
        say(&format!("terminal: {}", stdin.is_terminal()));
        let mut lines = BufReader::new(stdin).lines();
        while let Some(line) = lines.next().await {
            say(&line.unwrap());
        }
        say("end");
    };
    match role().as_deref() {
        Some("runtime") => Runtime::new().unwrap().block_on(lines),
        _ => whirligig::run(lines),
    }
}

fn child(test: &str, role: &str, stdin: impl Into<Stdio>) -> Playing {
    let mut launcher = Command::new("env");
    launcher.arg("--");
    as_child_with(launcher, test, role, stdin.into())
}

const BOTH: [&str; 2] = ["loop", "runtime"];

#[test]
fn lines_of_a_terminal() {
    if role().is_some() {
        return says_its_lines();
    }
    for role in BOTH {
        let (mut user, program) = terminal();
        let shared = program.try_clone().unwrap();
        let mut child = child("lines_of_a_terminal", role, program);
        child.await_line("terminal: true");
        user.write_all(b"one\ntw").unwrap();
        child.await_line("one");
        assert!(!is_nonblocking(&shared), "others have this terminal too");
        user.write_all(b"o\nthree\nfour\n").unwrap();
        for line in ["two", "three", "four"] {
            child.await_line(line);
        }
        // Ctrl-D.
        user.write_all(&[4]).unwrap();
        assert_eq!(end(child), (ended(0), "end\n".to_owned()));
        assert!(!is_nonblocking(&shared), "nor is it left so");
    }
}

#[test]
fn lines_of_a_pipe() {
    if role().is_some() {
        return says_its_lines();
    }
    for role in BOTH {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let shared = reader.try_clone().unwrap();
        let mut child = child("lines_of_a_pipe", role, reader);
        child.await_line("terminal: false");
        writer.write_all(b"one\ntw").unwrap();
        child.await_line("one");
        assert!(!is_nonblocking(&shared), "others have this pipe too");
        writer.write_all(b"o\n").unwrap();
        child.await_line("two");
        let many: Vec<String> = (0..30_000).map(|n| n.to_string()).collect();
        let text = many.join("\n") + "\n";
        let writing = thread::spawn(move || writer.write_all(text.as_bytes()));
        assert_eq!(end(child), (ended(0), many.join("\n") + "\nend\n"));
        writing.join().unwrap().unwrap();
        assert!(!is_nonblocking(&shared), "nor is it left so");
    }
}

#[test]
fn lines_of_a_socket() {
    if role().is_some() {
        return says_its_lines();
    }
    for role in BOTH {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let theirs = OwnedFd::from(theirs);
        let mut child = child("lines_of_a_socket", role, theirs);
        child.await_line("terminal: false");
        ours.write_all(b"one\n").unwrap();
        child.await_line("one");
        ours.write_all(b"two").unwrap();
        drop(ours);
        assert_eq!(end(child), (ended(0), "two\nend\n".to_owned()));
    }
}

fn temporary(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("whirligig-{}-{name}", std::process::id()))
}

#[test]
fn lines_of_a_file_and_of_nothing() {
    const NAME: &str = "lines_of_a_file_and_of_nothing";
    if role().is_some() {
        return says_its_lines();
    }
    let path = temporary("lines");
    let many: String = (0..30_000).map(|n| format!("{n}\n")).collect();
    fs::write(&path, &many).unwrap();
    for role in BOTH {
        let file = File::open(&path).unwrap();
        let (status, said) = end(child(NAME, role, file));
        assert_eq!(status, ended(0));
        assert_eq!(said, format!("terminal: false\n{many}end\n"));
        let said = end(child(NAME, role, Stdio::null()));
        assert_eq!(said, (ended(0), "terminal: false\nend\n".to_owned()));
    }
    fs::remove_file(path).unwrap();
}

/// A read that is given up takes nothing: the next one has it. Two handles do not disturb each other.
#[test]
fn a_dropped_read_has_taken_nothing() {
    const NAME: &str = "a_dropped_read_has_taken_nothing";
    if role().is_some() {
        return whirligig::run(async {
            let (mut one, mut two) = (stdin().unwrap(), stdin().unwrap());
            for _ in 0..100 {
                let mut buf = [0; 3];
                assert!(poll_once(one.read(&mut buf)).await.is_none());
                assert!(poll_once(two.read(&mut buf)).await.is_none());
            }
            say("ready");
            let mut buf = [0; 3];
            one.read_exact(&mut buf).await.unwrap();
            say(std::str::from_utf8(&buf).unwrap());
            two.read_exact(&mut buf).await.unwrap();
            say(std::str::from_utf8(&buf).unwrap());
        });
    }
    let (reader, mut writer) = std::io::pipe().unwrap();
    let mut child = child(NAME, "reads", reader);
    child.await_line("ready");
    writer.write_all(b"onetwo").unwrap();
    assert_eq!(end(child), (ended(0), "one\ntwo\n".to_owned()));
}

/// While standard input is waited for, everything else goes on, and the program ends without that anybody presses Enter.
#[test]
fn the_loop_goes_on_and_the_program_ends() {
    const NAME: &str = "the_loop_goes_on_and_the_program_ends";
    if role().is_some() {
        let waits = async {
            let mut stdin = stdin().unwrap();
            let read = async { stdin.read(&mut [0]).await.map(|_| ()).unwrap() };
            let ticks = async {
                for _ in 0..20 {
                    time::sleep(Duration::from_millis(1)).await;
                }
            };
            race(read, ticks).await;
            say("ticked");
        };
        return match role().as_deref() {
            Some("runtime") => Runtime::new().unwrap().block_on(waits),
            _ => whirligig::run(waits),
        };
    }
    for role in BOTH {
        let (_user, program) = terminal();
        let on_terminal = child(NAME, role, program);
        assert_eq!(end(on_terminal), (ended(0), "ticked\n".to_owned()));
        let (reader, _writer) = std::io::pipe().unwrap();
        let on_pipe = child(NAME, role, reader);
        assert_eq!(end(on_pipe), (ended(0), "ticked\n".to_owned()));
    }
}

fn bytes() -> Vec<u8> {
    (0..300_000_u32).map(|n| b'a' + (n % 26) as u8).collect()
}

/// Standard output is what the test gave as standard input: so the lines of the test harness do not go there.
fn take_output() {
    rustix::stdio::dup2_stdout(rustix::stdio::stdin()).unwrap();
}

/// Writes all, while something else goes on; says when that was. Ends before the test harness says anything.
fn writes_and_ticks() -> ! {
    take_output();
    whirligig::run(async {
        let ticking = whirligig::spawn(async {
            for _ in 0..20 {
                time::sleep(Duration::from_millis(1)).await;
            }
            say("ticked");
        });
        let mut stdout = stdout().unwrap();
        stdout.write_all(&bytes()).await.unwrap();
        stdout.flush().await.unwrap();
        ticking.await.unwrap();
        stdout.close().await.unwrap();
        stdout.write_all(b".").await.expect("closing has closed nothing");
        stdout.flush().await.unwrap();
    });
    std::process::exit(0)
}

fn written() -> Vec<u8> {
    let mut bytes = bytes();
    bytes.push(b'.');
    bytes
}

/// Nobody reads before the child has ticked: a write that blocked would block that too.
#[test]
fn a_slow_reader_holds_up_nothing_but_the_writer() {
    const NAME: &str = "a_slow_reader_holds_up_nothing_but_the_writer";
    if role().is_some() {
        writes_and_ticks();
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let shared = writer.try_clone().unwrap();
    let mut on_pipe = child(NAME, "pipe", writer);
    on_pipe.await_line("ticked");
    assert!(!is_nonblocking(&shared), "others have this pipe too");
    drop(shared);
    let mut got = Vec::new();
    reader.read_to_end(&mut got).unwrap();
    assert_eq!(end(on_pipe).0, ended(0));
    assert!(got == written(), "{} bytes came", got.len());

    let (mut user, program) = terminal();
    let shared = program.try_clone().unwrap();
    let mut on_terminal = child(NAME, "terminal", program);
    on_terminal.await_line("ticked");
    let mut got: Vec<u8> = Vec::new();
    while got.len() < written().len() {
        let mut buf = [0; 4096];
        let n = user.read(&mut buf).unwrap();
        got.extend(&buf[..n]);
        assert!(!is_nonblocking(&shared), "others have this terminal too");
    }
    assert_eq!(end(on_terminal).0, ended(0));
    assert!(got == written(), "{} bytes came", got.len());
}

#[test]
fn a_socket_gets_all() {
    const NAME: &str = "a_socket_gets_all";
    if role().is_some() {
        writes_and_ticks();
    }
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    let shared = theirs.try_clone().unwrap();
    let theirs = OwnedFd::from(theirs);
    let mut child = child(NAME, "socket", theirs);
    child.await_line("ticked");
    assert!(!is_nonblocking(&shared), "others have this socket too");
    drop(shared);
    let mut got = Vec::new();
    ours.read_to_end(&mut got).unwrap();
    assert_eq!(end(child).0, ended(0));
    assert!(got == written(), "{} bytes came", got.len());
}

#[test]
fn a_file_gets_all_in_order() {
    const NAME: &str = "a_file_gets_all_in_order";
    if role().is_some() {
        writes_and_ticks();
    }
    let path = temporary("out");
    let mut file =
        File::options().create(true).truncate(true).read(true).write(true).open(&path).unwrap();
    let theirs = file.try_clone().unwrap();
    let mut child = child(NAME, "file", theirs);
    child.await_line("ticked");
    assert_eq!(end(child).0, ended(0));
    let mut got = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut got).unwrap();
    assert!(got == written(), "{} bytes came", got.len());
    fs::remove_file(path).unwrap();
}

/// Errors get to who writes: of a pipe that nobody reads, of a device that is full.
#[test]
fn errors_of_writing_are_told() {
    const NAME: &str = "errors_of_writing_are_told";
    if role().is_some() {
        take_output();
        let written: std::io::Result<()> = whirligig::run(async {
            let mut stdout = stdout().unwrap();
            stdout.write_all(b"into the void").await?;
            stdout.flush().await
        });
        let line = format!("> {:?}\n", written.unwrap_err().kind());
        whirligig::run(async {
            let mut stderr = stderr().unwrap();
            stderr.write_all(line.as_bytes()).await.unwrap();
            stderr.flush().await.unwrap();
        });
        std::process::exit(0);
    }
    let (_, writer) = std::io::pipe().unwrap();
    let on_pipe = child(NAME, "pipe", writer);
    assert_eq!(end(on_pipe), (ended(0), "BrokenPipe\n".to_owned()));
    let full = File::options().write(true).open("/dev/full").unwrap();
    let on_full = child(NAME, "full", full);
    assert_eq!(end(on_full), (ended(0), "StorageFull\n".to_owned()));
}
