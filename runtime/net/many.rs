//! Several datagrams in one system call.
//!
//! A program that is made of small datagrams spends most of its time on the way into the kernel and out. Linux
//! takes a batch: `recvmmsg` and `sendmmsg`. Elsewhere each datagram is a call of its own, in one operation
//! all the same. `udp.rs` calls it.

use std::{io, os::fd::BorrowedFd};

use super::batch::{Datagram, MOST};

/// Sends the first of them, as many as there is room for. Fails if there is none for any.
#[cfg(target_os = "linux")]
pub(super) fn send(socket: BorrowedFd<'_>, datagrams: &[Datagram]) -> io::Result<usize> {
    use std::{array, io::IoSlice};

    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

    let datagrams = &datagrams[..datagrams.len().min(MOST)];
    let peers: [Option<SocketAddrAny>; MOST] =
        array::from_fn(|at| datagrams.get(at)?.peer.map(SocketAddrAny::from));
    let payloads: [[IoSlice<'_>; 1]; MOST] =
        array::from_fn(|at| [IoSlice::new(datagrams.get(at).map_or(&[], Datagram::payload))]);
    let mut no_control = [(); MOST].map(|()| SendAncillaryBuffer::default());
    let parts = peers.iter().zip(&payloads).zip(&mut no_control).take(datagrams.len());
    let mut messages: Vec<_> = parts
        .map(|((peer, payload), control)| match peer {
            Some(peer) => MMsgHdr::new_with_addr(peer, payload, control),
            None => MMsgHdr::new(payload, control),
        })
        .collect();
    Ok(sendmmsg(socket, &mut messages, SendFlags::NOSIGNAL)?)
}

/// Receives those that are there. Fails if none is.
#[cfg(target_os = "linux")]
pub(super) use super::recvmmsg::recvmmsg as recv;

/// See above.
#[cfg(not(target_os = "linux"))]
pub(super) fn send(socket: BorrowedFd<'_>, datagrams: &[Datagram]) -> io::Result<usize> {
    use super::datagram::QUIETLY;
    each(datagrams.iter(), |datagram| {
        match datagram.peer {
            Some(peer) => rustix::net::sendto(socket, datagram.payload(), QUIETLY, &peer)?,
            None => rustix::net::send(socket, datagram.payload(), QUIETLY)?,
        };
        Ok(())
    })
}

/// See above.
#[cfg(not(target_os = "linux"))]
pub(super) fn recv(socket: BorrowedFd<'_>, datagrams: &mut [Datagram]) -> io::Result<usize> {
    use rustix::net::{RecvAncillaryBuffer, RecvFlags, ReturnFlags, recvmsg};
    each(datagrams.iter_mut(), |datagram| {
        let mut into = [io::IoSliceMut::new(&mut datagram.buf)];
        let mut no_control = RecvAncillaryBuffer::default();
        let received = recvmsg(socket, &mut into, &mut no_control, RecvFlags::empty())?;
        datagram.len = received.bytes;
        datagram.is_truncated = received.flags.contains(ReturnFlags::TRUNC);
        datagram.peer = received.address.and_then(|peer| peer.try_into().ok());
        Ok(())
    })
}

/// How many of the first it did. An error of a later one waits for the next call.
#[cfg(not(target_os = "linux"))]
fn each<T>(
    datagrams: impl Iterator<Item = T>,
    mut op: impl FnMut(T) -> io::Result<()>,
) -> io::Result<usize> {
    let mut done = 0;
    for datagram in datagrams.take(MOST) {
        match op(datagram) {
            Ok(()) => done += 1,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}
