//! Addresses of this machine: a path, on Linux also an abstract name, or none.
//!
//! A path is an entry of the file system: binding makes it, and nothing takes it away but who removes it. An abstract
//! name is the kernel's, and is gone with its socket. asyncio and the shell's tools write one as a path that
//! begins with a zero byte, and so may callers here; std has [`from_abstract_name`] for it.
//!
//! [`from_abstract_name`]: std::os::linux::net::SocketAddrExt::from_abstract_name

use std::{
    ffi::OsStr,
    io,
    mem::offset_of,
    os::unix::{ffi::OsStrExt, net::SocketAddr},
    path::Path,
};

use rustix::net::{SocketAddrAny, SocketAddrUnix};

use crate::net::family::{Family, sealed};

/// The addresses of this machine: [`std::os::unix::net::SocketAddr`].
#[derive(Debug)]
pub enum Unix {}

impl Family for Unix {
    type Address = SocketAddr;
}

impl sealed::Sealed for Unix {
    // A read ends behind bytes that came with descriptors, whatever follows them.
    const SHORT_READ_EMPTIES: bool = false;
    const STREAM: &str = "UnixStream";
    const LISTENER: &str = "UnixListener";
    const DATAGRAM: &str = "UnixDatagram";

    fn address(any: Option<SocketAddrAny>) -> io::Result<SocketAddr> {
        // The kernel gives no address at all, or an empty one, of a socket that has none. And Linux lets a path fill
        // the structure up to its last byte, so that a length counts a zero byte beyond it, for which neither rustix
        // nor std has room: such a peer can be heard, and not be told from one without an address.
        let whole = offset_of!(libc::sockaddr_un, sun_path) + 1..=size_of::<libc::sockaddr_un>();
        let any = any.filter(|any| whole.contains(&(any.addr_len() as usize)));
        let Some(any) = any else { return unnamed() };
        let address = SocketAddrUnix::try_from(any)?;
        if let Some(path) = address.path_bytes() {
            return SocketAddr::from_pathname(OsStr::from_bytes(path));
        }
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(name) = address.abstract_name() {
            return abstract_name(name);
        }
        unnamed()
    }
}

fn unnamed() -> io::Result<SocketAddr> {
    SocketAddr::from_pathname("")
}

#[cfg(target_os = "linux")]
fn abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(target_os = "android")]
fn abstract_name(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::android::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

/// What a caller wrote: a path, or an abstract name with a zero byte before it.
pub(super) fn from_path(path: &Path) -> io::Result<SocketAddr> {
    let address = match path.as_os_str().as_bytes() {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        [0, name @ ..] => abstract_name(name),
        [] => Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket's path is not empty")),
        _ => SocketAddr::from_pathname(path),
    };
    // Too long: the path is the one thing that tells which.
    address.map_err(|error| io::Error::new(error.kind(), format!("{path:?}: {error}")))
}

/// For the kernel.
pub(super) fn raw(address: &SocketAddr) -> io::Result<SocketAddrUnix> {
    if let Some(path) = address.as_pathname() {
        return Ok(SocketAddrUnix::new(path)?);
    }
    #[cfg(target_os = "android")]
    use std::os::android::net::SocketAddrExt;
    #[cfg(target_os = "linux")]
    use std::os::linux::net::SocketAddrExt;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Some(name) = address.as_abstract_name() {
        return Ok(SocketAddrUnix::new_abstract_name(name)?);
    }
    // To bind to it is to have the kernel choose an abstract name.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return Ok(SocketAddrUnix::new_unnamed());
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    Err(io::Error::new(io::ErrorKind::InvalidInput, "a socket without an address has none"))
}
