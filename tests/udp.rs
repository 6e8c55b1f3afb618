//! UDP as it should go: datagrams to and fro, connected and not, peeked at, in batches; the options, the errors,
//! and what a dropped future leaves.
//!
//! All sockets are real, on the loopback, where the kernel loses no datagram that there is room for.

use std::{
    future::poll_fn,
    io::{Error, ErrorKind},
    net::{self, Ipv4Addr, Ipv6Addr, SocketAddr},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use proptest::prelude::*;
use rustix::{event::PollFlags, io::Errno};
use whirligig::{
    net::{AddressError, Bind, ConnectUdp, Datagram, UdpSocket, lookup_host},
    spawn,
    task::yield_now,
};

use sockets::{event_loop, must_wait, run, run_on, sources, wait_in_kernel};

mod sockets;

async fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").await.unwrap()
}

/// Two sockets, connected to each other.
async fn pair() -> (UdpSocket, UdpSocket) {
    let (a, b) = (socket().await, socket().await);
    a.connect(b.local_addr().unwrap()).await.unwrap();
    b.connect(a.local_addr().unwrap()).await.unwrap();
    (a, b)
}

#[test]
fn datagrams_go_to_an_address_and_tell_whence() {
    run(async {
        let (a, b) = (socket().await, socket().await);
        let mut buf = [0; 16];
        {
            let mut receiving = pin!(b.recv_from(&mut buf));
            must_wait(&mut receiving).await;
            assert_eq!(a.send_to(b"hello", b.local_addr().unwrap()).await.unwrap(), 5);
            assert_eq!(receiving.await.unwrap(), (5, a.local_addr().unwrap()));
        }
        assert_eq!(&buf[..5], b"hello");
        // The same by polling, and by trying.
        let to = a.local_addr().unwrap();
        poll_fn(|cx| b.poll_send_to(cx, b"back", to)).await.unwrap();
        let received = poll_fn(|cx| a.poll_recv_from(cx, &mut buf)).await.unwrap();
        assert_eq!(received, (4, b.local_addr().unwrap()));
        b.try_send_to(b"again", to).unwrap();
        wait_in_kernel(&a, PollFlags::IN);
        assert_eq!(a.try_recv_from(&mut buf).unwrap(), (5, b.local_addr().unwrap()));
    });
}

#[test]
fn a_connected_socket_hears_its_peer_alone() {
    run(async {
        let (a, b) = pair().await;
        let stranger = socket().await;
        assert_eq!(a.peer_addr().unwrap(), b.local_addr().unwrap());
        assert_eq!(stranger.peer_addr().unwrap_err().kind(), ErrorKind::NotConnected);
        stranger.send_to(b"not for you", a.local_addr().unwrap()).await.unwrap();
        let mut buf = [0; 16];
        must_wait(&mut pin!(a.recv(&mut buf))).await;
        b.send(b"for you").await.unwrap();
        assert_eq!(a.recv(&mut buf).await.unwrap(), 7);
        poll_fn(|cx| a.poll_send(cx, b"1")).await.unwrap();
        assert_eq!(poll_fn(|cx| b.poll_recv(cx, &mut buf)).await.unwrap(), 1);
        a.try_send(b"22").unwrap();
        b.readable().await.unwrap();
        assert_eq!(b.try_recv(&mut buf).unwrap(), 2);
        assert_eq!(b.try_recv(&mut buf).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

/// Connected anew, it hears another; a name is looked up; the first address that can be had is taken.
#[test]
fn connects_again_and_by_name() {
    run(async {
        let (a, b) = pair().await;
        let other = socket().await;
        let connecting: ConnectUdp<'_> = a.connect(("localhost", 9));
        connecting.await.unwrap_or_else(|error| {
            // `localhost` may be an IPv6 address alone, which a socket of IPv4 cannot reach.
            assert!(error.to_string().contains("connect to [::1]:9"), "{error}");
        });
        // No way leads from a socket of IPv4 to the first.
        let unreachable = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
        a.connect([unreachable, other.local_addr().unwrap()]).await.unwrap();
        assert_eq!(a.peer_addr().unwrap(), other.local_addr().unwrap());
        b.send(b"too late").await.unwrap();
        must_wait(&mut pin!(a.recv(&mut [0; 16]))).await;
    });
}

/// Datagrams are neither joined nor parted: an empty one is one, and of a long one the rest is lost.
#[test]
fn datagrams_keep_their_bounds() {
    run(async {
        let (a, b) = pair().await;
        for datagram in [b"".as_slice(), b"long", b"x"] {
            assert_eq!(a.send(datagram).await.unwrap(), datagram.len());
        }
        let mut buf = [0; 2];
        assert_eq!(b.recv(&mut buf).await.unwrap(), 0);
        assert_eq!(b.recv(&mut buf).await.unwrap(), 2);
        assert_eq!(&buf, b"lo");
        assert_eq!(b.recv(&mut buf).await.unwrap(), 1);
    });
}

#[test]
fn peek_takes_nothing() {
    run(async {
        let (a, b) = pair().await;
        let mut buf = [0; 16];
        must_wait(&mut pin!(b.peek(&mut buf))).await;
        a.send(b"hello").await.unwrap();
        for _ in 0..2 {
            assert_eq!(b.peek(&mut buf).await.unwrap(), 5);
            assert_eq!(b.peek_from(&mut buf).await.unwrap(), (5, a.local_addr().unwrap()));
        }
        assert_eq!(b.recv(&mut buf).await.unwrap(), 5);
        must_wait(&mut pin!(b.peek_from(&mut buf))).await;
    });
}

/// One call takes what is there, 32 at most; each datagram has its bytes, its sender, and says if it was cut.
#[test]
fn many_at_once() {
    run(async {
        let (a, b, c) = (socket().await, socket().await, socket().await);
        let to = c.local_addr().unwrap();
        let out: Vec<_> = (0..40).map(|n: u8| Datagram::new(vec![n; usize::from(n)], to)).collect();
        assert_eq!(a.send_many(&out).await.unwrap(), 32);
        assert_eq!(a.send_many(&out[32..]).await.unwrap(), 8);
        b.send_to(b"other", to).await.unwrap();
        let mut batch = vec![Datagram::with_capacity(30); 50];
        assert_eq!(c.recv_many(&mut batch).await.unwrap(), 32);
        assert_eq!(c.try_recv_many(&mut batch[32..]).unwrap(), 9);
        for (got, sent) in batch.iter().zip(&out) {
            let length = sent.payload().len();
            assert_eq!(got.payload(), &sent.payload()[..length.min(30)]);
            assert_eq!(got.is_truncated(), length > 30);
            assert_eq!(got.peer(), Some(a.local_addr().unwrap()));
        }
        assert_eq!(
            (batch[40].payload(), batch[40].peer()),
            (b"other".as_slice(), b.local_addr().ok())
        );
        assert!(batch[41].payload().is_empty() && batch[41].peer().is_none(), "none came so far");
        // With nothing there it waits; with no room, it takes nothing.
        let mut waits = pin!(c.recv_many(&mut batch));
        must_wait(&mut waits).await;
        b.send_to(b"late", to).await.unwrap();
        assert_eq!(waits.await.unwrap(), 1);
        assert_eq!(c.try_send_many(&[]).unwrap(), 0);
    });
}

/// A batch to many addresses goes as far as the first that cannot be reached, whose error comes when it is its turn.
#[test]
fn a_batch_tells_whose_error_it_was() {
    run(async {
        let (a, b) = (socket().await, socket().await);
        let good = Datagram::new("x", b.local_addr().unwrap());
        // An address of the other family: the kernel refuses it at once.
        let nowhere = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
        let bad = Datagram::new("x", nowhere);
        let batch = [good.clone(), good.clone(), bad, good];
        assert_eq!(a.send_many(&batch).await.unwrap(), 2);
        let error = a.send_many(&batch[2..]).await.unwrap_err();
        demand_address(&error, "send to", nowhere);
        assert_eq!(a.send_many(&batch[3..]).await.unwrap(), 1);
        let mut all = vec![Datagram::with_capacity(8); 4];
        assert_eq!(b.recv_many(&mut all).await.unwrap(), 3);
    });
}

#[track_caller]
fn demand_address(error: &Error, action: &str, address: SocketAddr) {
    let text = error.to_string();
    assert!(text.starts_with(&format!("{action} {address}: ")), "{text}");
    let inside = error.get_ref().unwrap().downcast_ref::<AddressError>().unwrap();
    assert_eq!(*inside.address(), address);
    assert_eq!(inside.io_error().kind(), error.kind());
}

#[test]
fn errors_name_the_address() {
    run(async {
        let a = socket().await;
        let taken = a.local_addr().unwrap();
        let error = UdpSocket::bind(taken).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        demand_address(&error, "bind to", taken);
        let nowhere = SocketAddr::from((Ipv6Addr::LOCALHOST, 9));
        demand_address(&a.connect(nowhere).await.unwrap_err(), "connect to", nowhere);
        demand_address(&a.send_to(b"x", nowhere).await.unwrap_err(), "send to", nowhere);
        // Without leave, and with it.
        let all = SocketAddr::from((Ipv4Addr::BROADCAST, 9));
        let error = a.send_to(b"x", all).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied);
        demand_address(&error, "send to", all);
        let error = UdpSocket::bind("nonsense").await.unwrap_err();
        assert!(error.to_string().contains("nonsense"), "{error}");
        let error = a.send(b"x").await.unwrap_err();
        assert_eq!(Errno::from_io_error(&error), Some(Errno::DESTADDRREQ));
    });
}

/// Nobody receives there: the kernel of the peer says so, and who waits hears it, or who sends next.
#[test]
fn a_refusal_wakes_the_receiver() {
    run(async {
        let a = socket().await;
        let nobody = {
            let gone = socket().await;
            gone.local_addr().unwrap()
        };
        a.connect(nobody).await.unwrap();
        let mut buf = [0; 16];
        let mut receiving = pin!(a.recv(&mut buf));
        must_wait(&mut receiving).await;
        a.send(b"anybody?").await.unwrap();
        assert_eq!(receiving.await.unwrap_err().kind(), ErrorKind::ConnectionRefused);
        a.send(b"anybody?").await.unwrap();
        wait_in_kernel(&a, PollFlags::ERR);
        let refused = a.take_error().unwrap().unwrap();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(a.take_error().unwrap().is_none());
    });
}

#[test]
fn options_are_kept() {
    run(async {
        let a = socket().await;
        assert!(!a.broadcast().unwrap());
        a.set_broadcast(true).unwrap();
        assert!(a.broadcast().unwrap());
        a.set_ttl(7).unwrap();
        assert_eq!(a.ttl().unwrap(), 7);
        assert!(a.multicast_loop().unwrap());
        a.set_multicast_loop(false).unwrap();
        assert!(!a.multicast_loop().unwrap());
        a.set_multicast_ttl(3).unwrap();
        assert_eq!(a.multicast_ttl().unwrap(), 3);
        // A system may have no IPv6.
        let Ok(six) = UdpSocket::bind("[::1]:0").await else { return };
        six.set_ttl(9).unwrap();
        assert_eq!(six.ttl().unwrap(), 9);
        six.set_multicast_loop(false).unwrap();
        assert!(!six.multicast_loop().unwrap());
        six.set_multicast_ttl(4).unwrap();
        assert_eq!(six.multicast_ttl().unwrap(), 4);
    });
}

/// A member of a group receives what is sent to it, until it leaves.
#[test]
fn groups_are_joined_and_left() {
    run(async {
        let (group, here) = (Ipv4Addr::new(224, 0, 0, 221), Ipv4Addr::LOCALHOST);
        let member = UdpSocket::bind("0.0.0.0:0").await.unwrap();
        let to = SocketAddr::from((group, member.local_addr().unwrap().port()));
        let sender = socket().await;
        sender.set_multicast_if_v4(here).unwrap();
        let mut buf = [0; 16];
        member.join_multicast_v4(group, here).unwrap();
        sender.send_to(b"all", to).await.unwrap();
        assert_eq!(member.recv_from(&mut buf).await.unwrap(), (3, sender.local_addr().unwrap()));
        member.leave_multicast_v4(group, here).unwrap();
        assert!(member.leave_multicast_v4(group, here).is_err(), "it is no member any more");
        sender.send_to(b"all", to).await.unwrap();
        let own = SocketAddr::from((here, to.port()));
        sender.send_to(b"you", own).await.unwrap();
        assert_eq!(member.recv(&mut buf).await.unwrap(), 3);
        assert_eq!(&buf[..3], b"you", "the group's was sent before, and is not here");
    });
}

#[test]
fn futures_own_what_they_were_given() {
    run(async {
        let bind: Bind<UdpSocket> = {
            let host = String::from("127.0.0.1:0");
            UdpSocket::bind(&host)
        };
        spawn(bind).await.unwrap().unwrap();
        let look_up = {
            let host = String::from("127.0.0.1:7");
            lookup_host(&host)
        };
        let found = spawn(look_up).await.unwrap().unwrap();
        assert_eq!(found, [SocketAddr::from((Ipv4Addr::LOCALHOST, 7))]);
    });
}

/// A host is looked up by name; one that is not there is named in the error.
#[test]
fn hosts_are_looked_up() {
    run(async {
        let found = lookup_host(("localhost", 80)).await.unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|at| at.ip().is_loopback() && at.port() == 80), "{found:?}");
        // No name may end so: RFC 2606.
        let error = lookup_host("nobody.invalid:80").await.unwrap_err();
        assert!(error.to_string().contains("nobody.invalid"), "{error}");
        let error = lookup_host("nobody.invalid").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    });
}

/// What a dropped future waited for is there for the next one, whether it had been woken or not.
#[test]
fn a_dropped_receive_loses_nothing() {
    run(async {
        let (a, b) = pair().await;
        let mut buf = [0; 16];
        must_wait(&mut pin!(b.recv(&mut buf))).await;
        {
            let mut batch = [Datagram::with_capacity(16)];
            let mut dropped = pin!(b.recv_many(&mut batch));
            must_wait(&mut dropped).await;
            a.send(b"hello").await.unwrap();
            // The event that ends this wait has woken the other too.
            b.readable().await.unwrap();
        }
        assert_eq!(b.recv(&mut buf).await.unwrap(), 5);
    });
}

/// Given to std, it is not watched any more, and works there; and back.
#[test]
fn goes_to_std_and_back() {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, async {
        let (a, b) = pair().await;
        must_wait(&mut pin!(a.recv(&mut [0; 8]))).await;
        assert_eq!(sources(&event_loop), 1);
        let std: net::UdpSocket = a.into_std();
        assert_eq!(sources(&event_loop), 0);
        std.send(b"from std").unwrap();
        assert_eq!(b.recv(&mut [0; 8]).await.unwrap(), 8);
        let a = UdpSocket::from_std(std).unwrap();
        b.send(b"back").await.unwrap();
        assert_eq!(a.recv(&mut [0; 8]).await.unwrap(), 4);
    });
}

/// A socket with 200 datagrams does not keep its task going for ever: it may do 128 operations in a poll, then others
/// have their turn. A batch is one operation.
#[test]
fn a_full_socket_lets_others_run() {
    run(async {
        let (a, b) = pair().await;
        for _ in 0..200 {
            a.send(b"x").await.unwrap();
        }
        let received = Arc::new(AtomicUsize::new(0));
        let counts = received.clone();
        let greedy = spawn(async move {
            for _ in 0..200 {
                assert_eq!(b.recv(&mut [0; 1]).await.unwrap(), 1);
                counts.fetch_add(1, Relaxed);
            }
        });
        yield_now().await;
        assert_eq!(received.load(Relaxed), 128);
        greedy.await.unwrap();
        assert_eq!(received.load(Relaxed), 200);
    });
}

/// A socket shows itself as std's does.
#[test]
fn shows_its_addresses() {
    run(async {
        let (a, b) = pair().await;
        let shown = format!("{a:?}");
        assert!(shown.starts_with("UdpSocket {"), "{shown}");
        for address in [a.local_addr().unwrap(), b.local_addr().unwrap()] {
            assert!(shown.contains(&address.to_string()), "{shown}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever the mixture of single sends, batches, single receives, receiving batches and dropped waits: each
    /// datagram arrives once, in order.
    #[test]
    fn each_datagram_arrives_once_in_order(steps in proptest::collection::vec((0..5_u8, 1..40_usize), 1..40)) {
        run(async move {
            let (a, b) = pair().await;
            let (mut sent, mut received) = (0_u32, 0_u32);
            for (kind, many) in steps {
                let there = (sent - received) as usize;
                match kind {
                    // No more than the kernel has room for.
                    0 | 1 if there > 100 => {}
                    0 => {
                        a.send(&sent.to_le_bytes()).await.unwrap();
                        sent += 1;
                    }
                    1 => {
                        let batch: Vec<_> = (0..many as u32)
                            .map(|n| Datagram::from((sent + n).to_le_bytes().to_vec()))
                            .collect();
                        sent += a.send_many(&batch).await.unwrap() as u32;
                    }
                    2 if there > 0 => {
                        let mut buf = [0; 4];
                        assert_eq!(b.recv(&mut buf).await.unwrap(), 4);
                        assert_eq!(u32::from_le_bytes(buf), received);
                        received += 1;
                    }
                    3 if there > 0 => {
                        let mut batch = vec![Datagram::with_capacity(8); many];
                        let n = b.recv_many(&mut batch).await.unwrap();
                        assert_eq!(n, many.min(there).min(32));
                        for got in &batch[..n] {
                            assert_eq!(got.payload(), received.to_le_bytes());
                            received += 1;
                        }
                    }
                    4 if there == 0 => {
                        must_wait(&mut pin!(b.recv(&mut [0; 4]))).await;
                    }
                    _ => drop(b.recv(&mut [0; 4])),
                }
            }
        });
    }
}
