//! The traits of crates that run on it, each behind a feature that is off by default.
//!
//! | feature | what it adds | for |
//! | --- | --- | --- |
//! | `tokio-io` | tokio's `AsyncRead` and `AsyncWrite` on our streams | tokio-rustls, tokio-postgres, redis, h2, codecs of tokio-util |
//! | `hyper`, `hyper-server`, `hyper-client`, `hyper-util` (both) | `hyper::{Executor, LocalExecutor, Timer, Io}`, and hyper's traits on our streams; `hyper::serve`, for a tower service such as axum's `Router`; `hyper::Connector`, for hyper-util's pooled client | hyper, axum, tonic |
//! | `quinn` | `quinn::Runtime`: QUIC | quinn |
//! | `hickory` | `hickory::Provider`: a DNS resolver | hickory-resolver |
//!
//! A crate that is written for any runtime asks for traits: to read and write, to sleep, to spawn. A feature implements
//! them on the types that are here already. None of them starts a second reactor, and none runs a part of tokio's.
//!
//! What must hold: an adapter adds no waiting of its own. It passes a poll down to the leaf future or the source of
//! ours, with the task's own waker; so budgets, cancellation and the dump work as they do without it.
//!
//! **Alternative:** crates of their own, one for each. They could not implement other people's traits on our types
//! (only one of the two crates that own them can), and each user would write a wrapper around each socket.

#[cfg(feature = "hickory")]
pub mod hickory;
#[cfg(feature = "hyper")]
pub mod hyper;
#[cfg(feature = "quinn")]
pub mod quinn;
#[cfg(feature = "tokio-io")]
mod tokio_io;
