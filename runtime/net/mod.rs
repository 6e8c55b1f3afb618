//! TCP.
//!
//! The types are `Send + Sync` and belong to no loop: whoever polls them does so on its own. They
//! speak futures-io's `AsyncRead` and `AsyncWrite`. `read_exact`, `write_all`, buffers, lines, copying
//! and the like come from the crates that build on those, such as futures-lite or futures-util: `use
//! futures_lite::{AsyncReadExt, AsyncWriteExt}`.

pub use self::{
    addresses::ToAddrs,
    listener::TcpListener,
    socket::TcpSocket,
    split::{OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, WriteHalf},
    stream::TcpStream,
};

mod addresses;
mod listener;
mod socket;
mod split;
mod stream;
