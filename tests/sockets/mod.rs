//! Ground for the tests on real sockets: a loop on the test clock, connected pairs, this program
//! again as a child.
//!
//! The tests of `tcp.rs`, `bad_conditions.rs` and their neighbours use it. What must hold: no test
//! waits for time to pass, and one whose awaited event never comes fails instead of hanging. The
//! clock sees to both: it jumps only when nothing happened for [`IDLE`], which no sound run ever
//! waits out. **Alternative:** a deadline of real time. It fails on a slow machine.

#![allow(dead_code, reason = "each test program uses a part")]

use std::{
    future::Future,
    net,
    os::fd::AsFd,
    pin::Pin,
    process::{Child, Command},
    task::{Context, Poll},
    time::Duration,
};

use futures_lite::future::poll_once;
use rustix::event::{PollFd, PollFlags, poll};
use whirligig::{
    EventLoop,
    net::{TcpListener, TcpStream},
    time::{self, TestClock},
};

/// After so long without anything happening, something that was to happen has been lost.
const IDLE: Duration = Duration::from_secs(20);

/// A loop on a test clock that jumps only when all is lost.
pub(crate) fn event_loop() -> (EventLoop, TestClock) {
    let (event_loop, clock) = hasty_event_loop();
    clock.set_real_wait(IDLE);
    (event_loop, clock)
}

/// A loop on a test clock that jumps soon: for deadlines that are meant to pass.
pub(crate) fn hasty_event_loop() -> (EventLoop, TestClock) {
    let clock = TestClock::new();
    let event_loop = EventLoop::builder().test_clock(&clock).build().unwrap();
    (event_loop, clock)
}

/// Runs `future` on a loop of its own; fails if it waits for what never comes.
#[track_caller]
pub(crate) fn run<F: Future>(future: F) -> F::Output {
    let (event_loop, _) = event_loop();
    run_on(&event_loop, future)
}

/// The same on a loop from [`event_loop`].
#[track_caller]
pub(crate) fn run_on<F: Future>(event_loop: &EventLoop, future: F) -> F::Output {
    let limited = async { time::timeout(Duration::from_secs(3600), future).await };
    event_loop.block_on(limited).expect("the event that the test waits for was lost")
}

/// A connection, both ends on this loop.
pub(crate) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (client, listener.accept().await.unwrap().0)
}

/// A connection whose other end is a blocking socket.
pub(crate) fn pair_with_std() -> (TcpStream, net::TcpStream) {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let ours = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (peer, _) = listener.accept().unwrap();
    // As for the loop: no sound run waits that out.
    peer.set_read_timeout(Some(IDLE)).unwrap();
    peer.set_write_timeout(Some(IDLE)).unwrap();
    (TcpStream::from_std(ours).unwrap(), peer)
}

/// An address that refuses connections for as long as the socket lives.
pub(crate) fn refusing() -> (socket2::Socket, net::SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    let any: net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    socket.bind(&any.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

/// Polls once. It must not be ready.
pub(crate) async fn must_wait<F: Future + Unpin>(future: &mut F) {
    assert!(poll_once(future).await.is_none(), "nothing is there that it could be ready for");
}

/// Blocks until the kernel itself says so of a descriptor, past the loop.
pub(crate) fn wait_in_kernel(fd: impl AsFd, flags: PollFlags) {
    let mut fds = [PollFd::new(&fd, flags)];
    while !fds[0].revents().contains(flags) {
        poll(&mut fds, None).unwrap();
    }
}

/// How many sources the loop's reactor holds.
pub(crate) fn sources(event_loop: &EventLoop) -> usize {
    let text = format!("{event_loop:?}");
    let (_, rest) = text.split_once("sources: ").expect("the reactor tells how many");
    rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Counts the polls of a future.
pub(crate) struct Polls<F> {
    pub(crate) future: F,
    pub(crate) polls: usize,
}

impl<F: Future + Unpin> Future for Polls<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        self.polls += 1;
        Pin::new(&mut self.future).poll(cx)
    }
}

const ROLE: &str = "WHIRLIGIG_TEST_ROLE";

/// The part that this process plays, if it is a child of a test.
pub(crate) fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

/// Runs test `name` of this program with `role`, as the last arguments of `command`: a launcher such
/// as `sh -c '..; exec "$0" "$@"'`.
pub(crate) fn as_child(command: &mut Command, name: &str, role: &str) {
    let program = std::env::current_exe().expect("a running program has a path");
    command.arg(program).args(["--exact", name, "--nocapture", "--test-threads=1"]).env(ROLE, role);
}

/// A child that ends when the test does, however that ends.
pub(crate) struct Background(pub(crate) Child);

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
