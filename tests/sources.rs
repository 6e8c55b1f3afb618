//! Any descriptor, awaited: pipes, eventfds, socket pairs; by several tasks.
//!
//! A source belongs to no loop: the one that polls it watches it. The tests here have several wait for
//! it, take it apart and drop it, and hold that nobody waits for ever and nothing stays behind. What
//! several loops do with one source is in `two_loops.rs`.

use std::{
    fs::File,
    future::poll_fn,
    io::{ErrorKind, PipeReader, PipeWriter, Read, Write, pipe},
    net,
    os::{fd::AsFd, unix::net::UnixStream},
    panic::{AssertUnwindSafe, RefUnwindSafe, UnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    thread,
};

use futures_lite::{
    AsyncReadExt, AsyncWriteExt,
    future::{block_on, poll_once, zip},
};
use rustix::event::{EventfdFlags, PollFlags, eventfd};
use whirligig::{WaitsFor, io::Source, net::TcpListener, spawn, spawn_local, task::yield_now};

use sockets::{event_loop, must_wait, pair_with_std, run, run_on, sources, wait_in_kernel};

mod sockets;

async fn read(source: &Source<PipeReader>) -> u8 {
    let mut byte = [0];
    source.read_with(|mut pipe| pipe.read_exact(&mut byte)).await.unwrap();
    byte[0]
}

fn watched_pipe() -> (Source<PipeReader>, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    (Source::new(reader).unwrap(), writer)
}

/// A reader waits for bytes and a writer for room, on the two ends of one pipe that holds less than
/// is sent through it: so each must be woken by the other, again and again.
#[test]
fn pipes() {
    const ALL: usize = 1 << 20;
    run(async {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Source::new(reader).unwrap(), Source::new(writer).unwrap());
        let read = async {
            let (mut got, mut buf) = (0, [0; 5000]);
            while got < ALL {
                got += reader.read_with(|mut pipe| pipe.read(&mut buf)).await.unwrap();
            }
        };
        let write = async {
            let mut sent = 0;
            while sent < ALL {
                let chunk = &[7; 7000][..7000.min(ALL - sent)];
                sent += writer.write_with(|mut pipe| pipe.write(chunk)).await.unwrap();
            }
            drop(writer);
        };
        zip(read, write).await;
        // The other end is gone: the end, as an event.
        let end = reader.read_with(|mut pipe| pipe.read(&mut [0; 8])).await;
        assert_eq!(end.unwrap(), 0);
    });
}

/// The writer of a pipe that nobody reads any more is told, also while it waits for room.
#[test]
fn a_pipe_without_a_reader() {
    run(async {
        let (reader, writer) = pipe().unwrap();
        let writer = Source::new(writer).unwrap();
        let chunk = [0; 4096];
        while poll_once(writer.write_with(|mut pipe| pipe.write(&chunk))).await.is_some() {}
        let waiting = spawn(async move { writer.write_with(|mut pipe| pipe.write(&chunk)).await });
        yield_now().await;
        drop(reader);
        assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// An eventfd's count is what was written since, and reading it makes it wait again.
#[test]
fn eventfds() {
    run(async {
        let event = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let source = Source::new(event).unwrap();
        let mut count = [0; 8];
        for expected in [1_u64, 5] {
            let get = source.read_with(|fd| Ok(rustix::io::read(fd, &mut count)?));
            let mut get = pin!(get);
            must_wait(&mut get).await;
            rustix::io::write(&source, &expected.to_ne_bytes()).unwrap();
            assert_eq!(get.await.unwrap(), 8);
            assert_eq!(u64::from_ne_bytes(count), expected);
        }
    });
}

/// Both directions of a socket pair on one source, at once.
#[test]
fn socket_pairs() {
    run(async {
        let (ours, mut peer) = UnixStream::pair().unwrap();
        let ours = Source::new(ours).unwrap();
        let mut buf = [0; 8];
        let mut answer = pin!(ours.read_with(|mut s| s.read(&mut buf)));
        must_wait(&mut answer).await;
        assert_eq!(ours.write_with(|mut s| s.write(b"ask")).await.unwrap(), 3);
        let mut ask = [0; 3];
        peer.read_exact(&mut ask).unwrap();
        peer.write_all(b"answer").unwrap();
        assert_eq!(answer.await.unwrap(), 6);
    });
}

/// Two tasks wait for the same source in the same direction, and one event serves both: of two bytes
/// that come at once each takes one, and the kernel sends no second event for the second. With a
/// single place for a waker, or a single wake, one of them would be lost.
#[test]
fn two_tasks_wait_in_one_direction() {
    run(async {
        let (source, mut writer) = watched_pipe();
        let source = Arc::new(source);
        let tasks = [(); 2].map(|()| {
            let source = source.clone();
            spawn(async move { read(&source).await })
        });
        yield_now().await;
        writer.write_all(b"ab").unwrap();
        let mut bytes = Vec::new();
        for task in tasks {
            bytes.push(task.await.unwrap());
        }
        bytes.sort_unstable();
        assert_eq!(bytes, b"ab");
    });
}

/// A waiter that is cancelled takes nobody else's place with it: of three, the other two each get
/// their byte, though the bytes come one at a time.
#[test]
fn one_of_three_waiters_is_cancelled() {
    run(async {
        let (source, mut writer) = watched_pipe();
        let source = Arc::new(source);
        let [first, second, third] = [(); 3].map(|()| {
            let source = source.clone();
            spawn(async move { read(&source).await })
        });
        yield_now().await;
        second.cancel();
        assert!(second.await.unwrap_err().is_cancelled());
        writer.write_all(b"a").unwrap();
        wait_in_kernel(&source, PollFlags::IN);
        let mut got = Vec::new();
        while got.is_empty() {
            yield_now().await;
            got.extend([&first, &third].iter().filter(|task| task.is_finished()).map(|_| ()));
        }
        assert_eq!(got.len(), 1, "one byte is for one of them");
        writer.write_all(b"b").unwrap();
        let mut bytes = [first.await.unwrap(), third.await.unwrap()];
        bytes.sort_unstable();
        assert_eq!(&bytes, b"ab");
    });
}

/// Two tasks in `accept` on one listener get a connection each, also when both connections are there
/// before the loop looks: they are one event.
#[test]
fn two_tasks_accept() {
    run(async {
        let listener = Arc::new(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.local_addr().unwrap();
        let tasks = [(); 2].map(|()| {
            let listener = listener.clone();
            spawn(async move { listener.accept().await.unwrap().1 })
        });
        yield_now().await;
        let clients = [(); 2].map(|()| net::TcpStream::connect(address).unwrap());
        let mut expected = clients.each_ref().map(|client| client.local_addr().unwrap());
        let mut peers = Vec::new();
        for task in tasks {
            peers.push(task.await.unwrap());
        }
        peers.sort_unstable();
        expected.sort_unstable();
        assert_eq!(peers, expected);
    });
}

/// The kernel refuses to watch a regular file. The error says what to do instead, and no harm is
/// done: reading, which never blocks, works before and after.
#[test]
fn a_regular_file_is_refused_with_advice() {
    run(async {
        let file = Source::new(File::open(file!()).unwrap()).unwrap();
        let mut start = [0; 3];
        for _ in 0..2 {
            file.read_with(|mut file| file.read_exact(&mut start)).await.unwrap();
            let error = file.readable().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains("spawn_blocking"), "{error}");
        }
    });
}

/// `readable` and `writable` go by the kernel's word, not by a guess: an empty pipe is not readable
/// though it is fresh, a full one not writable; both say so when that changes.
#[test]
fn readable_and_writable() {
    run(async {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Source::new(reader).unwrap(), Source::new(writer).unwrap());
        let mut readable = pin!(reader.readable());
        must_wait(&mut readable).await;
        writer.writable().await.unwrap();
        while writer.try_write_with(|mut pipe| pipe.write(&[0; 4096])).is_ok() {}
        let mut writable = pin!(writer.writable());
        must_wait(&mut writable).await;
        readable.await.unwrap();
        while reader.try_read_with(|mut pipe| pipe.read(&mut [0; 4096])).is_ok() {}
        writable.await.unwrap();
        must_wait(&mut pin!(reader.readable())).await;
    });
}

/// A fresh descriptor is asked of the kernel at once: what is ready needs no event, and no turn of the loop.
#[test]
fn what_is_ready_is_so_at_the_first_poll() {
    run(async {
        let (reader, mut writer) = pipe().unwrap();
        writer.write_all(b"x").unwrap();
        let (reader, writer) = (Source::new(reader).unwrap(), Source::new(writer).unwrap());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(writer.poll_writable(&mut cx), Poll::Ready(Ok(()))));
        assert!(matches!(reader.poll_readable(&mut cx), Poll::Ready(Ok(()))));
        let (ours, _peer) = UnixStream::pair().unwrap();
        poll_once(Source::new(ours).unwrap().writable()).await.unwrap().unwrap();
        // And what was said is true: to try is worth it.
        assert_eq!(reader.try_read_with(|mut pipe| pipe.read(&mut [0])).unwrap(), 1);
    });
}

/// The `poll_*` functions go as the futures do: they ask, wait, are woken, and ask again.
#[test]
fn poll_functions() {
    run(async {
        let (reader, writer) = pipe().unwrap();
        let (reader, writer) = (Source::new(reader).unwrap(), Source::new(writer).unwrap());
        let mut byte = [0];
        let mut read =
            pin!(poll_fn(|cx| { reader.poll_read_with(cx, |mut pipe| pipe.read(&mut byte)) }));
        must_wait(&mut read).await;
        let write = |cx: &mut Context<'_>| writer.poll_write_with(cx, |mut pipe| pipe.write(b"x"));
        assert_eq!(poll_fn(write).await.unwrap(), 1);
        assert_eq!(read.await.unwrap(), 1);

        let mut readable = pin!(poll_fn(|cx| reader.poll_readable(cx)));
        must_wait(&mut readable).await;
        writer.write_with(|mut pipe| pipe.write(b"y")).await.unwrap();
        readable.await.unwrap();
        while writer.try_write_with(|mut pipe| pipe.write(&[0; 4096])).is_ok() {}
        let mut writable = pin!(poll_fn(|cx| writer.poll_writable(cx)));
        must_wait(&mut writable).await;
        while reader.try_read_with(|mut pipe| pipe.read(&mut [0; 4096])).is_ok() {}
        writable.await.unwrap();
    });
}

/// Of the callers of `poll_*` in one direction the last waker counts, and it takes nothing from the future that
/// waits in the same direction, nor from the other direction.
#[test]
fn a_poll_function_and_a_future_wait_in_one_direction() {
    run(async {
        let (source, mut writer) = watched_pipe();
        let source = Arc::new(source);
        let task = spawn({
            let source = source.clone();
            async move { read(&source).await }
        });
        yield_now().await;
        let polls = spawn_local({
            let source = source.clone();
            async move {
                let mut byte = [0];
                // A waker that nobody minds, and then the task's own.
                let mut nobody = Context::from_waker(Waker::noop());
                assert!(source.poll_readable(&mut nobody).is_pending());
                poll_fn(|cx| source.poll_read_with(cx, |mut pipe| pipe.read(&mut byte))).await
            }
        });
        yield_now().await;
        writer.write_all(b"ab").unwrap();
        assert_eq!(polls.await.unwrap().unwrap(), 1);
        task.await.unwrap();
    });
}

/// The kernel watches a descriptor once in each reactor. A second source on it says what is the matter, and what to
/// do; the first one goes on.
#[test]
fn a_second_source_on_one_descriptor_explains_itself() {
    run(async {
        let (reader, mut writer) = pipe().unwrap();
        let reader = Arc::new(reader);
        let first = Source::new(reader.clone()).unwrap();
        let second = Source::new(reader.clone()).unwrap();
        let mut waits = pin!(first.readable());
        must_wait(&mut waits).await;
        let error = second.read_with(|pipe| (&**pipe).read(&mut [0])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let text = error.to_string();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&*reader);
        for part in [&format!("descriptor {fd} "), "another `Source`", "`try_clone`"] {
            assert!(text.contains(part), "{text}");
        }
        writer.write_all(b"x").unwrap();
        waits.await.unwrap();
        // With a descriptor of its own it can.
        let third = Source::new(reader.try_clone().unwrap()).unwrap();
        third.readable().await.unwrap();
    });
}

/// Many wait for one source in one direction: each is woken, in the order in which they came; and each can leave,
/// in any order.
#[test]
fn very_many_tasks_wait_in_one_direction() {
    const MANY: usize = 20_000;
    run(async {
        let (source, mut writer) = watched_pipe();
        let mut waiting: Vec<_> = (0..MANY).map(|_| source.readable()).collect();
        for waits in &mut waiting {
            must_wait(waits).await;
        }
        // In a list the first would be dear to remove, and the last dear to find.
        let mut left = waiting.split_off(MANY / 2);
        drop(waiting);
        left.truncate(3);
        writer.write_all(b"x").unwrap();
        for waits in left {
            waits.await.unwrap();
        }
    });
}

/// What std's counterparts are, and what can be caught with a panic around it.
#[test]
fn is_unwind_safe() {
    fn demand<T: UnwindSafe + RefUnwindSafe + Send + Sync>() {}
    demand::<Source<PipeReader>>();
    demand::<TcpListener>();
    demand::<whirligig::net::TcpStream>();
    demand::<whirligig::net::TcpSocket>();
    demand::<whirligig::net::OwnedReadHalf>();
    demand::<whirligig::net::OwnedWriteHalf>();
    demand::<whirligig::io::Ready<'_>>();
}

/// Others may read behind our back, as a C library does that was given the descriptor: what `readable` says is
/// asked of the kernel each time.
#[test]
fn readable_asks_the_kernel() {
    run(async {
        let (source, mut writer) = watched_pipe();
        must_wait(&mut pin!(source.readable())).await;
        writer.write_all(b"two").unwrap();
        source.readable().await.unwrap();
        source.readable().await.unwrap();
        source.get_ref().read_exact(&mut [0; 2]).unwrap();
        source.readable().await.unwrap();
        source.get_ref().read_exact(&mut [0]).unwrap();
        let mut readable = pin!(source.readable());
        must_wait(&mut readable).await;
        writer.write_all(b"x").unwrap();
        readable.await.unwrap();
    });
}

/// The loop's dump names the line that waits, and for what.
#[test]
fn a_dump_says_where_a_task_waits() {
    let (event_loop, _) = event_loop();
    let (source, _writer) = watched_pipe();
    let line = line!() + 1;
    let task = event_loop.spawn_local(async move { source.readable().await });
    event_loop.block_on(yield_now());
    let dump = event_loop.dump();
    let (what, place) = dump.tasks[0].waits.expect("it waits for a leaf of ours");
    assert_eq!((what, place.file(), place.line()), (WaitsFor::Readable, file!(), line));
    drop(task);
}

/// Taken apart, the descriptor is its owner's alone: no longer watched, and as good as before.
#[test]
fn into_inner_ends_the_watch() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let (source, mut writer) = watched_pipe();
        must_wait(&mut pin!(source.readable())).await;
        assert_eq!(sources(&event_loop), 1);
        let mut reader = source.into_inner();
        assert_eq!(sources(&event_loop), 0);
        assert_eq!(reader.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
        writer.write_all(b"x").unwrap();
        assert_eq!(read(&Source::new(reader).unwrap()).await, b'x');
    });
}

/// Dropped on a thread that runs no loop: the descriptor is closed at once, and the loop forgets its
/// token by its next turn, without being woken for it. The next source there is not mistaken for it.
#[test]
fn dropped_on_a_foreign_thread() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        for _ in 0..3 {
            let (ours, mut peer) = pair_with_std();
            must_wait(&mut pin!(ours.read(&mut [0; 8]))).await;
            assert_eq!(sources(&event_loop), 1);
            thread::spawn(move || drop(ours)).join().unwrap();
            assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
            yield_now().await;
            assert_eq!(sources(&event_loop), 0);

            let (mut next, mut peer) = pair_with_std();
            let mut buf = [0; 8];
            must_wait(&mut pin!(AsyncReadExt::read(&mut next, &mut buf))).await;
            peer.write_all(b"next").unwrap();
            assert_eq!(AsyncReadExt::read(&mut next, &mut buf).await.unwrap(), 4);
            next.close().await.unwrap();
        }
    });
}

/// Dropped after its loop is gone, on any thread, it just closes.
#[test]
fn dropped_after_its_loop() {
    let (event_loop, _) = event_loop();
    let (source, writer) = watched_pipe();
    event_loop.block_on(async { must_wait(&mut pin!(source.readable())).await });
    drop(event_loop);
    drop(source);
    let error = (&writer).write(b"x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BrokenPipe);
}

/// Without a loop nobody would ever end the wait, so it does not begin: the panic says what to do.
/// What need not wait works without one.
#[test]
fn waiting_needs_a_loop() {
    let (source, mut writer) = watched_pipe();
    let payload =
        catch_unwind(AssertUnwindSafe(|| block_on(source.readable()))).expect_err("no loop");
    let text = payload.downcast_ref::<String>().expect("a message");
    assert!(text.contains("needs a runtime") && text.contains("whirligig::run"), "{text}");
    let mut byte = [0];
    let would_block = source.try_read_with(|mut pipe| pipe.read(&mut byte)).unwrap_err();
    assert_eq!(would_block.kind(), ErrorKind::WouldBlock);
    writer.write_all(b"x").unwrap();
    assert_eq!(source.try_read_with(|mut pipe| pipe.read(&mut byte)).unwrap(), 1);
}

/// A task that need not be `Send` may hold a source as well as any other.
#[test]
fn in_a_local_task() {
    run(async {
        let (source, mut writer) = watched_pipe();
        let source = std::rc::Rc::new(source);
        let task = spawn_local({
            let source = source.clone();
            async move { read(&source).await }
        });
        yield_now().await;
        writer.write_all(b"x").unwrap();
        assert_eq!(task.await.unwrap(), b'x');
        assert!(source.as_fd().try_clone_to_owned().is_ok());
    });
}
