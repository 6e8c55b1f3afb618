//! The async queue by its public face, in both its shells and all three orders. Futures are polled by hand, so each test
//! says exactly what is polled when; no runtime is needed, and none could hide a lost wake.

mod blocking;
mod hostile;
mod rules;
mod shells;
mod spec;

#[path = "../support/watchdog.rs"]
mod watchdog;
