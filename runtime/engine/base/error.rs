//! What all errors of the library have in common: their `{:?}`, which is what `unwrap` shows, says the sentence that
//! `{}` says, and asks nothing of what is inside them.

use std::fmt;

/// `name(the sentence)`: the `Debug` of an error, or of one of its variants.
pub(crate) fn debug_error(
    name: &str,
    error: &dyn fmt::Display,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    f.debug_tuple(name).field(&format_args!("{error}")).finish()
}
