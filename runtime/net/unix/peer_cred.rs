//! Who the peer of a Unix socket is.
//!
//! `UnixStream::peer_cred` calls it. What must hold: the kernel writes no more than it is given room for.
//!
//! **Alternative:** rustix's call. Its process id cannot be 0, which is what the kernel writes for a peer that this
//! process cannot see.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

/// The process that connected, listened, or made the pair, as it was then. The kernel says so, not the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct PeerCred {
    /// Its process id; `None` if it is of another container, whose processes this one cannot see.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

#[allow(unsafe_code)]
pub(crate) fn peer_cred(socket: impl AsFd) -> io::Result<PeerCred> {
    let mut cred = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut room = size_of::<libc::ucred>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `room` bytes to `cred`, and how many to `room`: both are live locals, of plain
    // numbers, for which any bytes are a value. memcheck runs it in CI.
    let failed = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            ptr::from_mut(&mut cred).cast(),
            &mut room,
        )
    };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    if cred.uid == u32::MAX {
        // That is how the kernel says that there is no peer.
        return Err(io::ErrorKind::NotConnected.into());
    }
    let pid = u32::try_from(cred.pid).ok().filter(|pid| *pid != 0);
    Ok(PeerCred { pid, uid: cred.uid, gid: cred.gid })
}
