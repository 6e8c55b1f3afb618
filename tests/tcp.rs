//! TCP as it should go: connecting, both directions, halves, options, and the traits of futures-io.
//!
//! What goes wrong on real networks is in `bad_conditions.rs`. All sockets here are real, on the
//! loopback; each test says why its claim must hold.

use std::{
    fs::File,
    future::poll_fn,
    io::{Error, ErrorKind, IoSlice, IoSliceMut, Read, Seek, Write},
    net::{self, IpAddr, Ipv4Addr, Shutdown, SocketAddr},
    os::fd::OwnedFd,
    pin::pin,
    task::Context,
    time::Duration,
};

use futures_lite::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, FutureExt, StreamExt,
    future::{poll_once, zip},
    io::{BufReader, BufWriter, copy},
};
use rustix::event::PollFlags;
use whirligig::{
    WaitsFor,
    io::Source,
    net::{
        Accept, AddressError, Bind, Connect, ConnectTimeout, OwnedReadHalf, OwnedWriteHalf,
        ReadHalf, TcpListener, TcpSocket, TcpStream, ToAddrs, WriteHalf,
    },
    spawn,
    task::yield_now,
    trace::{Cause, Event, EventKind, Recorder},
};

use sockets::{
    event_loop, hasty_event_loop, must_wait, pair, pair_with_std, refusing, run, run_on, sources,
    wait_in_kernel,
};

mod sockets;

async fn connects(listener: &TcpListener, to: impl ToAddrs) {
    let client = TcpStream::connect(to).await.unwrap();
    let (server, peer) = listener.accept().await.unwrap();
    assert_eq!(peer, client.local_addr().unwrap());
    assert_eq!(server.peer_addr().unwrap(), peer);
    assert_eq!(client.peer_addr().unwrap(), listener.local_addr().unwrap());
}

/// Each way to write an address leads to the same listener. `localhost` may have an IPv6 address as
/// well, where nobody listens: all its addresses are tried.
#[test]
fn connects_by_address_and_by_name() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let port = address.port();
        connects(&listener, address).await;
        connects(&listener, (Ipv4Addr::LOCALHOST, port)).await;
        connects(&listener, address.to_string()).await;
        connects(&listener, ("127.0.0.1", port)).await;
        connects(&listener, ("localhost", port)).await;
        connects(&listener, format!("localhost:{port}")).await;
        // What std's `ToSocketAddrs` takes as well, by reference too.
        connects(&listener, &address).await;
        connects(&listener, &address.to_string()).await;
        connects(&listener, &(String::from("localhost"), port)).await;
        connects(&listener, (IpAddr::V4(Ipv4Addr::LOCALHOST), port)).await;
        connects(&listener, &[address][..]).await;
        connects(&listener, &vec![address]).await;
        connects(&listener, [address, address]).await;
    });
}

/// What connects, binds and accepts can be named, and owns what it needs: so it may be spawned, and kept.
#[test]
fn futures_own_what_they_were_given() {
    run(async {
        let bind: Bind<TcpListener> = {
            let host = String::from("127.0.0.1:0");
            TcpListener::bind(&host)
        };
        let listener = spawn(bind).await.unwrap().unwrap();
        let connect: Connect = {
            let host = listener.local_addr().unwrap().to_string();
            TcpStream::connect(&host)
        };
        let timeout: ConnectTimeout = {
            let host = listener.local_addr().unwrap().to_string();
            TcpStream::connect_timeout(host.as_str(), Duration::from_secs(1))
        };
        let clients = [spawn(connect).await.unwrap(), spawn(timeout).await.unwrap()];
        let mut accept: Accept<'_> = listener.accept();
        let (_, peer) = (&mut accept).await.unwrap();
        assert_eq!(peer, clients[0].as_ref().unwrap().local_addr().unwrap());
    });
}

/// The kernel says what happened, and we say where. Its error is inside, with its number.
#[test]
fn errors_name_the_address() {
    run(async {
        let demand = |error: Error, action: &str, address: SocketAddr, kind| {
            let text = error.to_string();
            assert!(text.starts_with(&format!("{action} {address}: ")), "{text}");
            assert!(format!("{error:?}").contains(&text), "{error:?}");
            assert_eq!(error.kind(), kind);
            let inside = error.get_ref().unwrap().downcast_ref::<AddressError>().unwrap();
            assert_eq!(*inside.address(), address);
            assert_eq!(inside.io_error().kind(), kind);
            assert!(inside.io_error().raw_os_error().is_some());
        };
        let (_refusing, nobody) = refusing();
        let error = TcpStream::connect(nobody).await.unwrap_err();
        demand(error, "connect to", nobody, ErrorKind::ConnectionRefused);
        let socket = TcpSocket::new_v4().unwrap();
        let error = socket.connect(nobody).await.unwrap_err();
        demand(error, "connect to", nobody, ErrorKind::ConnectionRefused);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let taken = listener.local_addr().unwrap();
        let error = TcpListener::bind(taken).await.unwrap_err();
        demand(error, "listen at", taken, ErrorKind::AddrInUse);
        let error = TcpSocket::new_v4().unwrap().bind(taken).unwrap_err();
        demand(error, "bind to", taken, ErrorKind::AddrInUse);
    });
}

/// `poll_accept` accepts as `accept` does, and is woken as well.
#[test]
fn accepts_by_polling() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut accept = pin!(poll_fn(|cx| listener.poll_accept(cx)));
        must_wait(&mut accept).await;
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        assert_eq!(accept.await.unwrap().1, client.local_addr().unwrap());
    });
}

/// Operations of one's own, on a connection's descriptor, and its readiness.
#[test]
fn operations_of_ones_own() {
    run(async {
        let (client, server) = pair().await;
        let mut buf = [0; 8];
        let mut read = pin!(server.read_with(|fd| Ok(rustix::io::read(fd, &mut buf)?)));
        must_wait(&mut read).await;
        client.writable().await.unwrap();
        poll_fn(|cx| client.poll_writable(cx)).await.unwrap();
        assert_eq!(client.write_with(|fd| Ok(rustix::io::write(fd, b"ab")?)).await.unwrap(), 2);
        assert_eq!(read.await.unwrap(), 2);
        let write = poll_fn(|cx| client.poll_write_with(cx, |fd| Ok(rustix::io::write(fd, b"c")?)));
        write.await.unwrap();
        poll_fn(|cx| server.poll_readable(cx)).await.unwrap();
        let read = |cx: &mut Context<'_>| {
            server.poll_read_with(cx, |fd| Ok(rustix::io::read(fd, &mut [0; 8])?))
        };
        assert_eq!(poll_fn(read).await.unwrap(), 1);
    });
}

/// The first address that answers is taken; when none does, the error tells what each has met.
#[test]
fn tries_each_address_in_turn() {
    run(async {
        let (_refusing, nobody) = refusing();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        connects(&listener, vec![nobody, listener.local_addr().unwrap()]).await;
        let (_refusing, nobody_either) = refusing();
        let error = TcpStream::connect([nobody, nobody_either]).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        let text = error.to_string();
        let told =
            [nobody, nobody_either].map(|to| text.matches(&format!("connect to {to}: ")).count());
        assert_eq!(told, [1, 1], "{text}");
        let error = TcpStream::connect(Vec::<SocketAddr>::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

/// An address that never answers: its backlog is full, so the kernel drops what comes.
fn silent() -> (TcpListener, net::TcpStream, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let listener = socket.listen(0).unwrap();
    (listener, net::TcpStream::connect(address).unwrap(), address)
}

/// The first address does not answer: after its head start, and no sooner, the second is tried beside it, and wins. The
/// first attempt is gone then.
#[test]
fn an_address_that_never_answers_costs_its_head_start() {
    let (event_loop, clock) = hasty_event_loop();
    run_on(&event_loop, async {
        let (_backlog, _first, silent) = silent();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect([silent, address]).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
        assert_eq!(clock.elapsed(), Duration::from_millis(250));
        assert_eq!(listener.accept().await.unwrap().1, client.local_addr().unwrap());
        // The client's: the listener did not have to wait.
        assert_eq!(sources(&event_loop), 1);
    });
}

/// Three at once: two that do not answer, and one that does. A failure spares the head start.
#[test]
fn attempts_go_on_beside_each_other() {
    let (event_loop, clock) = hasty_event_loop();
    run_on(&event_loop, async {
        let (_backlog, _first, silent_one) = silent();
        let (_backlog, _first, silent_two) = silent();
        let (_refusing, nobody) = refusing();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let all = [nobody, silent_one, nobody, silent_two, nobody, nobody, address];
        let connecting = spawn(TcpStream::connect(all));
        // While it tries, the dump says what it waits for: a connection.
        yield_now().await;
        let waits = whirligig::dump().tasks.into_iter().find(|task| task.id == connecting.id());
        assert_eq!(waits.unwrap().waits.unwrap().0, WaitsFor::Writable);
        let client = connecting.await.unwrap().unwrap();
        assert_eq!(client.peer_addr().unwrap(), address);
        assert_eq!(clock.elapsed(), Duration::from_millis(2 * 250));
        listener.accept().await.unwrap();
        assert_eq!(sources(&event_loop), 1);
    });
}

/// An address that answers in time is the only one that is tried.
#[test]
fn the_first_that_answers_is_the_only_one() {
    run(async {
        let listeners = [
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        ];
        let all = [0, 1].map(|n: usize| listeners[n].local_addr().unwrap());
        let client = TcpStream::connect(all).await.unwrap();
        assert_eq!(client.peer_addr().unwrap(), all[0]);
        listeners[0].accept().await.unwrap();
        wait_in_kernel(&client, PollFlags::OUT);
        must_wait(&mut listeners[1].accept()).await;
    });
}

/// All attempts end with the future: dropped, timed out, or won.
#[test]
fn dropped_attempts_leave_nothing() {
    let (event_loop, _) = hasty_event_loop();
    run_on(&event_loop, async {
        let (_backlog, _first, silent_one) = silent();
        let (_backlog, _first, silent_two) = silent();
        let limit = Duration::from_millis(300);
        let error = TcpStream::connect_timeout([silent_one, silent_two], limit).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(sources(&event_loop), 0);
        must_wait(&mut TcpStream::connect([silent_one, silent_two])).await;
        assert_eq!(sources(&event_loop), 0);
    });
}

/// Several listeners at one address, of which each connection goes to one; and the options that are set before.
#[test]
fn listeners_share_a_port() {
    run(async {
        let mut address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let listeners = [(); 2].map(|()| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuse_port(true).unwrap();
            assert!(socket.reuse_port().unwrap());
            socket.bind(address).unwrap();
            address = socket.local_addr().unwrap();
            socket.listen(16).unwrap()
        });
        let alone = TcpSocket::new_v4().unwrap();
        assert_eq!(alone.bind(address).unwrap_err().kind(), ErrorKind::AddrInUse);
        let mut clients = Vec::new();
        let [first, second] = &listeners;
        for _ in 0..20 {
            let client = TcpStream::connect(address).await.unwrap();
            let own = client.local_addr().unwrap();
            let (_, peer) = first.accept().or(second.accept()).await.unwrap();
            assert_eq!(peer, own);
            clients.push(client);
        }
        // A system may have no IPv6.
        let Ok(socket) = TcpSocket::new_v6() else { return };
        for only in [true, false] {
            socket.set_only_v6(only).unwrap();
            assert_eq!(socket.only_v6().unwrap(), only);
        }
        if socket.bind("[::]:0".parse().unwrap()).is_ok() {
            let port = socket.local_addr().unwrap().port();
            let listener = socket.listen(16).unwrap();
            // It takes IPv4 as well.
            let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.unwrap();
            assert!(listener.accept().await.unwrap().1.is_ipv6());
        }
    });
}

/// A temporary file of so many bytes, of which no two windows are alike.
fn file(length: u32) -> (File, Vec<u8>) {
    let bytes: Vec<u8> = (0..length).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&bytes).unwrap();
    (file, bytes)
}

/// A file of more than a connection buffers arrives, whole or in part, while the peer reads; and what is not there is
/// not sent.
#[test]
fn files_are_sent() {
    run(async {
        let (client, server) = pair().await;
        let (mut file, bytes) = file(2 << 20);
        let all = bytes.len() as u64;
        for (range, expected) in [
            (0..all, bytes.as_slice()),
            (1_000_000..1_000_010, &bytes[1_000_000..1_000_010]),
            (all - 5..all + 100, &bytes[bytes.len() - 5..]),
            (all..all + 1, &[]),
            (7..7, &[]),
        ] {
            let mut got = vec![0; expected.len()];
            let read = async {
                let mut filled = 0;
                while filled < got.len() {
                    filled += server.read(&mut got[filled..]).await.unwrap();
                }
            };
            let (sent, ()) = zip(client.send_file(&file, range), read).await;
            assert_eq!(sent.unwrap(), expected.len() as u64);
            assert!(got == expected);
        }
        must_wait(&mut pin!(server.read(&mut [0; 8]))).await;
        assert_eq!(file.stream_position().unwrap(), all, "the file's own position is as it was");
        assert_eq!(client.send_file(&file, all - 3..=all - 1).await.unwrap(), 3);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 3);
        assert_eq!(client.send_file(&file, all - 2..).await.unwrap(), 2);
    });
}

/// Has the kernel hold no more than so much between the two. By itself it lets the peer's buffer grow, to 32 MiB here.
fn narrow(client: &TcpStream, server: &TcpStream) {
    client.set_send_buffer_size(64 << 10).unwrap();
    server.set_recv_buffer_size(64 << 10).unwrap();
}

/// Of a file whose sending is given up, so much has arrived as it says; and other tasks had their turns meanwhile.
#[test]
fn a_file_that_is_given_up_was_sent_in_part() {
    run(async {
        let (client, mut server) = pair().await;
        narrow(&client, &server);
        let (file, bytes) = file(16 << 20);
        let mut sending = client.send_file(&file, ..);
        must_wait(&mut sending).await;
        let mut sent = sending.sent();
        assert!(0 < sent && sent < bytes.len() as u64, "{sent}");
        // Each time the peer has read, more is sent.
        let mut taken = 0;
        for _ in 0..3 {
            while sending.sent() == sent {
                // How much must be read before the kernel takes more is its own affair.
                if taken < sent {
                    taken += server.read(&mut vec![0; 64 << 10]).await.unwrap() as u64;
                }
                assert!(poll_once(&mut sending).await.is_none());
                yield_now().await;
            }
            sent = sending.sent();
        }
        drop(sending);
        drop(client);
        let mut rest = Vec::new();
        server.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest.len() as u64 + taken, sent);
        assert!(rest == bytes[taken as usize..sent as usize]);
    });
}

/// What cannot be sent is an error that says so, and so is a peer that is gone.
#[test]
fn what_is_no_file_is_refused() {
    run(async {
        let (client, server) = pair().await;
        narrow(&client, &server);
        let (reader, _writer) = std::io::pipe().unwrap();
        assert!(client.send_file(&reader, ..10).await.is_err());
        let (file, _) = file(16 << 20);
        let mut sending = client.send_file(&file, ..);
        must_wait(&mut sending).await;
        drop(server);
        let kind = (&mut sending).await.unwrap_err().kind();
        assert!(matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{kind}");
        assert!(sending.sent() > 0);
    });
}

/// Text that is no address is refused by name, before anybody is asked to resolve it.
#[test]
fn what_is_no_address_is_named() {
    run(async {
        for nonsense in ["nonsense", ":80", "localhost:99999", "localhost:"] {
            let error = TcpStream::connect(nonsense).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{nonsense}");
            assert!(error.to_string().contains(nonsense), "{error}");
        }
    });
}

/// A deadline that is not reached leaves no trace: the connection stands and no time passed.
#[test]
fn connects_within_a_deadline() {
    let (event_loop, clock) = event_loop();
    run_on(&event_loop, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = ("localhost", listener.local_addr().unwrap().port());
        let client = TcpStream::connect_timeout(to, Duration::from_secs(1)).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        assert_eq!(client.write(b"x").await.unwrap(), 1);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 1);
    });
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

/// The kernel takes 1,024 buffers in one call. That less was moved than all hold says nothing of the socket.
#[test]
fn more_buffers_than_the_kernel_takes() {
    run(async {
        let (client, server) = pair().await;
        must_wait(&mut pin!(server.read(&mut [0]))).await;
        let bufs: Vec<_> = (0..2_000).map(|_| IoSlice::new(b"x")).collect();
        for _ in 0..3 {
            assert_eq!(client.write_vectored(&bufs).await.unwrap(), 1_024);
        }
        let mut bytes = vec![[0]; 2_000];
        let mut bufs: Vec<_> = bytes.iter_mut().map(|byte| IoSliceMut::new(byte)).collect();
        for _ in 0..3 {
            assert_eq!(server.read_vectored(&mut bufs).await.unwrap(), 1_024);
        }
    });
}

/// A megabyte goes out and comes back at once, more than the kernel buffers: it can only pass if
/// neither direction waits for the other.
#[test]
fn borrowed_halves_work_at_once() {
    run(async {
        let (mut client, mut server) = pair().await;
        let echo = spawn(async move {
            let (reader, writer) = server.split();
            copy(reader, writer).await.unwrap();
            server.shutdown(Shutdown::Write).unwrap();
        });
        let sent: Vec<u8> =
            (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut got = Vec::new();
        let (mut reader, mut writer) = client.split();
        let write = async {
            writer.write_all(&sent).await.unwrap();
            writer.close().await.unwrap();
        };
        zip(write, async { reader.read_to_end(&mut got).await.unwrap() }).await;
        assert!(got == sent, "the echo is what was sent");
        echo.await.unwrap();
    });
}

/// Dropping the writing half ends its direction and only that one: the peer reads the end, and what
/// it answers then still arrives.
#[test]
fn dropping_the_owned_writer_ends_its_direction() {
    run(async {
        let (client, mut server) = pair().await;
        let (mut reader, mut writer) = client.into_split();
        let answer = spawn(async move {
            let mut text = String::new();
            reader.read_to_string(&mut text).await.unwrap();
            text
        });
        writer.write_all(b"question").await.unwrap();
        drop(writer);
        let mut question = String::new();
        server.read_to_string(&mut question).await.unwrap();
        assert_eq!(question, "question");
        server.write_all(b"answer").await.unwrap();
        drop(server);
        assert_eq!(answer.await.unwrap(), "answer");
    });
}

/// Two halves of one connection become it again, still open; halves of two come back as they were.
#[test]
fn owned_halves_reunite() {
    run(async {
        let (client, server) = pair().await;
        let (client_reader, client_writer) = client.into_split();
        let (server_reader, server_writer) = server.into_split();
        let error = client_reader.reunite(server_writer).unwrap_err();
        let (client_reader, server_writer) = (error.0, error.1);
        let client = client_reader.reunite(client_writer).unwrap();
        let server = server_reader.reunite(server_writer).unwrap();
        client.write(b"open").await.unwrap();
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 4);
    });
}

/// A forgotten writer ends nothing: the other direction's owner decides.
#[test]
fn a_forgotten_writer_leaves_its_direction_open() {
    run(async {
        let (client, server) = pair().await;
        let (reader, writer) = client.into_split();
        writer.forget();
        must_wait(&mut pin!(server.read(&mut [0; 8]))).await;
        drop(reader);
        assert_eq!(server.read(&mut [0; 8]).await.unwrap(), 0);
    });
}

/// Each direction ends alone: after ours of writing the peer reads what was written, then the end,
/// and we still read; after ours of reading, a read is at the end.
#[test]
fn shutdown_ends_one_direction() {
    run(async {
        let (client, server) = pair().await;
        client.write(b"last").await.unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.read(&mut buf).await.unwrap(), 4);
        assert_eq!(server.read(&mut buf).await.unwrap(), 0);
        assert_eq!(client.write(b"x").await.unwrap_err().kind(), ErrorKind::BrokenPipe);
        server.write(b"back").await.unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 4);
        client.shutdown(Shutdown::Read).unwrap();
        assert_eq!(client.read(&mut buf).await.unwrap(), 0);
    });
}

/// To end a direction twice, or after the peer is gone, is no error: it has ended, as asked.
#[test]
fn close_may_come_late_and_twice() {
    run(async {
        let (mut client, server) = pair().await;
        client.close().await.unwrap();
        client.close().await.unwrap();
        drop(server);
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        client.close().await.unwrap();
    });
}

/// A peek takes nothing, however short: the same bytes are there for the next peek and the read, and
/// a short count of a peek does not mean that the socket is empty.
#[test]
fn peek_takes_nothing() {
    run(async {
        let (client, server) = pair().await;
        client.write(b"abc").await.unwrap();
        let mut buf = [0; 8];
        assert_eq!(server.peek(&mut buf).await.unwrap(), 3);
        assert_eq!(poll_once(server.peek(&mut buf[..2])).await.unwrap().unwrap(), 2);
        assert_eq!(poll_once(server.read(&mut buf)).await.unwrap().unwrap(), 3);
        assert_eq!(&buf[..3], b"abc");
        must_wait(&mut pin!(server.peek(&mut buf))).await;
    });
}

/// Several buffers count as one, filled in order.
#[test]
fn vectored_reads_and_writes() {
    run(async {
        let (mut client, mut server) = pair().await;
        let out = [IoSlice::new(b"ab"), IoSlice::new(b""), IoSlice::new(b"cde")];
        assert_eq!(client.write_vectored(&out).await.unwrap(), 5);
        let (mut first, mut second) = ([0; 3], [0; 8]);
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        assert_eq!(server.read_vectored(&mut bufs).await.unwrap(), 5);
        assert_eq!((&first, &second[..2]), (b"abc", b"de".as_slice()));

        // The same by the traits.
        let n = AsyncWriteExt::write_vectored(&mut client, &out).await.unwrap();
        let mut bufs = [IoSliceMut::new(&mut first), IoSliceMut::new(&mut second)];
        let m = AsyncReadExt::read_vectored(&mut server, &mut bufs).await.unwrap();
        assert_eq!((n, m, &first, &second[..2]), (5, 5, b"abc", b"de".as_slice()));
    });
}

/// What was set is what the kernel says. (It doubles buffer sizes, for its own bookkeeping.)
#[test]
fn options_reach_the_kernel() {
    run(async {
        let (client, _server) = pair().await;
        client.set_nodelay(true).unwrap();
        assert!(client.nodelay().unwrap());
        client.set_nodelay(false).unwrap();
        assert!(!client.nodelay().unwrap());
        client.set_keepalive(true).unwrap();
        assert!(client.keepalive().unwrap());
        client.set_linger(Some(Duration::from_secs(7))).unwrap();
        assert_eq!(client.linger().unwrap(), Some(Duration::from_secs(7)));
        client.set_recv_buffer_size(20_000).unwrap();
        client.set_send_buffer_size(30_000).unwrap();
        assert_eq!(client.recv_buffer_size().unwrap(), 40_000);
        assert_eq!(client.send_buffer_size().unwrap(), 60_000);
    });
}

/// A port is one listener's, unless both say that they share it; and a listener's port can be had
/// again at once although its last connection still lingers in the kernel.
#[test]
fn addresses_and_ports_are_reused_when_asked() {
    run(async {
        let share = |port| {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuse_port(true).unwrap();
            socket.bind((Ipv4Addr::LOCALHOST, port).into()).unwrap();
            socket.listen(16).unwrap()
        };
        let first = share(0);
        let address = first.local_addr().unwrap();
        let _second = share(address.port());
        let third = TcpListener::bind(address).await;
        assert_eq!(third.unwrap_err().kind(), ErrorKind::AddrInUse);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let client = TcpStream::connect(address).await.unwrap();
        // Our end closes first, so that the lingering one has the listener's port.
        drop((listener.accept().await.unwrap(), listener));
        assert_eq!(client.read(&mut [0; 8]).await.unwrap(), 0);
        drop(client);
        TcpListener::bind(address).await.unwrap();
    });
}

/// A socket that was bound first connects from where it was bound.
#[test]
fn connects_from_the_address_it_was_bound_to() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
        let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 2));
        assert_eq!(peer, client.local_addr().unwrap());
    });
}

/// The helpers of futures-lite need nothing but the two traits: exact reads, lines, copies, buffers.
#[test]
fn helpers_of_other_crates_work() {
    run(async {
        let (client, mut server) = pair().await;
        let (reader, writer) = client.into_split();
        let mut writer = BufWriter::new(writer);
        writer.write_all(b"headone\ntwo\n\nlast").await.unwrap();
        must_wait(&mut pin!(server.read(&mut [0; 4]))).await;
        writer.close().await.unwrap();
        let mut head = [0; 4];
        server.read_exact(&mut head).await.unwrap();
        assert_eq!(&head, b"head");
        let lines: Vec<String> =
            BufReader::new(&mut server).lines().map(Result::unwrap).collect().await;
        assert_eq!(lines, ["one", "two", "", "last"]);

        let echo = spawn(async move {
            let mut copied = Vec::new();
            assert_eq!(copy(reader, &mut copied).await.unwrap(), 5);
            copied
        });
        server.write_all(b"a\nb\nc").await.unwrap();
        server.close().await.unwrap();
        assert_eq!(echo.await.unwrap(), b"a\nb\nc");
        // Bytes that end too early are an error that says so.
        let error = server.read_exact(&mut head).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    });
}

/// The types and their futures may go to any thread: frameworks ask for it in their bounds, and this
/// compiles only if it is so.
#[test]
fn sockets_are_send_and_sync() {
    fn both<T: Send + Sync + Unpin>() {}
    fn send<T: Send>(_: &T) {}
    both::<(TcpStream, TcpListener, TcpSocket, Source<OwnedFd>)>();
    both::<(ReadHalf<'_>, WriteHalf<'_>, OwnedReadHalf, OwnedWriteHalf)>();
    send(&TcpStream::connect("127.0.0.1:1"));
    send(&TcpListener::bind("127.0.0.1:0"));
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        send(&listener.accept());
        let (client, _server) = pair().await;
        send(&client.read(&mut []));
        send(&client.write(b""));
        send(&client.readable());
    });
}

/// A read that is dropped has read nothing: not when it waited, and not when it had been woken
/// already and was dropped before its next poll.
#[test]
fn a_dropped_read_loses_nothing() {
    run(async {
        let (client, server) = pair().await;
        let mut buf = [0; 8];
        must_wait(&mut pin!(server.read(&mut buf))).await;
        {
            let mut dropped = pin!(server.read(&mut buf));
            must_wait(&mut dropped).await;
            client.write(b"abc").await.unwrap();
            // The event that ends this wait has woken the read too.
            server.readable().await.unwrap();
        }
        assert_eq!(server.read(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf[..3], b"abc");
    });
}

/// A read that is dropped leaves no waker behind: the event wakes who waits now, once, and nobody
/// for the ten that waited before.
#[test]
fn a_dropped_read_leaves_no_waker() {
    run(async {
        let (mut ours, mut peer) = pair_with_std();
        let mut buf = [0; 8];
        for _ in 0..10 {
            must_wait(&mut pin!(ours.read(&mut buf))).await;
        }
        let recorder = Recorder::start();
        peer.write_all(b"x").unwrap();
        assert_eq!(AsyncReadExt::read(&mut ours, &mut buf).await.unwrap(), 1);
        let by_source =
            |event: &&Event| matches!(event.kind, EventKind::Woken { by: Cause::Source(_), .. });
        assert_eq!(recorder.events().iter().filter(by_source).count(), 1);
    });
}

/// An accept that is dropped has accepted nothing, woken or not: both connections are still there.
#[test]
fn a_dropped_accept_loses_nothing() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (first, second);
        {
            let mut dropped = pin!(listener.accept());
            must_wait(&mut dropped).await;
            first = TcpStream::connect(address).await.unwrap();
            second = TcpStream::connect(address).await.unwrap();
            wait_in_kernel(&listener, PollFlags::IN);
            // A look at the reactor, which wakes the accept.
            whirligig::time::sleep(Duration::from_nanos(1)).await;
        }
        assert_eq!(listener.accept().await.unwrap().1, first.local_addr().unwrap());
        assert_eq!(listener.accept().await.unwrap().1, second.local_addr().unwrap());
    });
}

/// `try_read` asks the kernel when no loop watches the socket: nobody else would say when data came.
/// And when one does, it sees what the loop saw.
#[test]
fn try_read_finds_what_arrived() {
    run(async {
        let (ours, mut peer) = pair_with_std();
        let mut buf = [0; 8];
        assert_eq!(ours.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        peer.write_all(b"ab").unwrap();
        wait_in_kernel(&ours, PollFlags::IN);
        assert_eq!(ours.try_read(&mut buf).unwrap(), 2);

        must_wait(&mut pin!(ours.read(&mut buf))).await;
        assert_eq!(ours.try_read(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
        peer.write_all(b"cde").unwrap();
        ours.readable().await.unwrap();
        assert_eq!(ours.try_read(&mut buf).unwrap(), 3);
        assert_eq!(ours.try_write(b"back").unwrap(), 4);
        assert_eq!(peer.read(&mut buf).unwrap(), 4);
    });
}

/// To std and back: a connection that was given away is not watched any more, and works there.
#[test]
fn goes_to_std_and_back() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let (ours, mut peer) = pair_with_std();
        must_wait(&mut pin!(ours.read(&mut [0; 8]))).await;
        assert_eq!(sources(&event_loop), 1);
        let std: net::TcpStream = ours.into_std();
        assert_eq!(sources(&event_loop), 0);
        let ours = TcpStream::from_std(std).unwrap();
        peer.write_all(b"hello").unwrap();
        assert_eq!(ours.read(&mut [0; 8]).await.unwrap(), 5);
    });
}

/// A socket that is always ready does not keep its task going for ever: it has 128 operations in a
/// poll, then others get their turn. So the second task has ended before the first one is through.
#[test]
fn an_always_ready_socket_lets_others_run() {
    run(async {
        let (ours, mut peer) = pair_with_std();
        peer.write_all(&[0; 1000]).unwrap();
        wait_in_kernel(&ours, PollFlags::IN);
        let greedy = spawn(async move {
            for _ in 0..1000 {
                assert_eq!(ours.read(&mut [0; 1]).await.unwrap(), 1);
            }
        });
        let modest = spawn(async {
            for _ in 0..5 {
                yield_now().await;
            }
        });
        modest.await.unwrap();
        // 7 polls of 128 reads are fewer than 1,000.
        assert!(!greedy.is_finished());
        greedy.await.unwrap();
    });
}
