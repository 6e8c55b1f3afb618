//! Any descriptor, awaited.
//!
//! [`Source`] watches whatever has a file descriptor that epoll or kqueue can watch: pipes, eventfds,
//! sockets of other crates, a library's own descriptor. The sockets of `net` are built on it. Traits
//! and helpers are not here: they are futures-io's, and those of the crates that build on it.

pub use self::{
    operation::{Operation, Ready},
    source::Source,
};

mod operation;
mod source;
