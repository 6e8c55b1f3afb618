//! A listener: what `TcpListener` and `UnixListener` have in common.
//!
//! At the limit of descriptors a connection stays in the kernel's backlog, the listener stays readable, and no new
//! edge comes. To try again at once would spin, to wait for an edge would hang. So the error is returned once,
//! and the next `accept` waits a while first ([`Backoff`]).

use std::{
    fmt,
    future::Future,
    io,
    marker::PhantomData,
    mem,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    panic::Location,
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use rustix::net::SocketAddrAny;

use super::{
    family::{Family, Inet, local_address, show},
    stream::Stream,
};
use crate::{
    engine::reactor::{flags::Direction, source::Caller},
    io::{Operation, Source},
    time::{
        instant::Instant,
        sleep::{Sleep, sleep_until},
    },
};

/// Accepts connections: a [`TcpListener`](super::TcpListener), or a [`UnixListener`](super::UnixListener).
///
/// `Send + Sync`; several tasks may await [`accept`](Self::accept) at once. On several loops each had better have
/// a listener of its own: a [`try_clone`](Self::try_clone), or, of TCP, one bound with
/// [`set_reuse_port`](super::TcpSocket::set_reuse_port). (One that two loops wait for serves them too, at two system
/// calls more for each connection.)
#[doc(alias = "start_server")]
pub struct Listener<F: Family> {
    source: Source<OwnedFd>,
    /// How long the next `accept` waits because the last one met the descriptor limit, in
    /// milliseconds. 0: not at all.
    penalty: AtomicU32,
    /// Until when: an `accept` that is dropped, and made anew by a caller that looks at other things in between,
    /// waits on.
    not_before: AtomicU64,
    /// That of [`poll_accept`](Self::poll_accept).
    backoff: Mutex<Backoff>,
    family: PhantomData<F>,
}

type Accepted = io::Result<(OwnedFd, Option<SocketAddrAny>)>;

/// What an `accept` waits for before it tries.
#[derive(Debug, Default)]
struct Backoff {
    /// What the last one was given, in milliseconds. `None`: it has not asked yet.
    penalty: Option<u32>,
    sleep: Option<Sleep>,
}

impl<F: Family> Listener<F> {
    const FIRST_PENALTY: u32 = 10;
    const LONGEST_PENALTY: u32 = 1000;

    pub(super) fn from_nonblocking(listener: OwnedFd) -> Self {
        Self::from_source(Source::from_nonblocking(listener))
    }

    pub(super) fn from_source(source: Source<OwnedFd>) -> Self {
        Self {
            source,
            penalty: AtomicU32::new(0),
            not_before: AtomicU64::new(0),
            backoff: Mutex::default(),
            family: PhantomData,
        }
    }

    pub(super) fn into_fd(self) -> OwnedFd {
        self.source.into_inner()
    }

    /// Another listener at the same address, with the same backlog, for another loop. Each connection wakes both,
    /// and one of them gets it.
    ///
    /// # Errors
    /// What the kernel says: no descriptor left, and the like.
    ///
    /// ```
    /// use whirligig::net::{TcpListener, TcpStream};
    ///
    /// let listener = whirligig::run(TcpListener::bind("127.0.0.1:0"))?;
    /// let address = listener.local_addr()?;
    /// let loops = [listener.try_clone()?, listener].map(|listener| {
    ///     std::thread::spawn(|| whirligig::run(async move { listener.accept().await.map(drop) }))
    /// });
    /// // Two, one for each.
    /// let clients = [(); 2].map(|()| std::net::TcpStream::connect(address));
    /// loops.into_iter().for_each(|accepts| accepts.join().unwrap().unwrap());
    /// # drop(clients);
    /// # std::io::Result::Ok(())
    /// ```
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self::from_nonblocking(self.as_fd().try_clone_to_owned()?))
    }

    /// Waits for a connection, and accepts it.
    ///
    /// At the limit of descriptors or memory it returns the error once. Connections stay in the
    /// backlog meanwhile, and the next call waits before it tries again: 10 milliseconds, then twice
    /// that with each failure, up to a second. So a server that just goes on accepting neither spins
    /// nor hangs, and recovers when descriptors come back.
    ///
    /// *Cancel safety*: dropped before it is ready, it has accepted nothing.
    ///
    /// # Errors
    /// What the kernel says. A connection that was gone before it could be accepted is no error.
    #[track_caller]
    pub fn accept(&self) -> Accept<'_, F> {
        let location = Location::caller();
        let accept = self.source.read_with_from(accept as fn(&OwnedFd) -> Accepted, location);
        Accept { listener: self, backoff: Backoff::default(), accept, location }
    }

    /// [`accept`](Self::accept) for other people's traits.
    ///
    /// One task at a time may wait this way, and the last waker wins; tasks that await `accept` are not
    /// disturbed.
    ///
    /// # Errors
    /// As [`accept`](Self::accept).
    ///
    /// ```
    /// use std::future::poll_fn;
    /// use whirligig::net::{TcpListener, TcpStream};
    ///
    /// whirligig::run(async {
    ///     let listener = TcpListener::bind("127.0.0.1:0").await?;
    ///     let _client = TcpStream::connect(listener.local_addr()?).await?;
    ///     let (_connection, _peer) = poll_fn(|cx| listener.poll_accept(cx)).await?;
    ///     std::io::Result::Ok(())
    /// })?;
    /// # std::io::Result::Ok(())
    /// ```
    #[track_caller]
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream<F>, F::Address)>> {
        let location = Location::caller();
        // Out of the lock: a sleep calls the waker of the task that polls.
        let mut backoff = self.replace_backoff(Backoff::default());
        let accepted = match self.poll_backoff(&mut backoff, cx) {
            Poll::Ready(penalty) => {
                let accept = |listener: &OwnedFd, _| accept(listener);
                let accepted =
                    self.source.poll_op(Direction::Read, Caller::PollFn, cx, location, accept);
                accepted.map(|accepted| self.accepted(accepted, penalty, location))
            }
            Poll::Pending => Poll::Pending,
        };
        if accepted.is_pending() {
            drop(self.replace_backoff(backoff));
        }
        accepted
    }

    fn replace_backoff(&self, backoff: Backoff) -> Backoff {
        let mut kept = self.backoff.lock().unwrap_or_else(PoisonError::into_inner);
        mem::replace(&mut *kept, backoff)
    }

    /// Waits, if the last `accept` met the limit. Gives the penalty for that.
    fn poll_backoff(&self, backoff: &mut Backoff, cx: &mut Context<'_>) -> Poll<u32> {
        let Backoff { penalty, sleep } = backoff;
        let penalty = *penalty.get_or_insert_with(|| {
            let penalty = self.penalty.load(Relaxed);
            if penalty > 0 {
                // No longer than that from now: the moment may be of another loop's clock.
                let most = Instant::now() + Duration::from_millis(penalty.into());
                *sleep = Some(sleep_until(most.min(Instant(self.not_before.load(Relaxed)))));
            }
            penalty
        });
        if let Some(sleeps) = sleep {
            ready!(Pin::new(sleeps).poll(cx));
            *sleep = None;
        }
        Poll::Ready(penalty)
    }

    /// An `accept` ends: it says how long the next one waits.
    fn accepted(
        &self,
        accepted: Accepted,
        penalty: u32,
        location: &'static Location<'static>,
    ) -> io::Result<(Stream<F>, F::Address)> {
        match &accepted {
            Ok(_) => self.penalty.store(0, Relaxed),
            Err(error) if is_exhaustion(error) => {
                let next = (penalty * 2).clamp(Self::FIRST_PENALTY, Self::LONGEST_PENALTY);
                let until = Instant::now() + Duration::from_millis(next.into());
                self.not_before.store(until.0, Relaxed);
                self.penalty.store(next, Relaxed);
            }
            Err(_) => {}
        }
        let (stream, peer) = accepted?;
        Ok((Stream::from_nonblocking(stream, location), F::address(peer)?))
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the kernel says.
    #[doc(alias = "getsockname")]
    pub fn local_addr(&self) -> io::Result<F::Address> {
        local_address::<F>(self)
    }
}

/// The future of [`accept`](Listener::accept).
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Accept<'a, F: Family = Inet> {
    listener: &'a Listener<F>,
    backoff: Backoff,
    accept: Operation<'a, OwnedFd, fn(&OwnedFd) -> Accepted>,
    location: &'static Location<'static>,
}

impl<F: Family> Future for Accept<'_, F> {
    type Output = io::Result<(Stream<F>, F::Address)>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { listener, backoff, accept, location } = &mut *self;
        let penalty = ready!(listener.poll_backoff(backoff, cx));
        let accepted = ready!(Pin::new(accept).poll(cx));
        Poll::Ready(listener.accepted(accepted, penalty, location))
    }
}

fn accept(listener: &OwnedFd) -> Accepted {
    loop {
        match accept_nonblocking(listener) {
            // It was gone before we came. The next may be there.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            accepted => return accepted,
        }
    }
}

#[cfg(not(target_vendor = "apple"))]
fn accept_nonblocking(listener: &OwnedFd) -> Accepted {
    use rustix::net::{SocketFlags, acceptfrom_with};
    Ok(acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?)
}

/// Here the call takes no flags.
#[cfg(target_vendor = "apple")]
fn accept_nonblocking(listener: &OwnedFd) -> Accepted {
    let (stream, peer) = rustix::net::acceptfrom(listener)?;
    rustix::io::fcntl_setfd(&stream, rustix::io::FdFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&stream, true)?;
    rustix::net::sockopt::set_socket_nosigpipe(&stream, true)?;
    Ok((stream, peer))
}

/// Whether the system or the process has run out of something that may come back.
fn is_exhaustion(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let Some(errno) = Errno::from_io_error(error) else { return false };
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno)
}

impl<F: Family> AsFd for Listener<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

impl<F: Family> fmt::Debug for Listener<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show::<F>(self, F::LISTENER, f)
    }
}
