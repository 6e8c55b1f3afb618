//! A thread-local's value, without a call.
//!
//! A poll looks at this thread's cells some eight times (`this_poll.rs`, `trace.rs`). `LocalKey::with` is
//! not marked to be inlined, so whether each of them is a call would depend on how the compiler happens to
//! split the crate that polls. `try_with` is.

use std::thread::LocalKey;

/// `LocalKey::with`, inlined. For keys without a destructor.
#[inline(always)]
pub(crate) fn with<T, R>(key: &'static LocalKey<T>, f: impl FnOnce(&T) -> R) -> R {
    key.try_with(f).expect("a thread-local without a destructor is always there")
}
