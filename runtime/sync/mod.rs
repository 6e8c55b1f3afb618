//! Synchronisation between tasks: locks, signals, and channels.
//!
//! One form of each serves both variants of the runtime, and may be shared by tasks of several: an uncontended visit
//! is one or two atomic operations, which is little beside an await. All that waits does so in `engine/waiting/`,
//! first come, first served.
