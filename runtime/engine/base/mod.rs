//! The ground: what any file may need, and what needs none of them.

pub(crate) mod checks;
pub(crate) mod clock;
pub(crate) mod error;
pub(crate) mod holders;
pub(crate) mod id;
pub(crate) mod local_key;
pub(crate) mod locals;
pub(crate) mod location;
pub(crate) mod pinned;
pub(crate) mod prefetch;
pub(crate) mod primitives;
pub(crate) mod stats;
pub(crate) mod this_poll;
pub(crate) mod trace;
pub(crate) mod user_code;
