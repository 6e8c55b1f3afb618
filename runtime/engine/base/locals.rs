//! The values that the code on this thread sees as its task-locals: one word of each thread.
//!
//! A set of values never changes: to add one makes a new set. So the sets of all tasks may share their values, and to
//! hand one on is to count one reference. While a future that has a set is polled, or dropped, its set is this thread's
//! (`runtime/task/locals.rs`); between the polls of tasks there is none. A loop that is turned inside such a poll
//! runs tasks that are not its task's: it sets the values aside meanwhile.
//!
//! What must hold: values are user code where they are dropped, cloned and looked at. The word is not borrowed
//! meanwhile.
//!
//! **Alternative:** a thread-local for each key, as tokio has it. It is looked up sooner, and what a task has cannot be
//! handed on to another as one. Or a linked list of values: a line of tasks of which each adds to what it inherited
//! would make it longer for ever.

use std::{any::Any, cell::RefCell, mem::ManuallyDrop, ptr, sync::Arc};

/// A value, of a forgotten type.
pub(crate) type Value = Arc<dyn Any + Send + Sync>;

#[derive(Clone)]
struct Entry {
    key: u64,
    value: Value,
}

/// A set of values, at most one for each key. Few, so they are looked through.
#[derive(Clone, Default)]
pub(crate) struct Values(Option<Arc<[Entry]>>);

thread_local! {
    // Without a destructor it is there to the thread's very end. The guards empty it.
    static CURRENT: RefCell<ManuallyDrop<Values>> =
        const { RefCell::new(ManuallyDrop::new(Values(None))) };
}

impl Values {
    /// Those that this thread has now.
    pub(crate) fn current() -> Self {
        CURRENT.with_borrow(|values| Self::clone(values))
    }

    /// Whether it is the very set that this thread has now.
    pub(crate) fn is_current(&self) -> bool {
        CURRENT.with_borrow(|values| match (&values.0, &self.0) {
            (Some(current), Some(this)) => ptr::addr_eq(Arc::as_ptr(current), Arc::as_ptr(this)),
            (None, None) => true,
            _ => false,
        })
    }

    /// The value of `key` in this thread's set.
    pub(crate) fn find(key: u64) -> Option<Value> {
        CURRENT.with_borrow(|values| {
            let entries = values.0.as_ref()?;
            entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.clone())
        })
    }

    /// These, and `value` for `key` instead of what there was for it.
    pub(crate) fn with(&self, key: u64, value: Value) -> Self {
        let others = self.0.iter().flat_map(|entries| entries.iter());
        let others = others.filter(|entry| entry.key != key).cloned();
        Self(Some(others.chain([Entry { key, value }]).collect()))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |entries| entries.len())
    }

    /// Makes these this thread's until the guard is dropped, and then those before them again. They are in the
    /// thread's word meanwhile, and in the guard's place after that: nothing is counted.
    #[inline]
    pub(crate) fn enter(&mut self) -> Entered<'_> {
        swap(self);
        Entered(self)
    }
}

/// See [`Values::enter`]. Guards are dropped in the reverse order, for each is on the stack of one call.
pub(crate) struct Entered<'a>(&'a mut Values);

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        swap(self.0);
    }
}

#[inline]
fn swap(values: &mut Values) {
    CURRENT.with_borrow_mut(|current| std::mem::swap(&mut **current, values));
}

/// Runs `f` without values: it runs or drops what is another task's.
pub(crate) fn without<R>(f: impl FnOnce() -> R) -> R {
    let mut none = Values::default();
    let _entered = none.enter();
    f()
}

/// As [`without`], until it is dropped.
#[derive(Default)]
pub(crate) struct SetAside(Values);

impl SetAside {
    pub(crate) fn new() -> Self {
        let mut values = Values::default();
        swap(&mut values);
        Self(values)
    }
}

impl Drop for SetAside {
    fn drop(&mut self) {
        swap(&mut self.0);
    }
}
