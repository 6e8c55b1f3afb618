//! One source, several loops: who watches it, and for how long.
//!
//! A loop tells of an event when it turns. So while somebody waits at one loop, another that comes to wait may
//! not take the watch away from it, nor what it has been told; and a watch that serves nobody must not last.

use std::{
    io::{PipeReader, PipeWriter, Read, Write, pipe},
    net,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc,
    },
    thread,
};

use futures_lite::{AsyncReadExt, future::block_on};
use rustix::event::PollFlags;
use whirligig::{
    EventLoop,
    io::Source,
    net::TcpListener,
    task::{JoinHandle, yield_now},
};

use sockets::{event_loop, must_wait, pair_with_std, run, run_on, sources, wait_in_kernel};

mod sockets;

async fn read(source: &Source<PipeReader>) -> u8 {
    let mut byte = [0];
    source.read_with(|mut pipe| pipe.read(&mut byte)).await.unwrap();
    byte[0]
}

fn watched_pipe() -> (Arc<Source<PipeReader>>, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    (Arc::new(Source::new(reader).unwrap()), writer)
}

/// A task of one loop waits for a byte, and another loop has waited since.
fn wait_at_both(source: &Arc<Source<PipeReader>>) -> (EventLoop, JoinHandle<u8>, EventLoop) {
    let (ours, _) = event_loop();
    let waits = source.clone();
    let task = ours.spawn_local(async move { read(&waits).await });
    ours.block_on(yield_now());
    let (other, _) = event_loop();
    other.block_on(async { must_wait(&mut pin!(source.readable())).await });
    (ours, task, other)
}

/// The loop that waits is the one that watches: after a move the first one has forgotten the source.
#[test]
fn used_on_another_loop_than_its_first() {
    let (source, mut writer) = watched_pipe();
    let (first, _) = event_loop();
    let (second, _) = event_loop();
    for event_loop in [&first, &second, &first] {
        run_on(event_loop, async {
            let mut byte = pin!(read(&source));
            must_wait(&mut byte).await;
            writer.write_all(b"x").unwrap();
            assert_eq!(byte.await, b'x');
        });
    }
    // The second learns that it moved away when it turns.
    second.block_on(yield_now());
    assert_eq!((sources(&first), sources(&second)), (1, 0));
}

/// A source outlives its first loop, also one that went while its task waited there.
#[test]
fn used_after_its_first_loop_is_gone() {
    let (source, mut writer) = watched_pipe();
    let (first, _) = event_loop();
    let waits = source.clone();
    let task = first.spawn_local(async move { read(&waits).await });
    first.block_on(yield_now());
    drop(first);
    assert!(task.wait().unwrap_err().is_cancelled());
    run(async {
        let mut byte = pin!(read(&source));
        must_wait(&mut byte).await;
        writer.write_all(b"x").unwrap();
        assert_eq!(byte.await, b'x');
    });
}

/// A task of one loop waits for a source that another loop has taken over since. When that other
/// loop goes, it wakes the task, which has its own loop watch again.
#[test]
fn the_loop_that_took_over_goes_while_a_task_of_another_waits() {
    let (source, mut writer) = watched_pipe();
    let (ours, task, other) = wait_at_both(&source);
    assert_eq!(sources(&other), 1);
    drop(other);
    ours.block_on(yield_now());
    assert_eq!(sources(&ours), 1);
    writer.write_all(b"x").unwrap();
    assert_eq!(run_on(&ours, task).unwrap(), b'x');
}

/// Reader and writer of one connection on two loops in two threads: each wait moves the registration to
/// the waiter's loop, or adds one there, under the other's feet. Neither may miss its event: both move
/// more than the kernel buffers, and an echo at the far end holds them together. (It is the echo that
/// would give up: a loop's test clock does not see a wait whose source is at another loop just then.)
#[test]
fn on_two_loops_in_two_threads_at_once() {
    const ALL: usize = 4 << 20;
    let (ours, peer) = pair_with_std();
    let ours = Arc::new(ours);
    let echo = thread::spawn(move || std::io::copy(&mut &peer, &mut &peer).unwrap());
    let writer = thread::spawn({
        let ours = ours.clone();
        move || {
            EventLoop::new().unwrap().block_on(async {
                let mut sent = 0;
                while sent < ALL {
                    let chunk = [(sent / 1000) as u8; 1000];
                    let rest = (1000 - sent % 1000).min(ALL - sent);
                    sent += ours.write(&chunk[..rest]).await.unwrap();
                }
                ours.shutdown(std::net::Shutdown::Write).unwrap();
            });
        }
    });
    EventLoop::new().unwrap().block_on(async {
        let (mut got, mut buf) = (0, [0; 3000]);
        loop {
            let n = ours.read(&mut buf).await.unwrap();
            for byte in &buf[..n] {
                assert_eq!(*byte, (got / 1000) as u8, "at {got}");
                got += 1;
            }
            if n == 0 {
                break;
            }
        }
        assert_eq!(got, ALL);
    });
    writer.join().unwrap();
    assert_eq!(echo.join().unwrap(), ALL as u64);
}

/// While a task of one loop waits, another loop waits for the same source, and then does something else:
/// its thread computes, or its `block_on` has returned. The first one hears of the event all the same.
#[test]
fn a_loop_that_does_not_turn_keeps_nothing_from_another() {
    let (source, mut writer) = watched_pipe();
    let (ours, task, other) = wait_at_both(&source);
    assert_eq!((sources(&ours), sources(&other)), (1, 1), "both watch");
    writer.write_all(b"x").unwrap();
    assert_eq!(run_on(&ours, task).unwrap(), b'x');

    drop(Arc::into_inner(source).unwrap());
    ours.block_on(yield_now());
    other.block_on(yield_now());
    assert_eq!((sources(&ours), sources(&other)), (0, 0), "neither does any more");
}

/// A waiter that is left behind, by a read of the traits that was given up, does not keep its loop watching for
/// ever once another loop has the source to itself.
#[test]
fn a_watch_that_nobody_asks_for_ends() {
    let (mut ours, peer) = pair_with_std();
    let (first, _) = event_loop();
    let (second, _) = event_loop();
    first.block_on(async {
        let mut byte = [0];
        must_wait(&mut AsyncReadExt::read(&mut ours, &mut byte)).await;
    });
    run_on(&second, async {
        let mut byte = [0];
        for _ in 0..200 {
            must_wait(&mut pin!(ours.read(&mut byte))).await;
            (&peer).write_all(b"x").unwrap();
            ours.read_exact(&mut byte).await.unwrap();
        }
    });
    first.block_on(yield_now());
    assert_eq!((sources(&first), sources(&second)), (0, 1));
}

/// A loop that may not watch asks in vain, and takes nothing from the one that does: that one has been told of the
/// end already, and is not told again.
#[test]
fn a_refused_watch_takes_no_knowledge_from_another_loop() {
    run(async {
        let (mut ours, peer) = pair_with_std();
        must_wait(&mut pin!(ours.readable())).await;
        (&peer).write_all(&[1; 10]).unwrap();
        peer.shutdown(net::Shutdown::Write).unwrap();
        wait_in_kernel(&ours, PollFlags::RDHUP);
        ours.readable().await.unwrap();
        let runtime = whirligig::Runtime::builder().worker_threads(1).build().unwrap();
        let handle = runtime.handle();
        drop(runtime);
        thread::scope(|scope| {
            let blocked = scope.spawn(|| {
                let _entered = handle.enter();
                block_on(ours.readable()).unwrap_err()
            });
            assert!(blocked.join().unwrap().to_string().contains("shut down"));
        });
        let mut all = Vec::new();
        assert_eq!(ours.read_to_end(&mut all).await.unwrap(), 10);
    });
}

/// Two loops in two threads accept on one listener. Each connection is accepted once, none is left behind, and neither
/// loop takes the watch from the other more often than there is something to accept: that is what it costs.
#[test]
fn two_loops_accept_on_one_listener() {
    const CLIENTS: usize = 500;
    let listener = Arc::new(run(TcpListener::bind("127.0.0.1:0")).unwrap());
    let address = listener.local_addr().unwrap();
    let left = Arc::new(AtomicUsize::new(CLIENTS));
    let loops = [(); 2].map(|()| {
        let (listener, left) = (listener.clone(), left.clone());
        thread::spawn(move || {
            let event_loop = EventLoop::new().unwrap();
            let accepted = event_loop.block_on(async {
                let mut accepted = 0;
                loop {
                    let (_connection, peer) = listener.accept().await.unwrap();
                    if left.fetch_sub(1, SeqCst) == 1 {
                        // The other still waits. It is told by a connection that counts for nobody.
                        drop(net::TcpStream::connect(address).unwrap());
                    }
                    assert_ne!(peer.port(), 0);
                    accepted += 1;
                    if (left.load(SeqCst) as isize) <= 0 {
                        break accepted;
                    }
                }
            });
            (accepted, event_loop.stats().registrations)
        })
    });
    for _ in 0..CLIENTS {
        drop(net::TcpStream::connect(address).unwrap());
    }
    let ends = loops.map(|thread| thread.join().unwrap());
    let accepted: usize = ends.iter().map(|(accepted, _)| accepted).sum();
    assert!((CLIENTS..=CLIENTS + 1).contains(&accepted), "{accepted}");
    let registrations: u64 = ends.iter().map(|(_, registrations)| registrations).sum();
    assert!(registrations <= 4 * CLIENTS as u64, "{registrations}");
}

/// With a listener of its own, by `try_clone`, each loop registers once.
#[test]
fn a_listener_for_each_loop_is_registered_once() {
    const CLIENTS: usize = 100;
    let listener = run(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let clone = listener.try_clone().unwrap();
    let (accepted, count) = mpsc::channel();
    let threads = [listener, clone].map(|listener| {
        let accepted = accepted.clone();
        thread::spawn(move || {
            let event_loop = EventLoop::new().unwrap();
            event_loop.block_on(async {
                // A client that says nothing of itself but that it is the last, by a byte.
                loop {
                    let (mut connection, _) = listener.accept().await.unwrap();
                    let mut byte = [0];
                    connection.read_exact(&mut byte).await.unwrap();
                    if byte == [1] {
                        break;
                    }
                    accepted.send(()).unwrap();
                }
            });
            event_loop.stats().registrations
        })
    });
    for _ in 0..CLIENTS {
        net::TcpStream::connect(address).unwrap().write_all(&[0]).unwrap();
    }
    (0..CLIENTS).for_each(|_| count.recv().unwrap());
    for _ in 0..2 {
        net::TcpStream::connect(address).unwrap().write_all(&[1]).unwrap();
    }
    for thread in threads {
        // Of the listener, and of connections whose byte came late. (A loop that never had to wait has none.)
        assert!(thread.join().unwrap() <= 1 + CLIENTS as u64 + 2);
    }
}
