//! Functions that a pool's processes know by name.
//!
//! A process of a pool is this program once more, with memory of its own: what is sent to it is a name and bytes. The
//! names are given to [`init`](super::init) in both, so both know the same functions.
//!
//! **Alternative:** to send the function's address, as procspawn does. The processes load the program at different
//! addresses, so it must be told relative to something; and a build that differs by a byte calls another function.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    engine::base::user_code,
    executor::{
        call::CallError,
        delayed::{ByName, Delayed, Nodes},
    },
};

/// A function with a name, that a [`ProcessPool`](super::ProcessPool) can call in its processes.
///
/// A static, given to [`init`](super::init). Arguments and output go by serde (as postcard writes them); several
/// arguments are a tuple.
///
/// ```
/// use whirligig::executor::Function;
///
/// static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
/// static JOIN: Function<(String, u32), String> =
///     Function::new("join", |(text, number)| format!("{text}{number}"));
/// ```
pub struct Function<A, R> {
    name: &'static str,
    f: fn(A) -> R,
}

impl<A, R> Function<A, R> {
    /// The function `f`, called `name`. No two functions of a program may have one name.
    pub const fn new(name: &'static str, f: fn(A) -> R) -> Self {
        Self { name, f }
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// A node of a graph: the call of this function with the outputs of `arguments`. It is called after the function,
    /// and computed by a `ProcessPool`, a `ThreadPool`, or [`compute_with`](super::super::compute_with). See
    /// [`delayed`](super::super::delayed()).
    #[track_caller]
    pub fn delayed<N: Nodes<Outputs = A>>(&self, arguments: N) -> Delayed<R>
    where
        A: Serialize + 'static,
        R: DeserializeOwned + Clone + Send + 'static,
    {
        let by_name = ByName {
            function: self.name,
            encode: |inputs| encode(&N::outputs(inputs)),
            decode: |output| Ok(Box::new(decode::<R>(output)?)),
        };
        Delayed::by_name(&arguments, self.f, by_name)
    }

    /// Calls it here, in this process.
    pub fn call_here(&self, arguments: A) -> R {
        (self.f)(arguments)
    }
}

impl<A, R> fmt::Debug for Function<A, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A [`Function`] of any types: what [`init`](super::init) is given.
///
/// It is `pub` to be named there. No other crate implements it.
pub trait AnyFunction: Sync + private::Sealed {
    /// Its name.
    fn name(&self) -> &'static str;

    /// Calls it with arguments in bytes. The error says why there is no output.
    #[doc(hidden)]
    fn call(&self, arguments: &[u8]) -> Result<Vec<u8>, Failure>;

    /// Calls the function here, with arguments that were encoded elsewhere: what runs the calls of
    /// [`compute_with`](super::super::compute_with) does this.
    ///
    /// # Errors
    /// The function panicked, or the bytes are not its arguments.
    fn call_encoded(&self, arguments: &[u8]) -> Result<Vec<u8>, CallError> {
        self.call(arguments).map_err(CallError::from)
    }
}

/// Why a call in a process has no output.
#[derive(Debug)]
#[doc(hidden)]
pub enum Failure {
    Panicked(String),
    Encoding(String),
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Panicked(text) => Self::Panicked(text),
            Failure::Encoding(text) => Self::Encoding(text),
        }
    }
}

pub(super) fn encode(arguments: &impl Serialize) -> Result<Vec<u8>, CallError> {
    postcard::to_stdvec(arguments)
        .map_err(|error| CallError::Encoding(format!("its arguments: {error}")))
}

pub(super) fn decode<R: DeserializeOwned>(output: &[u8]) -> Result<R, CallError> {
    postcard::from_bytes(output)
        .map_err(|error| CallError::Encoding(format!("its output: {error}")))
}

mod private {
    #[expect(unnameable_types, reason = "no other crate is to implement it")]
    pub trait Sealed {}
    impl<A, R> Sealed for super::Function<A, R> {}
}

impl<A: DeserializeOwned, R: Serialize> AnyFunction for Function<A, R> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn call(&self, arguments: &[u8]) -> Result<Vec<u8>, Failure> {
        // Decoding, encoding and dropping are the user's code as the function is.
        let call = || {
            let arguments = postcard::from_bytes(arguments)
                .map_err(|error| Failure::Encoding(format!("its arguments: {error}")))?;
            postcard::to_stdvec(&(self.f)(arguments))
                .map_err(|error| Failure::Encoding(format!("its output: {error}")))
        };
        catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|payload| {
            let text = user_code::panic_text(payload.as_ref()).to_owned();
            user_code::discard(payload);
            Err(Failure::Panicked(text))
        })
    }
}
