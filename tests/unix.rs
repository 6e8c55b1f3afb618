//! Unix sockets as they should go: streams, listeners and datagrams at paths, under abstract names and in pairs;
//! who the peer is; descriptors that go along; and what a full backlog or queue does to who comes next.
//!
//! All sockets are real, in a directory that is removed.

use std::{
    fs::File,
    future::poll_fn,
    io::{self, Error, ErrorKind, Read, Seek, Write},
    net::Shutdown,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::{
            fs::MetadataExt,
            net::{self, SocketAddr},
        },
    },
    path::{Path, PathBuf},
    pin::pin,
    process::Command,
};

use futures_lite::{AsyncReadExt, AsyncWriteExt, future::zip, io::copy};
use rustix::event::PollFlags;
use tempfile::TempDir;
use whirligig::{
    WaitsFor, dump,
    net::{
        Accept, AddressError, ConnectUnix, OwnedReadHalf, ReadHalf, Unix, UnixDatagram,
        UnixListener, UnixSeqpacket, UnixSeqpacketListener, UnixStream,
    },
    spawn, spawn_local,
    task::yield_now,
};

use sockets::{
    as_child, event_loop, hasty_event_loop, must_wait, role, run, run_on, sources, wait_in_kernel,
};

mod sockets;

/// A directory, and a path in it where nothing is.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    (directory, path)
}

#[track_caller]
fn demand_address(error: &Error, action: &str, path: &Path, kind: ErrorKind) {
    let text = error.to_string();
    assert!(text.starts_with(&format!("{action} {path:?} (pathname): ")), "{text}");
    assert_eq!(error.kind(), kind, "{text}");
    let inside = error.get_ref().unwrap().downcast_ref::<AddressError<SocketAddr>>().unwrap();
    assert_eq!(inside.address().as_pathname(), Some(path));
    assert_eq!(inside.io_error().kind(), kind);
}

#[test]
fn connects_at_a_path() {
    let (_directory, path) = place();
    run(async {
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
        let mut accept: Accept<'_, Unix> = listener.accept();
        must_wait(&mut accept).await;
        let connect: ConnectUnix = UnixStream::connect(path.clone());
        let client = spawn(connect).await.unwrap().unwrap();
        let (server, peer) = accept.await.unwrap();
        assert!(peer.is_unnamed(), "{peer:?}");
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_path()));
        assert!(server.peer_addr().unwrap().is_unnamed());
        assert_eq!(client.write(b"hello").await.unwrap(), 5);
        let mut buf = [0; 8];
        assert_eq!(server.peek(&mut buf).await.unwrap(), 5);
        assert_eq!(server.read(&mut buf).await.unwrap(), 5);
        assert_eq!(&buf[..5], b"hello");
        // The path outlives its socket: nobody is there, and it cannot be bound.
        drop(listener);
        let error = UnixStream::connect(&path).await.unwrap_err();
        demand_address(&error, "connect to", &path, ErrorKind::ConnectionRefused);
        let error = UnixListener::bind(&path).unwrap_err();
        demand_address(&error, "listen at", &path, ErrorKind::AddrInUse);
        let error = UnixDatagram::bind(&path).unwrap_err();
        demand_address(&error, "bind to", &path, ErrorKind::AddrInUse);
        std::fs::remove_file(&path).unwrap();
        let error = UnixStream::connect(&path).await.unwrap_err();
        demand_address(&error, "connect to", &path, ErrorKind::NotFound);
    });
}

#[test]
fn what_is_no_path_is_named() {
    run(async {
        let long = "x".repeat(200);
        for nonsense in ["", &long, "in\0between"] {
            let errors = [
                UnixStream::connect(nonsense).await.unwrap_err(),
                UnixListener::bind(nonsense).unwrap_err(),
                UnixDatagram::bind(nonsense).unwrap_err(),
                UnixDatagram::unbound().unwrap().send_to(b"x", nonsense).await.unwrap_err(),
            ];
            for error in errors {
                assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
                let shown = format!("{nonsense:?}");
                assert!(nonsense.is_empty() || error.to_string().contains(&shown), "{error}");
            }
        }
    });
}

/// A name that is no path, written as asyncio and others write it, or as std has it. It is gone with its socket.
#[test]
#[cfg(target_os = "linux")]
fn abstract_names() {
    use std::os::linux::net::SocketAddrExt;
    run(async {
        let name = format!("whirligig-test-{}", std::process::id());
        let path = format!("\0{name}");
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
        let first = UnixStream::connect(&path).await.unwrap();
        let second = UnixStream::connect_addr(&address).await.unwrap();
        for client in [first, second] {
            assert_eq!(client.peer_addr().unwrap().as_abstract_name(), Some(name.as_bytes()));
            listener.accept().await.unwrap();
        }
        let error = UnixListener::bind_addr(&address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        assert!(error.to_string().contains(&name), "{error}");
        drop(listener);
        let datagrams = UnixDatagram::bind(&path).unwrap();
        UnixDatagram::unbound().unwrap().send_to_addr(b"x", &address).await.unwrap();
        assert_eq!(datagrams.recv(&mut [0; 8]).await.unwrap(), 1);
    });
}

/// The traits and the halves are those of TCP: a megabyte goes out and comes back at once, more than the kernel
/// buffers.
#[test]
fn halves_work_at_once() {
    run(async {
        let (mut client, server) = UnixStream::pair().unwrap();
        let echo = spawn(async move {
            let (reader, writer) = server.into_split();
            let reader: OwnedReadHalf<Unix> = reader;
            copy(reader, writer).await.unwrap();
        });
        let sent: Vec<u8> =
            (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut got = Vec::new();
        let (reader, mut writer) = client.split();
        let mut reader: ReadHalf<'_, Unix> = reader;
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
        };
        zip(write, async { reader.read_to_end(&mut got).await.unwrap() }).await;
        assert!(got == sent, "the echo is what was sent");
        echo.await.unwrap();
    });
}

#[test]
fn halves_reunite() {
    run(async {
        let (client, server) = UnixStream::pair().unwrap();
        let (reader, writer) = client.into_split();
        let client = reader.reunite(writer).unwrap();
        client.write(b"open").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 4);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
        drop(client);
        assert_eq!(server.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
    });
}

/// The kernel says who the peer is: of a pair it is this process, of a connection that another one made, that one.
#[test]
#[cfg(target_os = "linux")]
fn the_kernel_says_who_the_peer_is() {
    const TEST: &str = "the_kernel_says_who_the_peer_is";
    if let Some(path) = role() {
        let mut stream = net::UnixStream::connect(path).unwrap();
        let _ = stream.read(&mut [0]);
        return;
    }
    let (_directory, path) = place();
    run(async {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let own = ours.peer_cred().unwrap();
        assert_eq!(own.pid, Some(std::process::id()));
        // The owner of what this process makes.
        let made = tempfile::tempfile().unwrap().metadata().unwrap();
        assert_eq!((own.uid, own.gid), (made.uid(), made.gid()));
        assert_eq!(UnixDatagram::pair().unwrap().0.peer_cred().unwrap(), own);

        let listener = UnixListener::bind(&path).unwrap();
        let mut command = Command::new("env");
        as_child(&mut command, TEST, path.to_str().unwrap());
        let mut child = sockets::Background(command.spawn().unwrap());
        let (stream, _) = listener.accept().await.unwrap();
        assert_eq!(stream.peer_cred().unwrap().pid, Some(child.0.id()));
        drop(stream);
        assert!(child.0.wait().unwrap().success());
    });
}

/// A file, with a text and its position at the start.
fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.rewind().unwrap();
    file
}

fn read(fd: OwnedFd) -> String {
    io::read_to_string(File::from(fd)).unwrap()
}

#[test]
fn descriptors_go_along_with_bytes() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut buf, mut fds) = ([0; 16], Vec::new());
        {
            let mut receiving = pin!(theirs.recv_fds(&mut buf, &mut fds));
            must_wait(&mut receiving).await;
            let (one, two) = (file("one"), file("two"));
            assert_eq!(ours.send_fds(b"ab", &[one.as_fd(), two.as_fd()]).await.unwrap(), 2);
            // Ours are closed; theirs are their own.
            drop((one, two));
            assert_eq!(receiving.await.unwrap(), 2);
        }
        for fd in &fds {
            assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
        }
        let texts: Vec<_> = fds.drain(..).map(read).collect();
        assert_eq!(texts, ["one", "two"]);
        // One call stops where the next descriptors begin.
        let three = file("three");
        ours.write(b"plain").await.unwrap();
        ours.send_fds(b"c", &[three.as_fd()]).await.unwrap();
        ours.send_fds(b"d", &[]).await.unwrap();
        let first = theirs.recv_fds(&mut buf, &mut fds).await.unwrap();
        if first == 5 {
            assert!(fds.is_empty());
            assert_eq!(theirs.recv_fds(&mut buf, &mut fds).await.unwrap(), 1);
        }
        assert_eq!(fds.len(), 1);
        assert_eq!(theirs.recv_fds(&mut buf, &mut fds).await.unwrap(), 1);
        assert_eq!(read(fds.remove(0)), "three");

        let error = ours.send_fds(b"", &[three.as_fd()]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

/// A read ends behind bytes that came with descriptors: that it gives less than was asked does not mean that it was all.
#[test]
fn a_read_behind_descriptors_finds_what_follows() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut buf = [0; 16];
        must_wait(&mut pin!(theirs.read(&mut buf))).await;
        let (end, _) = io::pipe().unwrap();
        assert_eq!(ours.send_fds(b"a", &[end.as_fd()]).await.unwrap(), 1);
        assert_eq!(ours.write(b"b").await.unwrap(), 1);
        for byte in *b"ab" {
            assert_eq!(theirs.read(&mut buf).await.unwrap(), 1);
            assert_eq!(buf[0], byte);
        }
    });
}

/// As many as one message takes arrive; one more is refused.
#[test]
fn as_many_descriptors_as_a_message_takes() {
    run(async {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let one = file("x");
        let many: Vec<BorrowedFd<'_>> = vec![one.as_fd(); 254];
        let error = ours.send_fds(b"x", &many).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("254") && error.to_string().contains("253"), "{error}");
        ours.send_fds(b"x", &many[..253]).await.unwrap();
        let mut fds = Vec::new();
        assert_eq!(theirs.recv_fds(&mut [0; 8], &mut fds).await.unwrap(), 1);
        assert_eq!(fds.len(), 253);
        // A datagram may be empty and carry some.
        ours.send_fds(b"", &many[..1]).await.unwrap();
        assert_eq!(theirs.recv_fds(&mut [0; 8], &mut fds).await.unwrap(), 0);
        assert_eq!(fds.len(), 254);
    });
}

/// A process that may open no more hears that descriptors were lost; those that it got are its own.
#[test]
fn descriptors_beyond_the_limit_are_told_of() {
    const TEST: &str = "descriptors_beyond_the_limit_are_told_of";
    if role().is_none() {
        let mut command = Command::new("sh");
        command.args(["-c", r#"ulimit -n 40; exec "$0" "$@""#]);
        as_child(&mut command, TEST, "limited");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        return;
    }
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let one = file("x");
        ours.send_fds(b"x", &[one.as_fd(); 100]).await.unwrap();
        let mut fds = Vec::new();
        let error = theirs.recv_fds(&mut [0; 8], &mut fds).await.unwrap_err();
        assert!(error.to_string().contains("lost"), "{error}");
        assert!((1..40).contains(&fds.len()), "{}", fds.len());
        // With room again, all is well.
        fds.clear();
        ours.send_fds(b"x", &[one.as_fd()]).await.unwrap();
        assert_eq!(theirs.recv_fds(&mut [0; 8], &mut fds).await.unwrap(), 1);
        assert_eq!(fds.len(), 1);
    });
}

/// A listener whose backlog is full, and the connections that fill it.
fn full(path: &Path) -> (UnixListener, Vec<net::UnixStream>) {
    let listener = net::UnixListener::bind(path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let mut clients = Vec::new();
    loop {
        let client = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None);
        let client = client.unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&socket2::SockAddr::unix(path).unwrap()) {
            Ok(()) => clients.push(OwnedFd::from(client).into()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return (UnixListener::from_std(listener).unwrap(), clients);
            }
        }
    }
}

/// Who connects while the backlog is full waits, and is told of in the dump; it comes in when there is room.
#[test]
fn a_full_backlog_is_waited_for() {
    let (_directory, path) = place();
    let (event_loop, _) = hasty_event_loop();
    run_on(&event_loop, async {
        let (listener, clients) = full(&path);
        let line = line!() + 1;
        let connecting = spawn_local(UnixStream::connect(&path));
        yield_now().await;
        let waits = dump().tasks.into_iter().find(|task| task.id == connecting.id()).unwrap();
        let waits = waits.waits.map(|(what, at)| (what, at.line()));
        assert_eq!(waits, Some((WaitsFor::Writable, line)));
        for _ in 0..20 {
            yield_now().await;
        }
        assert!(!connecting.is_finished(), "there is no room");
        for _ in &clients {
            listener.accept().await.unwrap();
        }
        let client = connecting.await.unwrap().unwrap();
        listener.accept().await.unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_path()));
        // One that is dropped while it waits is no connection.
        let (_directory, path) = place();
        let (listener, clients) = full(&path);
        must_wait(&mut UnixStream::connect(&path)).await;
        for _ in &clients {
            listener.accept().await.unwrap();
        }
        must_wait(&mut pin!(listener.accept())).await;
    });
}

#[test]
fn datagrams_tell_whence() {
    let (directory, path) = place();
    let answers = directory.path().join("answers");
    run(async {
        let (server, client) =
            (UnixDatagram::bind(&path).unwrap(), UnixDatagram::bind(&answers).unwrap());
        let mut buf = [0; 8];
        let peer = {
            let mut receiving = pin!(server.recv_from(&mut buf));
            must_wait(&mut receiving).await;
            client.send_to(b"hello", &path).await.unwrap();
            let (length, peer) = receiving.await.unwrap();
            assert_eq!((length, peer.as_pathname()), (5, Some(answers.as_path())));
            peer
        };
        server.send_to_addr(b"back", &peer).await.unwrap();
        assert_eq!(client.peek(&mut buf).await.unwrap(), 4);
        assert_eq!(client.peek_from(&mut buf[..2]).await.unwrap().0, 2);
        assert_eq!(client.recv(&mut buf).await.unwrap(), 4);
        // Connected, by polling and by trying.
        client.connect(&path).unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_path()));
        client.send(b"1").await.unwrap();
        poll_fn(|cx| client.poll_send(cx, b"22")).await.unwrap();
        client.try_send(b"333").unwrap();
        client.try_send_to(b"4444", &path).unwrap();
        for n in 1..=4 {
            let received = poll_fn(|cx| server.poll_recv_from(cx, &mut buf)).await.unwrap();
            assert_eq!(received.0, n);
        }
        // Nobody is there.
        drop(server);
        let error = client.send_to(b"x", &path).await.unwrap_err();
        demand_address(&error, "send to", &path, ErrorKind::ConnectionRefused);
        assert_eq!(client.send(b"x").await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        let error = client.connect(&path).unwrap_err();
        demand_address(&error, "connect to", &path, ErrorKind::ConnectionRefused);
    });
}

/// A path may be so long that no zero byte ends it. What comes from there is received, whoever sent it.
#[test]
#[cfg(target_os = "linux")]
fn a_peer_with_the_longest_path_is_heard() {
    let (directory, path) = place();
    let longest = directory.path().join("x".repeat(107 - directory.path().as_os_str().len()));
    assert_eq!(longest.as_os_str().len(), 108);
    run(async {
        let server = UnixDatagram::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        rustix::net::bind(&client, &rustix::net::SocketAddrUnix::new(&longest).unwrap()).unwrap();
        client.send_to(b"hello", &path).await.unwrap();
        let (length, peer) = server.recv_from(&mut [0; 8]).await.unwrap();
        assert!(length == 5 && peer.is_unnamed(), "{peer:?}");
        assert!(client.local_addr().unwrap().is_unnamed());
    });
}

#[test]
fn a_pair_ends() {
    run(async {
        let (ours, theirs) = UnixDatagram::pair().unwrap();
        ours.send(b"").await.unwrap();
        assert_eq!(theirs.recv(&mut [0; 8]).await.unwrap(), 0);
        ours.shutdown(Shutdown::Read).unwrap();
        assert_eq!(theirs.send(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        drop(theirs);
        assert!(ours.send(b"x").await.is_err());
    });
}

/// Fills the queue of the socket at that path.
fn fill(path: &Path) -> (net::UnixDatagram, usize) {
    let socket = net::UnixDatagram::unbound().unwrap();
    socket.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while socket.send_to(b"x", path).is_ok() {
        sent += 1;
    }
    (socket, sent)
}

/// A queue that we have filled ourselves: the kernel says when the peer takes one of ours. No timer helps here, for
/// this loop's clock stands.
#[test]
fn a_queue_of_our_own_datagrams_wakes_the_sender() {
    let (_directory, path) = place();
    run(async {
        let server = UnixDatagram::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        let mut sent = 0;
        while client.try_send_to(b"x", &path).is_ok() {
            sent += 1;
        }
        let mut buf = [0; 8];
        {
            let mut sending = pin!(client.send_to(b"last", &path));
            must_wait(&mut sending).await;
            for _ in 0..sent {
                server.recv(&mut buf).await.unwrap();
            }
            sending.await.unwrap();
        }
        assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
        // To a peer that it is connected to, it need not even be our own.
        client.connect(&path).unwrap();
        let (_other, sent) = fill(&path);
        let mut sending = pin!(client.send(b"last"));
        must_wait(&mut sending).await;
        for _ in 0..sent {
            server.recv(&mut buf).await.unwrap();
        }
        sending.await.unwrap();
        assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
    });
}

/// A queue that others have filled: the kernel says nothing, and it is tried again.
#[test]
fn a_queue_of_others_datagrams_is_tried_again() {
    let (_directory, path) = place();
    let (event_loop, _) = hasty_event_loop();
    run_on(&event_loop, async {
        let server = UnixDatagram::bind(&path).unwrap();
        let client = UnixDatagram::unbound().unwrap();
        let (_other, sent) = fill(&path);
        let mut buf = [0; 8];
        let mut sending = pin!(client.send_to(b"last", &path));
        must_wait(&mut sending).await;
        for _ in 0..sent {
            server.recv(&mut buf).await.unwrap();
        }
        sending.await.unwrap();
        assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
        // Dropped while it waits, it has sent nothing, nor does it later.
        let (_other, sent) = fill(&path);
        must_wait(&mut pin!(client.send_to(b"never", &path))).await;
        for _ in 0..sent {
            assert_eq!(server.recv(&mut buf).await.unwrap(), 1);
        }
        must_wait(&mut pin!(server.recv(&mut buf))).await;
    });
}

#[test]
fn messages_are_kept_apart() {
    let (_directory, path) = place();
    run(async {
        let listener = UnixSeqpacketListener::bind(&path).unwrap();
        assert_eq!(listener.local_addr().unwrap().as_pathname(), Some(path.as_path()));
        let mut accept = Box::pin(listener.accept());
        must_wait(&mut accept).await;
        let client = spawn(UnixSeqpacket::connect(path.clone())).await.unwrap().unwrap();
        let (server, peer) = accept.await.unwrap();
        assert!(peer.is_unnamed(), "{peer:?}");
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(path.as_path()));
        assert_eq!(client.peer_cred().unwrap().pid, Some(std::process::id()));

        let mut buf = [0; 8];
        {
            let mut recv = pin!(server.recv(&mut buf));
            must_wait(&mut recv).await;
            assert_eq!(client.send(b"one").await.unwrap(), 3);
            assert_eq!(recv.await.unwrap(), 3);
        }
        assert_eq!(&buf[..3], b"one");
        // One by one, and what is too long for the buffer is cut.
        for message in [&b"two"[..], b"longer than it", b"x"] {
            assert_eq!(client.try_send(message).unwrap(), message.len());
        }
        for expected in [&b"two"[..], b"longer t", b"x"] {
            let length = server.recv(&mut buf).await.unwrap();
            assert_eq!(&buf[..length], expected);
        }
        let empty = server.try_recv(&mut buf).unwrap_err();
        assert_eq!(empty.kind(), ErrorKind::WouldBlock);

        // A descriptor goes along with a message.
        client.send_fds(b"file", &[file("in it").as_fd()]).await.unwrap();
        let mut fds = Vec::new();
        assert_eq!(server.recv_fds(&mut buf, &mut fds).await.unwrap(), 4);
        assert_eq!(fds.into_iter().map(read).collect::<Vec<_>>(), ["in it"]);

        // What was sent before the end is there, and then the end.
        client.send(b"last").await.unwrap();
        drop(client);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 4);
        assert_eq!(server.recv(&mut buf).await.unwrap(), 0);
        assert_eq!(server.send(b"late").await.unwrap_err().kind(), ErrorKind::BrokenPipe);

        // A stream is another kind of socket.
        let error = UnixStream::connect(&path).await.unwrap_err();
        assert!(error.to_string().contains("Protocol wrong type"), "{error}");
        drop(listener);
        let error = UnixSeqpacket::connect(&path).await.unwrap_err();
        demand_address(&error, "connect to", &path, ErrorKind::ConnectionRefused);
    });
}

#[test]
fn a_message_waits_for_room_and_is_sent_whole() {
    run(async {
        let (ours, theirs) = UnixSeqpacket::pair().unwrap();
        let message = [7; 1 << 14];
        let mut sent = 0;
        while ours.try_send(&message).is_ok() {
            sent += 1;
        }
        {
            // One that is given up is not sent.
            let mut given_up = pin!(ours.send(&message));
            must_wait(&mut given_up).await;
        }
        let mut last = pin!(ours.send(b"last"));
        must_wait(&mut last).await;
        let mut buf = vec![0; message.len() + 1];
        for _ in 0..sent {
            assert_eq!(theirs.recv(&mut buf).await.unwrap(), message.len());
        }
        assert_eq!(last.await.unwrap(), 4);
        assert_eq!(theirs.recv(&mut buf).await.unwrap(), 4);
        ours.shutdown(Shutdown::Write).unwrap();
        assert_eq!(theirs.recv(&mut buf).await.unwrap(), 0);
    });
}

#[test]
fn a_dropped_read_loses_nothing() {
    run(async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut buf, mut fds) = ([0; 8], Vec::new());
        must_wait(&mut pin!(theirs.read(&mut buf))).await;
        let one = file("one");
        {
            let mut dropped = pin!(theirs.recv_fds(&mut buf, &mut fds));
            must_wait(&mut dropped).await;
            ours.send_fds(b"abc", &[one.as_fd()]).await.unwrap();
            // The event that ends this wait has woken the other too.
            theirs.readable().await.unwrap();
        }
        assert_eq!(theirs.recv_fds(&mut buf, &mut fds).await.unwrap(), 3);
        assert_eq!(read(fds.remove(0)), "one");
    });
}

/// Given to std they are not watched any more, and work there; and back.
#[test]
fn go_to_std_and_back() {
    let (_directory, path) = place();
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let (ours, theirs) = UnixStream::pair().unwrap();
        must_wait(&mut pin!(ours.read(&mut [0; 8]))).await;
        assert_eq!(sources(&event_loop), 1);
        let mut std: net::UnixStream = ours.into_std();
        assert_eq!(sources(&event_loop), 0);
        std.write_all(b"from std").unwrap();
        assert_eq!(theirs.read(&mut [0; 8]).await.unwrap(), 8);
        let ours = UnixStream::from_std(std).unwrap();
        theirs.write(b"back").await.unwrap();
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 4);

        let listener = UnixListener::from_std(net::UnixListener::bind(&path).unwrap()).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert_eq!(client.try_write(b"x").unwrap(), 1);
        wait_in_kernel(&server, PollFlags::IN);
        assert_eq!(server.try_read(&mut [0; 8]).unwrap(), 1);
        let listener: net::UnixListener = listener.into_std();
        let _client = UnixStream::connect(&path).await.unwrap();
        listener.accept().unwrap();

        let (ours, theirs) = net::UnixDatagram::pair().unwrap();
        let ours = UnixDatagram::from_std(ours).unwrap();
        theirs.send(b"datagram").unwrap();
        assert_eq!(ours.recv(&mut [0; 8]).await.unwrap(), 8);
        let ours: net::UnixDatagram = ours.into_std();
        ours.send(b"x").unwrap();
        assert_eq!(theirs.recv(&mut [0; 8]).unwrap(), 1);
    });
}

#[test]
fn show_their_addresses() {
    let (_directory, path) = place();
    run(async {
        let listener = UnixListener::bind(&path).unwrap();
        let client = UnixStream::connect(&path).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        for (shown, name) in [
            (format!("{listener:?}"), "UnixListener {"),
            (format!("{client:?}"), "UnixStream {"),
            (format!("{server:?}"), "UnixStream {"),
        ] {
            assert!(shown.starts_with(name) && shown.contains(path.to_str().unwrap()), "{shown}");
        }
    });
}
