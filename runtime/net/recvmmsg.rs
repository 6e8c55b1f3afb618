//! `recvmmsg`, the one system call of sockets that rustix does not offer.
//!
//! `many.rs` calls it. What must hold: while the kernel writes, all that a header points to is alive and borrowed by
//! nobody else; after, nothing is read that the kernel has not written.
//!
//! **Alternative:** nix, which offers it safely: a second crate for system calls, with its own headers on the heap.

use std::{
    io, mem,
    mem::MaybeUninit,
    net::SocketAddr,
    os::fd::{AsRawFd, BorrowedFd},
    ptr,
};

use rustix::net::SocketAddrAny;

use super::batch::{Datagram, MOST};

/// Receives the datagrams that are there, up to [`MOST`]. Fails if none is.
#[allow(unsafe_code)]
pub(super) fn recvmmsg(socket: BorrowedFd<'_>, datagrams: &mut [Datagram]) -> io::Result<usize> {
    let asked = datagrams.len().min(MOST);
    let datagrams = &mut datagrams[..asked];
    let mut names = [const { MaybeUninit::<libc::sockaddr_storage>::uninit() }; MOST];
    let mut buffers = [libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 }; MOST];
    // SAFETY: plain numbers and pointers, for which zero is a value; some C libraries have private fields between
    // them, so that they cannot be written out. memcheck runs it in CI.
    let mut headers: [libc::mmsghdr; MOST] = unsafe { mem::zeroed() };
    let parts = headers.iter_mut().zip(&mut buffers).zip(&mut names);
    for (((header, buffer), name), datagram) in parts.zip(&mut *datagrams) {
        buffer.iov_base = datagram.buf.as_mut_ptr().cast();
        buffer.iov_len = datagram.buf.len();
        header.msg_hdr.msg_iov = buffer;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    }
    // SAFETY: the first `asked` headers each point to a buffer and a name of ours, with their lengths, which live in
    // this function or in `datagrams`, borrowed exclusively; the kernel writes no further, and keeps no pointer
    // after the call. memcheck runs it in CI.
    let received = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            asked as libc::c_uint,
            // One type in glibc, another in musl.
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
    for ((header, name), datagram) in headers[..received].iter().zip(&names).zip(datagrams) {
        datagram.len = (header.msg_len as usize).min(datagram.buf.len());
        datagram.is_truncated = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        let length = header.msg_hdr.msg_namelen;
        datagram.peer = (length as usize >= size_of::<libc::sockaddr>())
            .then(|| {
                // SAFETY: the kernel has written an address of this length, which is the room it had at most: of an
                // internet socket, that is a whole one.
                unsafe { SocketAddrAny::read(name.as_ptr().cast(), length) }
            })
            .and_then(|name| SocketAddr::try_from(name).ok());
    }
    Ok(received)
}
