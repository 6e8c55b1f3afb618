//! Where to: addresses as they are, and names looked up off the loop.
//!
//! The system's resolver blocks, for seconds if a name server does not answer. So it runs on the blocking
//! pool, in a line of its own there: look-ups have but half of the pool's threads, and one that nobody
//! waits for any more, because its `connect` was dropped or timed out, leaves the line.
//!
//! **Alternative:** a resolver of our own on UDP sockets. It would not read what the system is configured
//! with.

use std::{
    fmt,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs},
    panic::Location,
    pin::Pin,
    task::{Context, Poll},
};

use crate::task;

/// What can be connected to or bound: addresses, or a name and a port. It takes what std's [`ToSocketAddrs`] does.
///
/// These are a [`SocketAddr`], a [`SocketAddrV4`] or a [`SocketAddrV6`]; an [`IpAddr`], an [`Ipv4Addr`]
/// or an [`Ipv6Addr`] with a port, `(ip, port)`; several addresses, as a slice, an array or a `Vec`, which are
/// tried in their order; `"host:port"` as a `&str` or `String`; `(host, port)` with the host as a `&str` or `String`;
/// and references to any of them. A host is a name, or an address written out.
///
/// A name is resolved by the system's resolver on the loop's blocking pool, never on the loop. Look-ups take
/// half of its threads at most. What is an address already is taken as it is.
pub trait ToAddrs: sealed::Sealed {}

impl<T: sealed::Sealed> ToAddrs for T {}

/// The addresses of a host, as the system's resolver finds them: all of them, in its order.
///
/// It is asked on the loop's blocking pool, never on the loop. What is an address already is given back.
/// `connect` and `bind` look names up by themselves.
///
/// *Cancel safety*: dropped, it leaves the line of look-ups; one that has begun goes on, and what it finds is dropped.
///
/// # Errors
/// The resolver's, `NotFound` if it finds no address, and `InvalidInput` if it is neither an address nor a name.
///
/// # Panics
/// When polled on a thread that no loop runs, and there is a name to look up.
///
/// ```
/// use whirligig::net::lookup_host;
///
/// whirligig::run(async {
///     let addresses = lookup_host("localhost:80").await?;
///     assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
///     std::io::Result::Ok(())
/// })?;
/// # std::io::Result::Ok(())
/// ```
#[track_caller]
#[doc(alias = "getaddrinfo")]
#[doc(alias = "gethostbyname")]
pub fn lookup_host(host: impl ToAddrs) -> LookupHost {
    LookupHost { look_up: Box::pin(resolve(of(host))) }
}

/// The future of [`lookup_host`]. It owns what it needs of the name.
#[must_use = "futures do nothing unless awaited"]
pub struct LookupHost {
    look_up: LookUp,
}

/// A look-up that goes on.
pub(super) type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

impl Future for LookupHost {
    type Output = io::Result<Vec<SocketAddr>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.look_up.as_mut().poll(cx)
    }
}

impl fmt::Debug for LookupHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LookupHost").finish_non_exhaustive()
    }
}

/// Resolves, if there is anything to resolve.
pub(super) async fn resolve(target: Target) -> io::Result<Vec<SocketAddr>> {
    let Target { addresses, location } = target;
    let (found, name) = match addresses {
        Addresses::Known(addresses) => return Ok(addresses),
        Addresses::Name(name, port) => {
            let asked = name.clone();
            let look_up = move || (asked.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            let found = task::look_up(look_up, location).await.map_err(io::Error::other)?;
            let named = |error: io::Error| {
                io::Error::new(error.kind(), format!("look up {name:?}: {error}"))
            };
            (found.map_err(named)?, name)
        }
        Addresses::Invalid(what) => {
            let problem = format!(
                "{what:?} is no address: write `host:port` or `(host, port)`, with a port of 0 to 65535"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
    };
    if found.is_empty() {
        let problem = format!("the name {name:?} has no address");
        return Err(io::Error::new(io::ErrorKind::NotFound, problem));
    }
    Ok(found)
}

/// What is to be resolved, and the line that asks.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) addresses: Addresses,
    pub(super) location: &'static Location<'static>,
}

/// What is to be resolved, its own data.
#[derive(Debug, Clone)]
pub enum Addresses {
    /// Nothing.
    Known(Vec<SocketAddr>),
    /// A name, with a port.
    Name(String, u16),
    /// Neither an address nor a name.
    Invalid(String),
}

fn host_and_port(text: &str) -> Addresses {
    if let Ok(address) = text.parse() {
        return Addresses::Known(vec![address]);
    }
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) if !host.is_empty() => host_with_port(host, port),
        _ => Addresses::Invalid(text.to_owned()),
    }
}

fn host_with_port(host: &str, port: u16) -> Addresses {
    match host.parse::<IpAddr>() {
        Ok(address) => Addresses::Known(vec![(address, port).into()]),
        Err(_) => Addresses::Name(host.to_owned(), port),
    }
}

mod sealed {
    use super::*;

    pub trait Sealed {
        /// What there is to do.
        fn addresses(&self) -> Addresses;
    }

    macro_rules! known {
        ($($known:ty),*) => {$(
            impl Sealed for $known {
                fn addresses(&self) -> Addresses {
                    Addresses::Known(vec![(*self).into()])
                }
            }
        )*};
    }

    known!(SocketAddr, SocketAddrV4, SocketAddrV6, (IpAddr, u16), (Ipv4Addr, u16), (Ipv6Addr, u16));

    impl<T: Sealed + ?Sized> Sealed for &T {
        fn addresses(&self) -> Addresses {
            (**self).addresses()
        }
    }

    impl Sealed for [SocketAddr] {
        fn addresses(&self) -> Addresses {
            Addresses::Known(self.to_vec())
        }
    }

    impl<const N: usize> Sealed for [SocketAddr; N] {
        fn addresses(&self) -> Addresses {
            self.as_slice().addresses()
        }
    }

    impl Sealed for Vec<SocketAddr> {
        fn addresses(&self) -> Addresses {
            self.as_slice().addresses()
        }
    }

    impl Sealed for str {
        fn addresses(&self) -> Addresses {
            host_and_port(self)
        }
    }

    impl Sealed for String {
        fn addresses(&self) -> Addresses {
            host_and_port(self)
        }
    }

    impl Sealed for (&str, u16) {
        fn addresses(&self) -> Addresses {
            host_with_port(self.0, self.1)
        }
    }

    impl Sealed for (String, u16) {
        fn addresses(&self) -> Addresses {
            host_with_port(&self.0, self.1)
        }
    }
}

/// The addresses of whatever a caller gave.
#[track_caller]
pub(super) fn of(to: impl ToAddrs) -> Target {
    Target { addresses: sealed::Sealed::addresses(&to), location: Location::caller() }
}
