//! The addresses to try, one after the other.
//!
//! `connect` and `bind` both take what may be several addresses, or a name that must be looked up first. The futures
//! of both own what they were given, so they may be spawned, and ask here for the next address. What each address
//! has met is kept until the last has failed: the error tells all of them.

use std::{
    fmt, io, mem,
    net::SocketAddr,
    task::{Context, Poll, ready},
    vec,
};

use super::{
    addresses::{self, Addresses, LookUp, Target, ToAddrs, resolve},
    error::{AddressError, AddressErrors},
};

pub(super) struct Targets {
    /// Until its end.
    look_up: Option<LookUp>,
    left: vec::IntoIter<SocketAddr>,
    errors: Vec<AddressError>,
}

impl Targets {
    #[track_caller]
    pub(super) fn new(to: impl ToAddrs) -> Self {
        let Target { addresses, location } = addresses::of(to);
        match addresses {
            Addresses::Known(known) => Self::known(known),
            addresses => {
                let name = Target { addresses, location };
                Self { look_up: Some(Box::pin(resolve(name))), ..Self::known(Vec::new()) }
            }
        }
    }

    pub(super) fn known(known: Vec<SocketAddr>) -> Self {
        Self { look_up: None, left: known.into_iter(), errors: Vec::new() }
    }

    /// Ready when a name is looked up, if it is one. Its addresses come in the order of RFC 8305: of the two families
    /// by turns.
    ///
    /// # Errors
    /// The resolver's.
    pub(super) fn poll_found(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(look_up) = &mut self.look_up {
            let found = ready!(look_up.as_mut().poll(cx));
            self.look_up = None;
            self.left = by_turns(found?).into_iter();
        }
        Poll::Ready(Ok(()))
    }

    /// The next address to try, of those that were found.
    pub(super) fn next(&mut self) -> Option<SocketAddr> {
        self.left.next()
    }

    /// Whether more are left to try.
    pub(super) fn has_next(&self) -> bool {
        !self.left.as_slice().is_empty()
    }

    /// What all have met.
    pub(super) fn error(&mut self) -> io::Error {
        AddressErrors::join(mem::take(&mut self.errors))
            .unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address given"))
    }

    /// An address that was tried has met this.
    pub(super) fn failed(&mut self, error: AddressError) {
        self.errors.push(error);
    }

    /// Has each address tried at once, up to the first that does.
    pub(super) fn poll_first<R>(
        &mut self,
        cx: &mut Context<'_>,
        action: &'static str,
        mut attempt: impl FnMut(SocketAddr) -> io::Result<R>,
    ) -> Poll<io::Result<R>> {
        ready!(self.poll_found(cx))?;
        while let Some(address) = self.next() {
            match attempt(address) {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(error) => self.failed(AddressError::new(action, address, error)),
            }
        }
        Poll::Ready(Err(self.error()))
    }
}

/// The first stays the first; then one of the other family, and so on by turns, while there are any of both.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut other) = (first.into_iter(), other.into_iter());
    let mut turns = Vec::new();
    while first.len() + other.len() > 0 {
        turns.extend(first.next());
        turns.extend(other.next());
    }
    turns
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets")
            .field("looks_up", &self.look_up.is_some())
            .field("left", &self.left.as_slice())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(n: usize, is_v6: bool) -> SocketAddr {
        let host = if is_v6 { "[::1]" } else { "127.0.0.1" };
        format!("{host}:{n}").parse().unwrap()
    }

    proptest! {
        /// Each address stays, in its family's order; and no two neighbours are of one family before the other
        /// family is through.
        #[test]
        fn families_take_turns(kinds in proptest::collection::vec(any::<bool>(), 0..20)) {
            let given: Vec<_> =
                kinds.iter().enumerate().map(|(n, is_v6)| address(n, *is_v6)).collect();
            let turns = by_turns(given.clone());
            prop_assert_eq!(turns.first(), given.first());
            for is_v6 in [false, true] {
                let of = |all: &[SocketAddr]| -> Vec<_> {
                    all.iter().copied().filter(|address| address.is_ipv6() == is_v6).collect()
                };
                prop_assert_eq!(of(&turns), of(&given));
            }
            for (at, pair) in turns.windows(2).enumerate() {
                let rest = &turns[at + 1..];
                let is_alike = |address: &SocketAddr| address.is_ipv6() == pair[0].is_ipv6();
                prop_assert!(!is_alike(&pair[1]) || rest.iter().all(is_alike));
            }
        }
    }
}
