//! This thread's runtime.
//!
//! Leaf futures and the free functions `spawn` and `spawn_local` ask here who runs this thread. It is
//! set by a guard while a loop turns and while its tasks are dropped, and nests: a task may run
//! another loop, and gets its own back after that. The one enum of the runtime's variants is matched
//! in this file.

use std::{
    cell::{Cell, RefCell},
    mem::ManuallyDrop,
    rc::Rc,
};

use mio::Token;

use crate::{
    clock,
    inbox::Urgency,
    reactor::Registry,
    scheduler::event_loop::Core,
    task::local::{self, Entered},
};

/// Who runs a thread.
#[derive(Clone)]
pub(crate) enum Current {
    EventLoop(Rc<Core>),
}

thread_local! {
    // Without a destructor it is there to the thread's very end. The guards empty it.
    static CURRENT: RefCell<ManuallyDrop<Option<Current>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// The identity of that loop, or 0: what a source asks before each wait.
    static LOOP_ID: Cell<u64> = const { Cell::new(0) };
}

/// Makes a loop this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(core: Rc<Core>) -> Guard {
    let table = local::enter(core.table.clone());
    let outer_id = LOOP_ID.replace(core.id);
    let outer = CURRENT.replace(ManuallyDrop::new(Some(Current::EventLoop(core))));
    let outer = ManuallyDrop::into_inner(outer);
    Guard { outer, outer_id, _table: table }
}

/// See [`enter`].
pub(crate) struct Guard {
    outer: Option<Current>,
    outer_id: u64,
    _table: Entered,
}

impl Drop for Guard {
    fn drop(&mut self) {
        let outer = self.outer.take();
        LOOP_ID.set(self.outer_id);
        drop(ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(outer))));
    }
}

/// The identity of the loop that runs this thread; 0 if none does.
#[inline]
pub(crate) fn loop_id() -> u64 {
    LOOP_ID.get()
}

/// The event loop of this thread, if one runs it.
#[inline]
pub(crate) fn event_loop() -> Option<Rc<Core>> {
    CURRENT.with_borrow(|current| current.as_ref().map(|Current::EventLoop(core)| core.clone()))
}

/// The event loop of this thread.
///
/// # Panics
/// If none runs it; `what` names who asked.
#[inline]
#[track_caller]
pub(crate) fn expect_event_loop(what: &str) -> Rc<Core> {
    match event_loop() {
        Some(core) => core,
        None => panic!(
            "{what} needs an event loop, and none runs this thread: call it from inside \
             `whirligig::run`, `EventLoop::block_on` or a spawned task"
        ),
    }
}

/// The present moment, by the clock of this thread's loop, or the real one.
pub(crate) fn now() -> u64 {
    event_loop().map_or_else(clock::real_now, |core| core.clock().now())
}

/// Has the loop of a registry forget a token: at once on its own thread, else by a message that need
/// not unpark it.
pub(crate) fn forget_source(registry: &Registry, token: Token) {
    match event_loop() {
        Some(core) if core.id == registry.loop_id => core.reactor.remove(token),
        _ => {
            let forget = Box::new(move || {
                if let Some(core) = event_loop() {
                    core.reactor.remove(token);
                }
            });
            // A loop that is gone has nothing to forget.
            drop(registry.inbox.call(registry.loop_id, forget, Urgency::Whenever));
        }
    }
}
