//! What runs tasks: the single-threaded loop, and the books it keeps on when to look.

pub(crate) mod event_loop;
pub(crate) mod ledger;
