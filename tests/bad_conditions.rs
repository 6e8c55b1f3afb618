//! Networks as they are: resets, half-closed peers, nobody there, no descriptors left, a peer that
//! stops reading, urgent bytes, sockets dropped under a waiting task.
//!
//! Real sockets on the loopback. What the kernel has to have seen first is awaited from the kernel
//! (`wait_in_kernel`), past the loop, so that each case is the case it says and not one of luck.

use std::{
    cell::{Cell, RefCell},
    fs::File,
    future::poll_fn,
    io::{ErrorKind, Read, Write},
    net::{self, Shutdown, SocketAddr},
    os::fd::{AsFd, AsRawFd, OwnedFd},
    pin::{Pin, pin},
    process::Command,
    rc::Rc,
    task::Poll,
    thread,
    time::Duration,
};

use futures_io::AsyncRead;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use rustix::{event::PollFlags, io::Errno};
use socket2::SockRef;
use whirligig::{
    io::Source,
    net::{TcpListener, TcpSocket, TcpStream},
    spawn_local,
    task::yield_now,
    time,
};

use sockets::{
    Polls, as_child, event_loop, hasty_event_loop, must_wait, pair, pair_with_std, refusing, role,
    run, run_on, sources, wait_in_kernel,
};

mod sockets;

/// Closes at once with a reset, whatever is still on its way.
fn reset(peer: net::TcpStream) {
    SockRef::from(&peer).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Reads what is there by the trait, not by the method of the same name.
async fn read(mut stream: impl AsyncRead + Unpin, buf: &mut [u8]) -> std::io::Result<usize> {
    AsyncReadExt::read(&mut stream, buf).await
}

/// A task that waits when the peer resets is woken and gets the error; after that the connection is at its end,
/// and no call waits any more.
#[test]
fn a_reset_wakes_the_reader_with_an_error() {
    run(async {
        let (ours, peer) = pair_with_std();
        let mut buf = [0; 8];
        {
            let mut waiting = pin!(ours.read(&mut buf));
            must_wait(&mut waiting).await;
            reset(peer);
            assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        }
        assert_eq!(ours.read(&mut buf).await.unwrap(), 0);
        assert_eq!(ours.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// The same for a writer that waits for room: nobody will ever make any.
#[test]
fn a_reset_wakes_the_writer_with_an_error() {
    run(async {
        let (ours, peer) = pair_with_std();
        let mut ours = Some(ours);
        let written = Rc::new(Cell::new(0));
        let writer = spawn_local(write_for_ever(ours.take().unwrap(), written.clone()));
        wait_until_stuck(&written).await;
        reset(peer);
        assert_eq!(writer.await.unwrap().kind(), ErrorKind::ConnectionReset);
    });
}

async fn write_for_ever(stream: TcpStream, written: Rc<Cell<usize>>) -> std::io::Error {
    loop {
        match stream.write(&[7; 4096]).await {
            Ok(n) => written.set(written.get() + n),
            Err(error) => return error,
        }
    }
}

/// Lets a writer go on until 50 turns in a row, with a look at the reactor each, brought nothing.
async fn wait_until_stuck(written: &Cell<usize>) {
    let (mut last, mut quiet) = (usize::MAX, 0);
    while quiet < 50 {
        quiet = if written.get() == last { quiet + 1 } else { 0 };
        last = written.get();
        look().await;
    }
}

/// Until the loop has asked the reactor once: under the test clock it does after 64 polls.
async fn look() {
    for _ in 0..64 {
        yield_now().await;
    }
}

/// What arrived before the reset is read first, then the error: data is not lost to it.
#[test]
fn data_before_a_reset_is_read_first() {
    run(async {
        let (mut ours, mut peer) = pair_with_std();
        let mut buf = [0; 8];
        must_wait(&mut pin!(read(&mut ours, &mut buf))).await;
        peer.write_all(b"abc").unwrap();
        wait_in_kernel(&ours, PollFlags::IN);
        reset(peer);
        wait_in_kernel(&ours, PollFlags::ERR);
        assert_eq!(read(&mut ours, &mut buf).await.unwrap(), 3);
        let error = read(&mut ours, &mut buf).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

/// A peer that has finished speaking may still listen.
#[test]
fn half_closed_by_the_peer() {
    run(async {
        let (mut ours, mut peer) = pair_with_std();
        peer.write_all(b"question").unwrap();
        peer.shutdown(Shutdown::Write).unwrap();
        let mut question = String::new();
        ours.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        ours.write_all(b"answer").await.unwrap();
        ours.close().await.unwrap();
        let mut answer = String::new();
        peer.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "answer");
    });
}

/// The error of the connection itself arrives, not the one of a later write; and nothing is left
/// behind.
#[test]
fn refused() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let (_refusing, nobody) = refusing();
        let error = TcpStream::connect(nobody).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    });
    assert_eq!(sources(&event_loop), 0);
}

/// A listener with room for one, and that one: the kernel drops what comes next, unanswered.
async fn full_listener() -> (TcpListener, TcpStream, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, TcpStream::connect(address).await.unwrap(), address)
}

/// Nobody answers: the deadline ends the attempt, to the nanosecond of the test clock, and neither a
/// source nor a timer is left. Dropped by hand it leaves no source either.
#[test]
fn connect_times_out() {
    let (event_loop, clock) = hasty_event_loop();
    event_loop.block_on(async {
        let (_listener, _first, address) = full_listener().await;
        let (began, before) = (clock.elapsed(), sources(&event_loop));
        let late = TcpStream::connect_timeout(address, Duration::from_secs(3)).await.unwrap_err();
        assert_eq!(late.kind(), ErrorKind::TimedOut);
        assert_eq!(clock.elapsed() - began, Duration::from_secs(3));
        assert_eq!(sources(&event_loop), before);
        {
            let mut dropped = pin!(TcpStream::connect(address));
            must_wait(&mut dropped).await;
            assert_eq!(sources(&event_loop), before + 1);
        }
        assert_eq!(sources(&event_loop), before);
    });
}

/// Runs in a child with few descriptors, as the limit is the whole process's.
#[test]
fn accept_at_the_descriptor_limit() {
    const NAME: &str = "accept_at_the_descriptor_limit";
    if role().as_deref() == Some(NAME) {
        accept_without_descriptors(async |listener| listener.accept().await);
        return accept_without_descriptors(async |listener| {
            poll_fn(|cx| listener.poll_accept(cx)).await
        });
    }
    let mut command = Command::new("sh");
    command.args(["-c", r#"ulimit -n 64 && exec "$0" "$@""#]);
    as_child(&mut command, NAME, NAME);
    let run = command.output().unwrap();
    let said = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{said}{}", String::from_utf8_lossy(&run.stdout));
}

/// Each call gives the error once and at once, and the next waits on a timer before it tries again:
/// 10 ms, doubling to a second. While it waits nothing is polled, though a connection is there, which
/// a loop that just went on accepting would spin on. Descriptors back, it recovers, and the penalty
/// is forgotten.
fn accept_without_descriptors(
    accept: impl AsyncFn(&TcpListener) -> std::io::Result<(TcpStream, SocketAddr)>,
) {
    let (event_loop, clock) = hasty_event_loop();
    event_loop.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let clients = [(); 3].map(|()| net::TcpStream::connect(address).unwrap());
        let mut descriptors = Vec::new();
        while let Ok(file) = File::open("/dev/null") {
            descriptors.push(file);
        }
        let mut expected = Duration::ZERO;
        for millis in [0, 10, 20, 40, 80, 160, 320, 640, 1000, 1000] {
            let error = accept(&listener).await.unwrap_err();
            assert_eq!(Errno::from_io_error(&error), Some(Errno::MFILE));
            expected += Duration::from_millis(millis);
            assert_eq!(clock.elapsed(), expected);
        }
        // One who comes and goes with a tick of its own waits no longer for that.
        for _ in 0..3 {
            time::timeout(Duration::from_millis(300), accept(&listener)).await.unwrap_err();
        }
        let error = accept(&listener).await.unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::MFILE));
        expected += Duration::from_secs(1);
        assert_eq!(clock.elapsed(), expected);
        {
            let hold = clock.hold();
            let mut waiting = pin!(Polls { future: Box::pin(accept(&listener)), polls: 0 });
            must_wait(&mut waiting).await;
            let events = event_loop.stats().events;
            look().await;
            assert_eq!((waiting.polls, event_loop.stats().events), (1, events));
            drop((hold, descriptors));
            let (_connection, peer) = waiting.as_mut().await.unwrap();
            assert_eq!(peer, clients[0].local_addr().unwrap());
            expected += Duration::from_secs(1);
            assert_eq!(clock.elapsed(), expected);
        }
        for client in &clients[1..] {
            let (_connection, peer) = accept(&listener).await.unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
        assert_eq!(clock.elapsed(), expected);
    });
}

/// A peer that stops reading stops the writer: what the kernel holds is bounded by its buffers, we
/// hold nothing, and the waiting writer is not polled. A write that is dropped while it waits has
/// written nothing. Once the peer reads again, all arrives that was reported as written.
#[test]
fn a_peer_that_stops_reading() {
    const BUFFER: usize = 16 << 10;
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(BUFFER).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        ours.set_send_buffer_size(BUFFER).unwrap();
        let (mut peer, _) = listener.accept().await.unwrap();

        let written = Rc::new(Cell::new(0));
        let writer = spawn_local(write_for_ever(ours, written.clone()));
        wait_until_stuck(&written).await;
        let stuck_at = written.get();
        // The kernel doubles what it is asked for, at either end.
        assert!(0 < stuck_at && stuck_at <= 4 * BUFFER, "{stuck_at} bytes in nobody's buffer");
        let before = event_loop.stats();
        look().await;
        let after = event_loop.stats();
        // This very task alone was polled.
        assert_eq!((after.polls - before.polls, after.events), (64, before.events));

        // It goes on as soon as there is room, and further than it ever could without.
        let mut buf = vec![0; BUFFER];
        let mut got = 0;
        while got < 10 * 4 * BUFFER {
            got += read(&mut peer, &mut buf).await.unwrap();
        }
        wait_until_stuck(&written).await;
        writer.cancel();
        let _ = writer.await;
        loop {
            match read(&mut peer, &mut buf).await.unwrap() {
                0 => break,
                n => got += n,
            }
        }
        assert_eq!(got, written.get());
    });
}

/// A task that is cancelled while it waits takes its socket with it: the loop has forgotten it, and
/// the peer reads the end.
#[test]
fn a_socket_dropped_with_its_waiting_task() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let (ours, mut peer) = pair_with_std();
        let task = spawn_local(async move { ours.read(&mut [0; 8]).await });
        yield_now().await;
        assert_eq!(sources(&event_loop), 1);
        task.cancel();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(sources(&event_loop), 0);
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
    });
}

/// A task may wait in `poll_read` and not hold the socket. If somebody else drops it, or takes it
/// apart, the task is woken to see that it is gone: nobody else would ever wake it.
#[test]
fn a_socket_dropped_under_a_waiting_task() {
    run(async {
        for give_away in [false, true] {
            let (ours, _peer) = pair_with_std();
            let shared = Rc::new(RefCell::new(Some(ours)));
            let seen = shared.clone();
            let task = spawn_local(poll_fn(move |cx| match seen.borrow_mut().as_mut() {
                Some(stream) => Pin::new(stream).poll_read(cx, &mut [0; 8]).map(|_| "read"),
                None => Poll::Ready("gone"),
            }));
            yield_now().await;
            let stream = shared.borrow_mut().take().unwrap();
            let std = give_away.then_some(stream).map(TcpStream::into_std);
            assert_eq!(task.await.unwrap(), "gone");
            drop(std);
        }
    });
}

/// The writing half may be dropped on any thread while the reading half's task waits: it hears the
/// peer's answer to that, and the end.
#[test]
fn the_other_half_dropped_on_another_thread() {
    run(async {
        let (ours, mut peer) = pair_with_std();
        let (mut reader, writer) = ours.into_split();
        let task = spawn_local(async move {
            let mut answer = String::new();
            reader.read_to_string(&mut answer).await.unwrap();
            answer
        });
        yield_now().await;
        thread::spawn(move || drop(writer)).join().unwrap();
        assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
        peer.write_all(b"answer").unwrap();
        drop(peer);
        assert_eq!(task.await.unwrap(), "answer");
    });
}

/// A descriptor's number is soon another's. What is still known of the old one (an event in the
/// kernel's list, a token whose end another thread posted, a duplicate that keeps the old socket
/// alive) must do nothing to the new one.
#[test]
fn a_descriptor_number_reused() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        for elsewhere in [false, true] {
            let (old, mut old_peer) = pair_with_std();
            let old = old.into_std();
            let alive = old.try_clone().unwrap();
            let source = Source::new(OwnedFd::from(old)).unwrap();
            must_wait(&mut pin!(source.readable())).await;
            // An event that the loop has not seen yet.
            old_peer.write_all(b"old").unwrap();
            wait_in_kernel(&source, PollFlags::IN);
            let mut number = if elsewhere {
                thread::spawn(|| source.into_inner()).join().unwrap()
            } else {
                source.into_inner()
            };

            let (new, mut new_peer) = pair_with_std();
            let raw = number.as_raw_fd();
            rustix::io::dup2(&new, &mut number).unwrap();
            let new = TcpStream::from_std(number.into()).unwrap();
            assert_eq!(new.as_fd().as_raw_fd(), raw);
            let events = event_loop.stats().events;
            let mut waiting = pin!(Polls { future: new.readable(), polls: 0 });
            must_wait(&mut waiting).await;
            old_peer.write_all(b"older").unwrap();
            look().await;
            assert_eq!((sources(&event_loop), waiting.polls), (1, 1), "elsewhere: {elsewhere}");
            // Registering the new one reports once that it can be written to.
            assert_eq!(event_loop.stats().events, events + 1);
            new_peer.write_all(b"new").unwrap();
            waiting.await.unwrap();
            assert_eq!(new.read(&mut [0; 16]).await.unwrap(), 3);
            drop(alive);
        }
    });
}

/// Sends two bytes, an urgent one, and two more, all there before the first read.
fn with_urgent_byte(peer: &mut net::TcpStream) {
    peer.write_all(b"ab").unwrap();
    SockRef::from(&*peer).send_out_of_band(b"!").unwrap();
    peer.write_all(b"cd").unwrap();
}

/// A read stops before an urgent byte, and the kernel sends no further event for what lies behind
/// it: after that short read the next one must try, not wait. On a socket that is watched already,
/// and on one that has not been yet.
#[test]
fn an_urgent_byte_in_between_loses_no_data() {
    for watched in [false, true] {
        for by_trait in [false, true] {
            run(async {
                let (mut ours, mut peer) = pair_with_std();
                let mut buf = [0; 16];
                if watched {
                    must_wait(&mut pin!(ours.read(&mut buf))).await;
                }
                with_urgent_byte(&mut peer);
                wait_in_kernel(&ours, PollFlags::IN | PollFlags::PRI);
                let mut got = Vec::new();
                while got.len() < 4 {
                    let n = if by_trait {
                        read(&mut ours, &mut buf).await.unwrap()
                    } else {
                        ours.read(&mut buf).await.unwrap()
                    };
                    got.extend_from_slice(&buf[..n]);
                }
                assert_eq!(got, b"abcd", "watched: {watched}, by trait: {by_trait}");
                // It goes on as ever behind the mark.
                peer.write_all(b"ef").unwrap();
                assert_eq!(read(&mut ours, &mut buf).await.unwrap(), 2);
                must_wait(&mut pin!(read(&mut ours, &mut buf))).await;
            });
        }
    }
}

/// The end came together with the data, or right behind it. In neither case may the short read
/// before it be taken for "nothing more for now": the end is an event that comes but once.
#[test]
fn a_hang_up_after_a_short_read_is_seen() {
    for together in [false, true] {
        run(async {
            let (mut ours, mut peer) = pair_with_std();
            let mut buf = [0; 16];
            must_wait(&mut pin!(read(&mut ours, &mut buf))).await;
            peer.write_all(b"abc").unwrap();
            let mut peer = Some(peer);
            if together {
                drop(peer.take());
                wait_in_kernel(&ours, PollFlags::RDHUP);
            }
            assert_eq!(read(&mut ours, &mut buf).await.unwrap(), 3);
            drop(peer);
            assert_eq!(read(&mut ours, &mut buf).await.unwrap(), 0, "together: {together}");
        });
    }
}

/// The loop goes while a task waits: the task and its socket go with it.
#[test]
fn the_loop_dropped_while_a_task_waits() {
    let (event_loop, _) = event_loop();
    let (ours, mut peer) = pair_with_std();
    let task = event_loop.spawn_local(async move { ours.read(&mut [0; 8]).await });
    event_loop.block_on(yield_now());
    drop(event_loop);
    assert!(task.wait().unwrap_err().is_cancelled());
    assert_eq!(peer.read(&mut [0; 8]).unwrap(), 0);
}

/// A deadline on a read that never comes leaves the connection as it was.
#[test]
fn a_read_that_timed_out_may_be_tried_again() {
    let (event_loop, clock) = hasty_event_loop();
    event_loop.block_on(async {
        let (client, server) = pair().await;
        let limit = Duration::from_secs(60);
        assert!(time::timeout(limit, server.read(&mut [0; 8])).await.is_err());
        assert_eq!(clock.elapsed(), limit);
        client.write(b"late").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 4);
    });
}
