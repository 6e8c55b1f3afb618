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

    /// The next address to try.
    ///
    /// # Errors
    /// All those that were met if there are no more, or the resolver's.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        if let Some(look_up) = &mut self.look_up {
            let found = ready!(look_up.as_mut().poll(cx));
            self.look_up = None;
            self.left = found?.into_iter();
        }
        Poll::Ready(self.left.next().ok_or_else(|| {
            let errors = mem::take(&mut self.errors);
            AddressErrors::join(errors)
                .unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address given"))
        }))
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
        loop {
            let address = ready!(self.poll_next(cx))?;
            match attempt(address) {
                Ok(done) => return Poll::Ready(Ok(done)),
                Err(error) => self.failed(AddressError::new(action, address, error)),
            }
        }
    }
}

impl fmt::Debug for Targets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Targets")
            .field("looks_up", &self.look_up.is_some())
            .field("left", &self.left.as_slice())
            .finish()
    }
}
