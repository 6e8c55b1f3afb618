//! Any descriptor, awaited; pipes; the standard streams; copying both ways.
//!
//! [`Source`] watches whatever has a file descriptor that epoll or kqueue can watch: pipes, eventfds,
//! sockets of other crates, a library's own descriptor. The sockets of `net` are built on it. What it holds is
//! futures-io's `AsyncRead` and `AsyncWrite`, if it reads and writes by reference; and so `read_exact`,
//! `write_all`, buffers and lines come from the crates that build on those, such as futures-lite and futures-util.

pub(crate) use self::operation::Waiting;
pub use self::{
    copy::{CopyBidirectional, copy_bidirectional},
    operation::{Operation, Ready},
    pipe::{PipeReader, PipeWriter, pipe},
    source::Source,
    stdio::{Stderr, Stdin, Stdout, stderr, stdin, stdout},
};

mod copy;
mod operation;
mod pipe;
mod pooled;
mod source;
mod stdio;
mod traits;
