//! Run queues: where runnables wait.

pub(crate) mod batches;
