//! Binding to the first of several addresses, or to a name: its future.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use super::{addresses::ToAddrs, targets::Targets};

/// The future of [`TcpListener::bind`](super::TcpListener::bind) and [`UdpSocket::bind`](super::UdpSocket::bind). It
/// owns what it needs of the address.
#[must_use = "futures do nothing unless awaited"]
pub struct Bind<T> {
    targets: Targets,
    action: &'static str,
    bind: fn(SocketAddr) -> io::Result<T>,
}

impl<T> Bind<T> {
    #[track_caller]
    pub(super) fn new(
        to: impl ToAddrs,
        action: &'static str,
        bind: fn(SocketAddr) -> io::Result<T>,
    ) -> Self {
        Self { targets: Targets::new(to), action, bind }
    }
}

impl<T> Future for Bind<T> {
    type Output = io::Result<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { targets, action, bind } = &mut *self;
        targets.poll_first(cx, action, bind)
    }
}

impl<T> fmt::Debug for Bind<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bind").field("targets", &self.targets).finish_non_exhaustive()
    }
}
