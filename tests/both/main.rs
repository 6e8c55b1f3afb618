//! One behaviour, on every variant: the event loop, the runtime with one worker and with two, and,
//! where semantics agree, tokio's runtimes as the oracle.
//!
//! A behaviour is a function that does something and returns what it observed. It is written once,
//! against the few operations of [`api`], and run everywhere; the observations must be equal. So
//! nobody had to write down what is expected, and nobody can have written down what we do. What tokio
//! has no word for is checked by assertions, on our three.
//!
//! Observations are such that the order in which threads run cannot change them.

mod api;
mod net;
mod queue;
mod tasks;
mod time;
