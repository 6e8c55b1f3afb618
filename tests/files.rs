//! Files, beside what std's do, and on each variant of the runtime.

use std::{
    future::Future,
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    pin::Pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use futures_io::AsyncSeek;
use futures_lite::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, StreamExt};
use proptest::prelude::*;
use tempfile::tempdir;
use whirligig::{
    EventLoop,
    fs::{self, File, OpenOptions, PathError},
    spawn, task,
};

use self::variants::on_each_variant;

#[path = "support/variants.rs"]
mod variants;
#[path = "support/watchdog.rs"]
mod watchdog;

#[derive(Debug, Clone)]
enum Act {
    Read(usize),
    /// So many bytes are asked for, and the future is dropped after one poll.
    ReadAndDrop(usize),
    Write(usize),
    Seek(SeekFrom),
    Flush,
    SetLen(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let sizes = prop_oneof![4 => 1..100_usize, 1 => 60_000..200_000_usize];
    let seeks = prop_oneof![
        (0..300_000_u64).prop_map(SeekFrom::Start),
        (-50_000..50_000_i64).prop_map(SeekFrom::Current),
        (-50_000..10_i64).prop_map(SeekFrom::End),
    ];
    prop_oneof![
        4 => sizes.clone().prop_map(Act::Read),
        1 => sizes.clone().prop_map(Act::ReadAndDrop),
        4 => sizes.prop_map(Act::Write),
        2 => seeks.prop_map(Act::Seek),
        1 => Just(Act::Flush),
        1 => (0..200_000_u64).prop_map(Act::SetLen),
    ]
}

/// Reads so many bytes, or to the end.
fn read_up_to(file: &mut impl Read, count: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.take(count as u64).read_to_end(&mut bytes).unwrap();
    bytes
}

async fn acts_like_std(acts: Vec<Act>) {
    let mut ours = File::from_std(tempfile::tempfile().unwrap());
    let mut model = tempfile::tempfile().unwrap();
    let mut next = 0_u8;
    for act in acts {
        match act {
            Act::Read(count) => {
                let mut bytes = Vec::new();
                (&mut ours).take(count as u64).read_to_end(&mut bytes).await.unwrap();
                assert!(bytes == read_up_to(&mut model, count), "other bytes, {act:?}");
            }
            Act::ReadAndDrop(count) => {
                let mut bytes = vec![0; count];
                let mut read = Box::pin(ours.read(&mut bytes));
                let polled = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                drop(read);
                if let Poll::Ready(count) = polled {
                    let count = count.unwrap();
                    assert!(
                        bytes[..count] == read_up_to(&mut model, count),
                        "other bytes, {act:?}"
                    );
                }
            }
            Act::Write(count) => {
                next = next.wrapping_add(1);
                let bytes: Vec<u8> = (0..count).map(|n| n as u8 ^ next).collect();
                ours.write_all(&bytes).await.unwrap();
                model.write_all(&bytes).unwrap();
            }
            Act::Seek(to) => {
                let (ours, model) = (ours.seek(to).await, model.seek(to));
                assert_eq!(ours.is_err(), model.is_err(), "{to:?}");
                if let (Ok(ours), Ok(model)) = (ours, model) {
                    assert_eq!(ours, model, "{to:?}");
                }
            }
            Act::Flush => ours.flush().await.unwrap(),
            Act::SetLen(length) => {
                ours.set_len(length).await.unwrap();
                model.set_len(length).unwrap();
            }
        }
    }
    let mut ours = ours.into_std().await.unwrap();
    assert_eq!(ours.stream_position().unwrap(), model.stream_position().unwrap());
    for file in [&mut ours, &mut model] {
        file.rewind().unwrap();
    }
    assert!(
        read_up_to(&mut ours, usize::MAX) == read_up_to(&mut model, usize::MAX),
        "other contents"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_file_does_what_stds_does(acts in prop::collection::vec(act(), 1..40)) {
        whirligig::run(acts_like_std(acts));
    }
}

#[test]
fn a_file_is_written_and_read_on_each_variant() {
    on_each_variant(|_| async {
        let directory = tempdir().unwrap();
        let path = directory.path().join("file");
        let mut file = File::create(&path).await.unwrap();
        let megabytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        file.write_all(&megabytes).await.unwrap();
        for n in 0..1000 {
            file.write_all(format!("line {n}\n").as_bytes()).await.unwrap();
        }
        file.close().await.unwrap();
        let mut file = File::open(&path).await.unwrap();
        let mut all = Vec::new();
        file.read_to_end(&mut all).await.unwrap();
        assert!(all[..megabytes.len()] == megabytes);
        let lines = String::from_utf8(all.split_off(megabytes.len())).unwrap();
        assert!(lines.lines().enumerate().all(|(n, line)| line == format!("line {n}")));
        assert_eq!(lines.lines().count(), 1000);
        assert_eq!(file.metadata().await.unwrap().len(), fs::metadata(&path).await.unwrap().len());
    });
}

#[test]
fn what_was_written_is_in_the_file_after_a_drop() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("file");
    let written = path.clone();
    // The end of the loop waits for calls that have begun; this one may not have. So wait for it.
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    event_loop.block_on(async move {
        let mut file = File::create(&written).await.unwrap();
        file.write_all(b"unflushed").await.unwrap();
        assert_eq!(fs::read(&written).await.unwrap(), b"", "it is gathered");
        drop(file);
        // One thread: first come, first served.
        assert_eq!(fs::read(&written).await.unwrap(), b"unflushed");
    });
    drop(event_loop);

    // And where no runtime is left to do it.
    let late = whirligig::run(async move {
        let mut file = OpenOptions::new().append(true).open(&path).await.unwrap();
        file.write_all(b", late").await.unwrap();
        (file, path)
    });
    drop(late.0);
    assert_eq!(std::fs::read(late.1).unwrap(), b"unflushed, late");
}

#[test]
fn a_failed_write_is_told_to_the_next_call() {
    whirligig::run(async {
        let mut full = OpenOptions::new().write(true).open("/dev/full").await.unwrap();
        full.write_all(b"x").await.expect("it is gathered");
        assert_eq!(full.flush().await.unwrap_err().kind(), ErrorKind::StorageFull);
        full.flush().await.expect("told once");
        full.write_all(b"x").await.unwrap();
        assert_eq!(full.sync_all().await.unwrap_err().kind(), ErrorKind::StorageFull);
        // Not open to write at all.
        let mut read_only = File::open("/dev/null").await.unwrap();
        read_only.write_all(b"x").await.unwrap();
        assert!(read_only.close().await.is_err());
    });
}

#[test]
fn an_error_names_the_path_and_what_was_tried() {
    whirligig::run(async {
        let missing = Path::new("/no/such/file");
        let told = |error: std::io::Error, action: &str| {
            assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
            let text = error.to_string();
            assert!(text.starts_with(&format!("{action} `/no/such/file`: ")), "{text}");
            let inside = error.get_ref().and_then(|error| error.downcast_ref::<PathError>());
            assert_eq!(inside.unwrap().io_error().raw_os_error(), Some(2));
        };
        told(File::open(missing).await.unwrap_err(), "open");
        told(fs::read(missing).await.unwrap_err(), "read");
        told(fs::read_to_string(missing).await.unwrap_err(), "read");
        told(fs::write(missing, "").await.unwrap_err(), "write");
        told(fs::metadata(missing).await.unwrap_err(), "look at");
        told(fs::read_dir(missing).await.unwrap_err(), "list");
        told(fs::rename(missing, "/no/such/other").await.unwrap_err(), "rename");
        told(fs::copy(missing, "/no/such/other").await.unwrap_err(), "copy");
        told(fs::remove_file(missing).await.unwrap_err(), "remove");
        assert!(!fs::exists(missing).await.unwrap());
    });
}

#[test]
fn directories_are_made_listed_and_removed() {
    on_each_variant(|_| async {
        let directory = tempdir().unwrap();
        let deep = directory.path().join("a/b");
        fs::create_dir_all(&deep).await.unwrap();
        assert_eq!(fs::create_dir(&deep).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
        // More than a batch, twice over.
        for n in 0..150 {
            fs::write(deep.join(n.to_string()), n.to_string()).await.unwrap();
        }
        fs::symlink("0", deep.join("link")).await.unwrap();
        fs::hard_link(deep.join("1"), deep.join("second name")).await.unwrap();
        assert_eq!(fs::read_link(deep.join("link")).await.unwrap(), Path::new("0"));
        let real = fs::canonicalize(deep.join("link")).await.unwrap();
        assert!(real.ends_with("a/b/0"), "{real:?}");
        let mut names = Vec::new();
        let mut entries = fs::read_dir(&deep).await.unwrap();
        while let Some(entry) = entries.next().await {
            let entry = entry.unwrap();
            let is_link = entry.file_type().await.unwrap().is_symlink();
            assert_eq!(is_link, entry.file_name() == "link");
            assert_eq!(entry.metadata().await.unwrap().is_symlink(), is_link);
            names.push(entry.file_name().into_string().unwrap());
        }
        assert_eq!(names.len(), 152);
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 152);
        let listed: Vec<_> = fs::read_dir(&deep).await.unwrap().collect().await;
        assert_eq!(listed.len(), 152);

        let one = deep.join("1");
        fs::set_permissions(&one, PermissionsExt::from_mode(0o640)).await.unwrap();
        assert_eq!(fs::metadata(&one).await.unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::copy(&one, deep.join("copy")).await.unwrap(), 1);
        fs::rename(&one, deep.join("moved")).await.unwrap();
        assert!(!fs::exists(&one).await.unwrap());
        assert!(fs::symlink_metadata(deep.join("link")).await.unwrap().is_symlink());
        fs::remove_file(deep.join("moved")).await.unwrap();
        assert!(fs::remove_dir(&deep).await.is_err(), "it is not empty");
        fs::remove_dir_all(directory.path().join("a")).await.unwrap();
        assert!(!fs::exists(deep).await.unwrap());
    });
}

#[test]
fn a_read_that_blocks_leaves_the_loop_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    whirligig::run(async {
        // Opening it waits for the other end, and reading for what comes.
        let reads = spawn({
            let path = path.clone();
            async move { fs::read_to_string(path).await.unwrap() }
        });
        for _ in 0..100 {
            task::yield_now().await;
        }
        assert!(!reads.is_finished());
        fs::write(&path, "at last").await.unwrap();
        assert_eq!(reads.await.unwrap(), "at last");
    });
}

#[test]
fn a_clone_shares_the_position_and_a_dropped_read_loses_nothing() {
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    event_loop.block_on(async {
        let mut file = File::from_std(tempfile::tempfile().unwrap());
        file.write_all(b"abcdef").await.unwrap();
        file.seek(SeekFrom::Start(0)).await.unwrap();
        let mut two = [0; 2];
        // The only thread is occupied, so the read cannot be done at once.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let occupied = task::spawn_blocking(move || released.recv().is_err());
        let mut read = Box::pin(file.read(&mut two));
        assert!(Pin::new(&mut read).poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(read);
        drop(release);
        assert!(occupied.await.unwrap());
        file.read_exact(&mut two).await.unwrap();
        assert_eq!(&two, b"ab");
        let mut second = file.try_clone().await.unwrap();
        let mut rest = String::new();
        second.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "cdef");
        assert_eq!(file.read(&mut two).await.unwrap(), 0, "they share the position");
    });
}

/// A seek that was dropped under way answers no later one.
#[test]
fn the_same_seek_after_a_read_is_another_one() {
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    event_loop.block_on(async {
        let mut file = File::from_std(tempfile::tempfile().unwrap());
        file.write_all(b"0123456789").await.unwrap();
        file.flush().await.unwrap();
        // The only thread is occupied, so the seek cannot be done at once.
        let (release, released) = std::sync::mpsc::channel::<()>();
        let occupied = task::spawn_blocking(move || released.recv().is_err());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut file).poll_seek(&mut cx, SeekFrom::Start(0)).is_pending());
        drop(release);
        assert!(occupied.await.unwrap());
        let mut four = [0; 4];
        file.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"0123", "it was done all the same");
        assert_eq!(file.seek(SeekFrom::Start(0)).await.unwrap(), 0);
        file.read_exact(&mut four).await.unwrap();
        assert_eq!(&four, b"0123");
    });
}

/// What cannot seek cannot be taken back to where its reader is, and says so instead of trying for ever.
#[test]
fn a_write_behind_what_a_pipe_has_read_ahead_is_refused() {
    let _watchdog = watchdog::Watchdog::new("a pipe as a file");
    let directory = tempdir().unwrap();
    let path = directory.path().join("pipe");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let event_loop = EventLoop::builder().blocking_threads(1).build().unwrap();
    event_loop.block_on(async {
        let mut file = OpenOptions::new().read(true).write(true).open(&path).await.unwrap();
        file.write_all(b"abc").await.unwrap();
        file.flush().await.unwrap();
        file.read_exact(&mut [0]).await.unwrap();
        // The only thread has other things to do, so no answer comes within a poll.
        let busy = spawn(async {
            loop {
                task::spawn_blocking(|| thread::sleep(Duration::from_millis(1))).await.unwrap();
            }
        });
        for _ in 0..2 {
            let refused = file.write(b"x").await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::NotSeekable);
        }
        busy.cancel();
    });
}

#[test]
fn the_end_that_a_dropped_read_met_is_forgotten_when_the_file_grows() {
    whirligig::run(async {
        let mut file = File::from_std(tempfile::tempfile().unwrap());
        let mut two = [0; 2];
        let mut read = Box::pin(file.read(&mut two));
        // Either it is dropped under way, or it has met the end already.
        let _ = Pin::new(&mut read).poll(&mut Context::from_waker(Waker::noop()));
        drop(read);
        file.set_len(1).await.unwrap();
        assert_eq!(file.read(&mut two).await.unwrap(), 1);
    });
}
