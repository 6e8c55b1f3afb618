//! The address in a network error.
//!
//! The kernel says "connection refused" and not by what. What connects, binds or listens says it here, with the
//! error's kind as it was. The kernel's own error stays inside: [`AddressError::io_error`].
//!
//! **Alternative:** an error type of our own in the signatures. All code that speaks `io::Result` would have to
//! convert it.

use std::{error::Error, fmt, io, net::SocketAddr};

/// What a failed `connect` or `bind` adds to the kernel's error: what was tried, and at which address.
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
///     assert_eq!(inside.address(), nobody_listens);
///     assert!(inside.io_error().raw_os_error().is_some());
/// });
/// # std::io::Result::Ok(())
/// ```
pub struct AddressError {
    action: &'static str,
    address: SocketAddr,
    error: io::Error,
}

impl AddressError {
    /// `error`, which trying to `action` that address has met.
    pub(super) fn wrap(action: &'static str, address: SocketAddr, error: io::Error) -> io::Error {
        io::Error::new(error.kind(), Self { action, address, error })
    }

    /// The address that was tried.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the kernel said, with its error number.
    pub fn io_error(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, address, error } = self;
        write!(f, "{action} {address}: {error}")
    }
}

impl fmt::Debug for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AddressError({self})")
    }
}

// No `source`: the text says it already.
impl Error for AddressError {}
