//! The address in a network error.
//!
//! The kernel says "connection refused" and not by what. What connects, binds, listens or sends says it here, with the
//! error's kind as it was. The kernel's own error stays inside: [`AddressError::io_error`]. Of several addresses
//! that were tried, each error is told.
//!
//! **Alternative:** an error type of our own in the signatures. All code that speaks `io::Result` would have to
//! convert it.

use std::{error::Error, fmt, io, net::SocketAddr};

/// What a failed `connect`, `bind` or `send_to` adds to the kernel's error: what was tried, and at which address.
///
/// It is inside the [`io::Error`] that these return, which has the kind of the kernel's error:
///
/// ```
/// use std::io::ErrorKind;
/// use whirligig::net::{AddressError, TcpStream};
///
/// # let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let nobody_listens = socket.local_addr()?;
/// # drop(socket);
/// whirligig::run(async {
///     let error = TcpStream::connect(nobody_listens).await.unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
///     assert!(error.to_string().starts_with(&format!("connect to {nobody_listens}: ")));
///     let inside = error.get_ref().and_then(|error| error.downcast_ref::<AddressError>()).unwrap();
///     assert_eq!(*inside.address(), nobody_listens);
///     assert!(inside.io_error().raw_os_error().is_some());
/// });
/// # std::io::Result::Ok(())
/// ```
pub struct AddressError<A = SocketAddr> {
    action: &'static str,
    address: A,
    error: io::Error,
}

impl<A> AddressError<A> {
    /// `error`, which trying to `action` that address has met.
    pub(super) fn new(action: &'static str, address: A, error: io::Error) -> Self {
        Self { action, address, error }
    }

    /// The address that was tried.
    pub fn address(&self) -> &A {
        &self.address
    }

    /// What the kernel said, with its error number.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl<A: fmt::Debug + Send + Sync + 'static> AddressError<A> {
    /// The same in an [`io::Error`].
    pub(super) fn wrap(action: &'static str, address: A, error: io::Error) -> io::Error {
        Self::new(action, address, error).into()
    }
}

impl<A: fmt::Debug + Send + Sync + 'static> From<AddressError<A>> for io::Error {
    fn from(error: AddressError<A>) -> Self {
        Self::new(error.error.kind(), error)
    }
}

// Of an address of either family, `Debug` is how one writes it.
impl<A: fmt::Debug> fmt::Display for AddressError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, address, error } = self;
        write!(f, "{action} {address:?}: {error}")
    }
}

impl<A: fmt::Debug> fmt::Debug for AddressError<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressError({self})")
    }
}

// No `source`: the text says it already.
impl<A: fmt::Debug> Error for AddressError<A> {}

/// What each of several addresses has met, in the order in which they failed: none was left to try.
///
/// It is inside the [`io::Error`] that `connect` or `bind` returns, which has the kind of the last of them:
///
/// ```
/// use std::io::ErrorKind;
/// use whirligig::net::{AddressErrors, TcpStream};
///
/// # let sockets = [std::net::TcpListener::bind("127.0.0.1:0")?, std::net::TcpListener::bind("127.0.0.1:0")?];
/// # let nobody_listens = [sockets[0].local_addr()?, sockets[1].local_addr()?];
/// # drop(sockets);
/// whirligig::run(async {
///     let error = TcpStream::connect(nobody_listens).await.unwrap_err();
///     assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
///     let inside = error.get_ref().and_then(|error| error.downcast_ref::<AddressErrors>()).unwrap();
///     assert!(inside.errors().iter().map(|error| error.address()).eq(&nobody_listens));
/// });
/// # std::io::Result::Ok(())
/// ```
#[derive(Debug)]
pub struct AddressErrors(Vec<AddressError>);

impl AddressErrors {
    /// One for each address.
    pub fn errors(&self) -> &[AddressError] {
        &self.0
    }

    /// The error to return when all addresses have failed: of one address its own. `None` if there was none.
    pub(super) fn join(mut errors: Vec<AddressError>) -> Option<io::Error> {
        let last = errors.pop()?;
        if errors.is_empty() {
            return Some(last.into());
        }
        let kind = last.error.kind();
        errors.push(last);
        Some(io::Error::new(kind, Self(errors)))
    }
}

impl fmt::Display for AddressErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { "; " };
            write!(f, "{separator}{error}")?;
        }
        Ok(())
    }
}

impl Error for AddressErrors {}
