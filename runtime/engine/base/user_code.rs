//! Calling user code.
//!
//! Wakers, closures and payloads come from anywhere. They are called with nothing borrowed and no
//! lock held, and one that panics harms nothing else: the panic is caught here and reported. Several values are
//! dropped one by one, each in a call of its own: were one dropped while the panic of another unwinds, its own
//! panic would end the process.

use std::{
    any::Any,
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    task::Waker,
};

/// Calls a waker.
pub(crate) fn wake(waker: Waker) {
    call("a waker", || waker.wake());
}

/// Calls `f`; a panic is reported as that of `what`.
#[inline]
pub(crate) fn call(what: &str, f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
        panicked(what, payload);
    }
}

/// Reports a panic of `what`.
#[cold]
pub(crate) fn panicked(what: &str, payload: Box<dyn Any + Send>) {
    say(format_args!("{what} panicked: {}", panic_text(payload.as_ref())));
    discard(payload);
}

/// Writes a line on standard error.
#[cold]
pub(crate) fn say(what: fmt::Arguments<'_>) {
    // Without a standard error to write to, `eprintln` panics.
    let _ = catch_unwind(|| eprintln!("whirligig: {what}"));
}

/// Drops a value; a panic is reported as that of `what`.
#[inline]
pub(crate) fn discard_value<T>(what: &str, value: T) {
    if mem::needs_drop::<T>() {
        call(what, || drop(value));
    }
}

/// Drops a panic's payload, which is user code as well. If it panics in its turn, that payload is
/// leaked: there must be an end to it.
pub(crate) fn discard(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(payload);
    }
}

/// What a panic said, if it said it in text.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(its payload is no text)")
}
