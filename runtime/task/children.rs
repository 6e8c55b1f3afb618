//! The children of a scope, as all that have to do with them share them.
//!
//! Both kinds of scope, `scope.rs` and `borrowing.rs`, keep their children here, each in slots of its own kind. What
//! is common to them: a child has a number, under which it arrives in the scope's list; a scope that is being
//! cancelled begins no child; one that was left takes none; and a handle whose child has no value for it is told so
//! when the scope is left.
//!
//! **Alternative:** a list in each kind of scope. Then the rules of leaving one would stand there twice.

use std::{mem, sync::Arc};

use slab::Slab;

use super::child::{CANCEL, End};
use crate::engine::{
    base::primitives::{Mutex, MutexGuard, lock},
    waiting::arrivals::Arrivals,
};

/// In the list of arrivals: the scope is to be cancelled.
pub(super) const CANCEL_ALL: u32 = u32::MAX;

/// Children that a scope can have at one time: so that no number is taken for another message.
const MOST: usize = (CANCEL - 1) as usize;

/// See the top of this file.
pub(super) struct Children<S> {
    pub(super) arrivals: Arc<Arrivals>,
    state: Mutex<State<S>>,
}

pub(super) struct State<S> {
    pub(super) slots: Slab<S>,
    pub(super) phase: Phase,
    /// Of children that have ended, or never began, without a value for their handles.
    without_value: Vec<Arc<End>>,
}

/// How far a scope has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    Cancelled,
    Left,
}

impl<S> Children<S> {
    pub(super) fn new() -> Self {
        let state = State { slots: Slab::new(), phase: Phase::Open, without_value: Vec::new() };
        Self { arrivals: Arrivals::new(), state: Mutex::new(state) }
    }

    pub(super) fn open(&self) -> MutexGuard<'_, State<S>> {
        lock(&self.state)
    }

    /// A slot for a child that is about to begin: `make` makes it of the child's number and end.
    ///
    /// # Errors
    /// The scope is being cancelled: what to make the child's handle of.
    ///
    /// # Panics
    /// If the scope was left.
    #[track_caller]
    pub(super) fn reserve(
        &self,
        make: impl FnOnce(u32, Arc<End>) -> S,
    ) -> Result<(u32, Arc<End>), Arc<End>> {
        let mut state = self.open();
        match state.phase {
            Phase::Open => {}
            Phase::Cancelled => {
                let end = End::refused(self.arrivals.clone());
                state.without_value.push(end.clone());
                return Err(end);
            }
            Phase::Left => {
                drop(state);
                panic!(
                    "a scope was asked to spawn a child after it was left: only its body and its children may \
                     spawn, while they run"
                );
            }
        }
        assert!(state.slots.len() < MOST, "a scope has less than 2^31 children");
        let vacant = state.slots.vacant_entry();
        let number = vacant.key() as u32;
        let end = End::new(self.arrivals.clone(), number);
        vacant.insert(make(number, end.clone()));
        Ok((number, end))
    }

    /// Leaves the scope, if no child is left.
    pub(super) fn leave(&self) -> bool {
        let mut state = self.open();
        if !state.slots.is_empty() {
            return false;
        }
        state.phase = Phase::Left;
        let without_value = mem::take(&mut state.without_value);
        drop(state);
        without_value.iter().for_each(|end| end.leave());
        true
    }
}

impl<S> State<S> {
    /// This child has no value for its handle. If there is one, it may be awaited outside of the scope.
    pub(super) fn has_no_value(&mut self, end: Arc<End>) {
        if Arc::strong_count(&end) > 1 {
            self.without_value.push(end);
        }
    }

    /// Begins no child any more, and takes all slots out, of children that end without a value.
    pub(super) fn take_all(&mut self, end: impl Fn(&S) -> &Arc<End>) -> Slab<S> {
        self.phase = Phase::Cancelled;
        let slots = mem::take(&mut self.slots);
        self.without_value.extend(slots.iter().map(|(_, slot)| end(slot).clone()));
        slots
    }
}
