//! The async queue by its public face, in both its shells. Futures are polled by hand, so each test
//! says exactly what is polled when; no runtime is needed, and none could hide a lost wake.

mod hostile;
mod rules;
mod shells;
mod spec;
