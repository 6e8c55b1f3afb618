//! `io::pipe`: bytes through it, its end, what it becomes for others.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    os::fd::OwnedFd,
    process::{Command, Stdio},
    sync::Arc,
};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip};
use whirligig::{
    WaitsFor, dump,
    io::{PipeReader, PipeWriter, pipe},
    spawn, task,
};

use crate::variants::on_each_variant;

/// More than a pipe holds, so that each side waits for the other again and again, and no byte twice in a row.
fn bytes() -> Vec<u8> {
    (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()
}

#[test]
fn all_bytes_come_through_in_order() {
    on_each_variant(|_| async {
        let (mut reader, mut writer) = pipe().unwrap();
        let writing = spawn(async move {
            writer.write_all(&bytes()).await.unwrap();
            writer.close().await.unwrap();
            writer
        });
        let mut got = Vec::new();
        reader.read_to_end(&mut got).await.unwrap();
        assert!(got == bytes(), "{} bytes came", got.len());
        let mut closed = writing.await.unwrap();
        assert_eq!(closed.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        assert_eq!(closed.try_write(b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
        closed.close().await.expect("closing it again does nothing");
        assert_eq!(format!("{closed:?}"), "PipeWriter(closed)");
        assert_eq!(closed.into_std().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// By `&self`, several tasks read one pipe, and each byte is read once.
#[test]
fn several_tasks_read() {
    on_each_variant(|_| async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Arc::new(reader);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let reader = reader.clone();
                spawn(async move {
                    let (mut sum, mut buf) = (0_u64, [0; 100]);
                    loop {
                        match reader.read(&mut buf).await.unwrap() {
                            0 => return sum,
                            n => sum += buf[..n].iter().map(|byte| u64::from(*byte)).sum::<u64>(),
                        }
                    }
                })
            })
            .collect();
        task::yield_now().await;
        writer.write_all(&bytes()).await.unwrap();
        drop(writer);
        let mut sum = 0;
        for reader in readers {
            sum += reader.await.unwrap();
        }
        assert_eq!(sum, bytes().iter().map(|byte| u64::from(*byte)).sum());
    });
}

#[test]
fn both_ends_tell_that_the_other_is_gone() {
    on_each_variant(|_| async {
        let (reader, writer) = pipe().unwrap();
        let reading = spawn(async move { reader.read(&mut [0]).await });
        task::yield_now().await;
        drop(writer);
        assert_eq!(reading.await.unwrap().unwrap(), 0);

        let (reader, mut writer) = pipe().unwrap();
        let writing = spawn(async move { writer.write_all(&bytes()).await });
        task::yield_now().await;
        drop(reader);
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

#[test]
fn what_is_tried_does_not_wait() {
    on_each_variant(|_| async {
        let (reader, writer) = pipe().unwrap();
        assert_eq!(reader.try_read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let mut room = 0;
        let full = loop {
            match writer.try_write(&[0; 4096]) {
                Ok(n) => room += n,
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(full, ErrorKind::WouldBlock);
        reader.readable().await.unwrap();
        let mut got = vec![0; room];
        assert_eq!(reader.try_read(&mut got).unwrap(), room);
    });
}

/// A wait behind a trait is told with the line that made the pipe, for the trait's caller is a line of futures-lite.
#[test]
fn a_wait_names_a_line_of_the_users() {
    on_each_variant(|_| async {
        let ((mut reader, writer), line) = (pipe().unwrap(), line!());
        let reading = spawn(async move { reader.read_exact(&mut [0]).await });
        let id = reading.id();
        let wait = loop {
            let dump = dump();
            let found = dump.tasks.iter().find(|task| task.id == id).and_then(|task| task.waits);
            match found {
                Some((what, location)) => break (what, location.file(), location.line()),
                None => task::yield_now().await,
            }
        };
        assert_eq!(wait, (WaitsFor::Readable, file!(), line));
        drop(writer);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    });
}

/// A child of the same terminal or pipe would trip over a descriptor in non-blocking mode: `cat` ends at the first
/// `EAGAIN`.
#[test]
fn a_child_gets_it_in_blocking_mode() {
    on_each_variant(|_| async {
        let (its_input, mut ours) = pipe().unwrap();
        let (mut answer, its_output) = pipe().unwrap();
        let mut child = Command::new("cat");
        child
            .stdin(Stdio::try_from(its_input).unwrap())
            .stdout(Stdio::try_from(its_output).unwrap());
        let mut cat = child.spawn().unwrap();
        drop(child); // It holds its ends as well.
        let write = async {
            // So that the child is sure to find its input empty.
            task::spawn_blocking(|| std::thread::sleep(std::time::Duration::from_millis(20)))
                .await
                .unwrap();
            ours.write_all(&bytes()).await.unwrap();
            drop(ours);
        };
        let mut got = Vec::new();
        let (_, read) = zip(write, answer.read_to_end(&mut got)).await;
        read.unwrap();
        assert!(got == bytes(), "{} bytes came back", got.len());
        assert!(cat.wait().unwrap().success());
    });
}

#[test]
fn threads_get_it_in_blocking_mode() {
    on_each_variant(|_| async {
        let (reader, writer) = pipe().unwrap();
        let (mut reader, mut writer) = (reader.into_std().unwrap(), writer.into_std().unwrap());
        let reading = std::thread::spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).map(|_| got)
        });
        writer.write_all(&bytes()).unwrap();
        drop(writer);
        assert!(reading.join().unwrap().unwrap() == bytes());
    });
}

#[test]
fn a_named_pipe_is_one_as_well() {
    on_each_variant(|variant| async move {
        let name = format!("whirligig-{}-{variant:?}", std::process::id());
        let path = std::env::temp_dir().join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        // Opening waits for the other end: so one of the two opens both directions first.
        let both = fs::File::options().read(true).write(true).open(&path).unwrap();
        let reader = OwnedFd::from(fs::File::open(&path).unwrap());
        let writer = OwnedFd::from(fs::File::options().write(true).open(&path).unwrap());
        drop(both);
        fs::remove_file(&path).unwrap();
        let mut reader = PipeReader::from_std(reader.into()).unwrap();
        let mut writer = PipeWriter::from_std(writer.into()).unwrap();
        let mut got = Vec::new();
        let write = async {
            writer.write_all(&bytes()).await.unwrap();
            drop(writer);
        };
        let (_, read) = zip(write, reader.read_to_end(&mut got)).await;
        read.unwrap();
        assert!(got == bytes());
    });
}
