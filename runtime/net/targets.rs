//! The addresses to try, one after the other.
//!
//! `connect` and `bind` both take what may be several addresses, or a name that must be looked up first. The futures
//! of both own what they were given, so they may be spawned, and ask here for the next address.

use std::{
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    vec,
};

use super::addresses::{self, Addresses, Target, ToAddrs, resolve};

type LookUp = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>>;

pub(super) struct Targets {
    /// Until its end.
    look_up: Option<LookUp>,
    left: vec::IntoIter<SocketAddr>,
    last_error: Option<io::Error>,
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
        Self { look_up: None, left: known.into_iter(), last_error: None }
    }

    /// The next address to try.
    ///
    /// # Errors
    /// The last one's error if there are no more, or the resolver's.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<SocketAddr>> {
        if let Some(look_up) = &mut self.look_up {
            let found = ready!(look_up.as_mut().poll(cx));
            self.look_up = None;
            self.left = found?.into_iter();
        }
        Poll::Ready(self.left.next().ok_or_else(|| {
            self.last_error
                .take()
                .unwrap_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "no address given"))
        }))
    }

    /// The address that was tried last has met this.
    pub(super) fn failed(&mut self, error: io::Error) {
        self.last_error = Some(error);
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
