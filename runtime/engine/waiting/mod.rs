//! Who waits for something, in order: plain data that its owner locks or borrows.

pub(crate) mod shell;
pub(crate) mod wait_list;
pub(crate) mod waiter;
