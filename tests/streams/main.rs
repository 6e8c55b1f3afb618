//! Streams that are no sockets of ours: pipes, any source by the traits, what copies both ways.
//!
//! Each behaviour runs on every variant of the runtime (`tests/support/variants.rs`).

mod copy;
mod pipes;
mod traits;

#[path = "../support/variants.rs"]
mod variants;
#[path = "../support/watchdog.rs"]
mod watchdog;
