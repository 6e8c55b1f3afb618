//! Where to: addresses as they are, and names looked up off the loop.
//!
//! The system's resolver blocks, for seconds if a name server does not answer. So it runs on the blocking
//! pool, in a line of its own there: look-ups have but half of the pool's threads, and one that nobody
//! waits for any more, because its `connect` was dropped or timed out, leaves the line.
//!
//! **Alternative:** a resolver of our own on UDP sockets. It would not read what the system is configured
//! with.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, ToSocketAddrs},
    panic::Location,
};

use crate::task;

/// What can be connected to or bound: addresses, or a name and a port. It takes what std's [`ToSocketAddrs`] does.
///
/// These are a [`SocketAddr`], a [`SocketAddrV4`] or a [`SocketAddrV6`]; an [`IpAddr`], an [`Ipv4Addr`]
/// or an [`Ipv6Addr`] with a port, `(ip, port)`; several addresses, as a slice, an array or a `Vec`, which are
/// tried in turn; `"host:port"` as a `&str` or `String`; `(host, port)` with the host as a `&str` or `String`;
/// and references to any of them. A host is a name, or an address written out.
///
/// A name is resolved by the system's resolver on the loop's blocking pool, never on the loop. Look-ups take
/// half of its threads at most. What is an address already is taken as it is.
pub trait ToAddrs: sealed::Sealed {}

impl<T: sealed::Sealed> ToAddrs for T {}

/// Resolves, if there is anything to resolve.
pub(super) async fn resolve(target: Target) -> io::Result<Vec<SocketAddr>> {
    let Target { addresses, location } = target;
    let (name, found) = match addresses {
        Addresses::Known(addresses) => return Ok(addresses),
        Addresses::Name(name, port) => {
            let asked = name.clone();
            let look_up = move || (asked.as_str(), port).to_socket_addrs().map(Vec::from_iter);
            (name, task::look_up(look_up, location).await.map_err(io::Error::other)??)
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
