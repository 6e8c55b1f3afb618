//! Descriptors that go along with bytes, from one process to another.
//!
//! The kernel makes a descriptor of the receiver's for the same open file. `stream.rs` and `datagram.rs` call it. What
//! must hold: no descriptor is left behind, whatever fails. So there is always room for as many as one message can
//! have, and what the kernel could not hand over is an error and no silence.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{BorrowedFd, OwnedFd},
};

use rustix::{
    cmsg_space,
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
        SendAncillaryMessage, recvmsg, sendmsg,
    },
};

use crate::net::datagram::QUIETLY;

/// In one message, by the kernel's `SCM_MAX_FD`.
const MOST: usize = 253;

type Room = [MaybeUninit<u8>; cmsg_space!(ScmRights(MOST))];

pub(super) fn send_fds(
    socket: &OwnedFd,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut room: Room = [MaybeUninit::uninit(); _];
    let mut control = SendAncillaryBuffer::new(&mut room);
    // There is room for a few more, for they are aligned.
    let fits =
        fds.len() <= MOST && (fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds)));
    if !fits {
        let problem = format!("{} descriptors: one message takes {MOST}", fds.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, QUIETLY)?)
}

/// Appends the descriptors to `fds`.
pub(super) fn recv_fds(
    socket: &OwnedFd,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut room: Room = [MaybeUninit::uninit(); _];
    let mut control = RecvAncillaryBuffer::new(&mut room);
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, UNINHERITED)?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    #[cfg(target_vendor = "apple")]
    for fd in fds.iter() {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        let problem = "descriptors that came along were lost: this process may open no more";
        return Err(io::Error::other(problem));
    }
    Ok(received.bytes)
}

/// No child process inherits them.
#[cfg(not(target_vendor = "apple"))]
const UNINHERITED: RecvFlags = RecvFlags::CMSG_CLOEXEC;
/// Here the call takes no such flag.
#[cfg(target_vendor = "apple")]
const UNINHERITED: RecvFlags = RecvFlags::empty();
