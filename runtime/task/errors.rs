//! What went wrong in a scope: all of it, the first first.
//!
//! When one of a scope's tasks fails, the others are cancelled, and some of them may fail as well before they are
//! gone. None of these failures is lost: the scope gives one [`ErrorGroup`]. It is an error like any other, with the
//! first failure as its source.
//!
//! **Alternative:** the first error alone, as `try_join!` gives it. It is simpler, and hides the panic that came
//! second and tells why. Or an error type that each scope names for itself, with a variant for panics: then no scope
//! without an error type of its own could have children.

use std::{any::Any, error::Error, fmt, slice, vec};

use crate::engine::task::join::JoinError;

/// One failure in a scope. See [`ErrorGroup`].
#[derive(Debug)]
pub enum Failure<E> {
    /// The body or a child gave this error.
    Error(E),
    /// A child panicked. The error says which, and has the panic's payload.
    Panic(JoinError),
    /// The scope was cancelled before its body was done: by [`Scope::cancel`](super::Scope::cancel), or because a
    /// child was dropped with its runtime.
    Cancelled,
    /// The scope's deadline passed: that of [`fail_after`](super::ScopeFuture::fail_after).
    TimedOut,
}

impl<E> Failure<E> {
    /// The error, if it is one that the body or a child gave.
    pub fn into_error(self) -> Option<E> {
        match self {
            Self::Error(error) => Some(error),
            _ => None,
        }
    }
}

impl<E: fmt::Display> fmt::Display for Failure<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Panic(error) => error.fmt(f),
            Self::Cancelled => f.write_str("the scope was cancelled"),
            Self::TimedOut => f.write_str("the scope's deadline passed"),
        }
    }
}

/// Its source is that of the error inside, if that is boxed as `Box<dyn Error + Send + Sync>`. (Of an error of a type
/// that need not be an [`Error`] nothing can be asked.)
impl<E: fmt::Debug + fmt::Display + 'static> Error for Failure<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Error(error) => {
                let error: &dyn Any = error;
                error.downcast_ref::<Box<dyn Error + Send + Sync>>()?.source()
            }
            Self::Panic(error) => error.source(),
            Self::Cancelled | Self::TimedOut => None,
        }
    }
}

/// All failures of a scope, in the order in which they came; there is one at least. asyncio's and trio's
/// `ExceptionGroup`.
///
/// As an [`Error`] it has the first failure for its source. `E` is the scope's error type, and needs to be
/// shown only: `String`, `anyhow::Error` and `Box<dyn Error + Send + Sync>` will do, and `?` turns the group into
/// either of the latter.
///
/// ```
/// use whirligig::task::{self, Failure};
///
/// whirligig::run(async {
///     let result = task::scope(async |scope| {
///         scope.spawn(async { Err::<(), _>("no such page") });
///         scope.spawn(async { panic!("no such thing") });
///         Ok(std::future::pending::<()>().await)
///     });
///     let errors = result.await.unwrap_err();
///     assert!(matches!(errors.first(), Failure::Error("no such page")));
///     assert!(errors.to_string().contains("no such page"));
/// });
/// ```
#[doc(alias = "ExceptionGroup")]
#[doc(alias = "MultiError")]
#[doc(alias = "BaseExceptionGroup")]
pub struct ErrorGroup<E> {
    failures: Vec<Failure<E>>,
}

impl<E> ErrorGroup<E> {
    /// `None` if nothing failed.
    pub(super) fn new(failures: Vec<Failure<E>>) -> Option<Self> {
        (!failures.is_empty()).then_some(Self { failures })
    }

    /// The failures but for that the deadline passed. `None` if that was all.
    pub(super) fn without_time_out(mut self) -> Option<Self> {
        self.failures.retain(|failure| !matches!(failure, Failure::TimedOut));
        Self::new(self.failures)
    }

    /// What failed first, and had the others cancelled.
    pub fn first(&self) -> &Failure<E> {
        &self.failures[0]
    }

    /// What failed first. The others are dropped.
    pub fn into_first(mut self) -> Failure<E> {
        self.failures.swap_remove(0)
    }

    /// All failures, the first first.
    pub fn iter(&self) -> slice::Iter<'_, Failure<E>> {
        self.failures.iter()
    }

    /// The errors that the body and the children gave, without panics and the like.
    pub fn errors(&self) -> impl Iterator<Item = &E> {
        self.failures.iter().filter_map(|failure| match failure {
            Failure::Error(error) => Some(error),
            _ => None,
        })
    }

    /// How many there are: at least 1.
    #[allow(clippy::len_without_is_empty)] // It never is.
    pub fn len(&self) -> usize {
        self.failures.len()
    }

    /// Whether the scope was cancelled before its body was done, and nothing failed before.
    #[doc(alias = "cancelled_caught")]
    pub fn is_cancelled(&self) -> bool {
        matches!(self.first(), Failure::Cancelled)
    }

    /// Whether the scope's deadline passed, and nothing failed before.
    #[doc(alias = "TooSlowError")]
    pub fn is_timed_out(&self) -> bool {
        matches!(self.first(), Failure::TimedOut)
    }
}

impl<E> IntoIterator for ErrorGroup<E> {
    type Item = Failure<E>;
    type IntoIter = vec::IntoIter<Failure<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.failures.into_iter()
    }
}

impl<'a, E> IntoIterator for &'a ErrorGroup<E> {
    type Item = &'a Failure<E>;
    type IntoIter = slice::Iter<'a, Failure<E>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<E: fmt::Display> fmt::Display for ErrorGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first().fmt(f)?;
        let others = &self.failures[1..];
        if !others.is_empty() {
            write!(f, " (and {} more:", others.len())?;
            for (at, failure) in others.iter().enumerate() {
                write!(f, "{} {failure}", if at == 0 { "" } else { ";" })?;
            }
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl<E: fmt::Debug> fmt::Debug for ErrorGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ErrorGroup ")?;
        f.debug_list().entries(&self.failures).finish()
    }
}

impl<E: fmt::Debug + fmt::Display + 'static> Error for ErrorGroup<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.first())
    }
}
