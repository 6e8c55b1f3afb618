//! This thread's runtime.
//!
//! Leaf futures and the free functions `spawn` and `spawn_local` ask here who runs this thread. It is
//! set by a guard while a loop turns and while its tasks are dropped, and nests: a task may run
//! another loop, and gets its own back after that. Whoever does something else on an event loop than
//! on a runtime asks [`get`] or [`expect`], and matches [`Current`].

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::Future,
    io,
    mem::ManuallyDrop,
    os::fd::BorrowedFd,
    panic::Location,
    rc::{Rc, Weak},
    sync::Arc as StdArc,
};

use mio::Token;

use crate::engine::{
    base::{
        clock::{self, Clock, TestClock},
        id::TaskId,
        place::{Name, Origin},
        primitives::Arc,
        this_poll,
    },
    blocking,
    inbox::{Address, Urgency},
    reactor::registration::Registration,
    scheduler::{
        event_loop::Core,
        pool::{
            self, Pool,
            worker::{HandedOff, Worker},
        },
        remote::Remote,
    },
    task::{
        join::{self, JoinHandle},
        local::{self, Entered},
    },
    waiting::waiter::Waiter,
};

/// Who runs a thread.
#[derive(Clone)]
pub(crate) enum Current {
    EventLoop(Rc<Core>),
    /// One of a runtime's workers.
    Worker(Rc<Worker>),
    /// A thread that polls a future in a runtime's `block_on`, or has entered it.
    Guest(StdArc<Pool>),
    /// A thread that has entered an event loop whose thread is another: what it spawns is sent there.
    Outside(Outside),
}

/// See [`Current::Outside`].
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) home: StdArc<Remote>,
    /// In a `Handle::block_on`, the loop that runs its future: timers and sockets that it awaits are this
    /// one's, for those of `home` belong to its own thread.
    pub(crate) own: Option<Rc<Core>>,
}

/// What a thread enters, and a handle is a handle to: an event loop or a runtime, as any thread may hold it.
#[derive(Clone)]
pub(crate) enum Home {
    EventLoop(StdArc<Remote>),
    Pool(StdArc<Pool>),
}

thread_local! {
    // Without a destructor it is there to the thread's very end. The guards empty it.
    static CURRENT: RefCell<ManuallyDrop<Option<Current>>> =
        const { RefCell::new(ManuallyDrop::new(None)) };
    /// The identity of that loop, or 0: what a source asks before each wait.
    static LOOP_ID: Cell<u64> = const { Cell::new(0) };
    /// The event loops that were made on this thread, for a handle that is entered here. Without a destructor,
    /// as above; the loops empty it.
    static LOOPS: RefCell<ManuallyDrop<BTreeMap<u64, Weak<Core>>>> =
        const { RefCell::new(ManuallyDrop::new(BTreeMap::new())) };
}

/// Notes an event loop of this thread.
pub(crate) fn add_loop(core: &Rc<Core>) {
    LOOPS.with_borrow_mut(|loops| loops.insert(core.id, Rc::downgrade(core)));
}

/// Forgets it again.
pub(crate) fn remove_loop(core: &Core) {
    LOOPS.with_borrow_mut(|loops| loops.remove(&core.id));
}

/// The event loop of this identity, if it was made on this thread and is there.
pub(crate) fn loop_of_this_thread(loop_id: u64) -> Option<Rc<Core>> {
    LOOPS.with_borrow(|loops| loops.get(&loop_id)?.upgrade())
}

/// Makes a loop this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(core: Rc<Core>) -> Guard<Entered> {
    let table = local::enter(core.table.clone());
    Guard::new(Current::EventLoop(core), table)
}

/// The same for a worker, which is its thread's for good.
pub(crate) fn enter_worker(worker: Rc<Worker>) -> Guard<pool::worker::Entered> {
    let entered = worker.enter();
    Guard::new(Current::Worker(worker), entered)
}

/// The same for a thread that is no worker: what it spawns goes to the pool.
pub(crate) fn enter_as_guest(pool: StdArc<Pool>) -> Guard<()> {
    Guard::new(Current::Guest(pool), ())
}

/// The same for a thread that is no loop's: what it spawns goes to `home`.
pub(crate) fn enter_from_outside(home: Home) -> Guard<()> {
    match home {
        Home::EventLoop(home) => Guard::new(Current::Outside(Outside { home, own: None }), ()),
        Home::Pool(pool) => enter_as_guest(pool),
    }
}

/// The same for a thread that blocks on a future, which `own` runs.
pub(crate) fn enter_with_own(home: StdArc<Remote>, own: Rc<Core>) -> Guard<Entered> {
    let table = local::enter(own.table.clone());
    Guard::new(Current::Outside(Outside { home, own: Some(own) }), table)
}

/// Leaves the worker that this thread runs, if it runs one, to another thread, until the guard is
/// dropped: this one is about to block. It is a guest of the worker's runtime meanwhile.
pub(crate) fn hand_off_worker() -> Option<LeftWorker> {
    let Some(Current::Worker(worker)) = get() else { return None };
    let handed_off = worker.hand_off();
    let guest = Guard::new(Current::Guest(worker.pool.clone()), handed_off);
    Some(LeftWorker { guest: Some(guest), worker })
}

/// See [`hand_off_worker`].
pub(crate) struct LeftWorker {
    guest: Option<Guard<HandedOff>>,
    worker: Rc<Worker>,
}

impl Drop for LeftWorker {
    fn drop(&mut self) {
        drop(self.guest.take());
        if self.worker.handed_off.get() {
            // Another thread runs the worker: to the end of this poll, this one stays a guest.
            let guest = Current::Guest(self.worker.pool.clone());
            let outer = CURRENT.replace(ManuallyDrop::new(Some(guest)));
            drop(ManuallyDrop::into_inner(outer));
        }
    }
}

/// See [`enter`].
pub(crate) struct Guard<T> {
    outer: Option<Current>,
    outer_id: u64,
    outer_runs_tasks: bool,
    _entered: T,
}

impl<T> Guard<T> {
    fn new(current: Current, entered: T) -> Self {
        let outer_id = LOOP_ID.replace(current.id());
        let runs_tasks = matches!(current, Current::EventLoop(_) | Current::Worker(_));
        let outer_runs_tasks = this_poll::set_runs_tasks(runs_tasks);
        let outer = CURRENT.replace(ManuallyDrop::new(Some(current)));
        Self {
            outer: ManuallyDrop::into_inner(outer),
            outer_id,
            outer_runs_tasks,
            _entered: entered,
        }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        let outer = self.outer.take();
        LOOP_ID.set(self.outer_id);
        this_poll::set_runs_tasks(self.outer_runs_tasks);
        drop(ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(outer))));
    }
}

/// Who runs this thread, if anybody does.
#[inline]
pub(crate) fn get() -> Option<Current> {
    CURRENT.with_borrow(|current| Option::clone(current))
}

/// Who runs this thread.
///
/// # Panics
/// If nobody does; `what` names who asked.
#[inline]
#[track_caller]
pub(crate) fn expect(what: &str) -> Current {
    match get() {
        Some(current) => current,
        None => nobody(what),
    }
}

/// Who runs this thread, for a future that was made at `place`.
///
/// # Panics
/// If nobody does.
#[inline]
pub(crate) fn expect_at(what: &str, place: &'static Location<'static>) -> Current {
    get().unwrap_or_else(|| nobody(&format!("{what} at {place}")))
}

/// What `what` needed is not there.
#[cold]
#[track_caller]
pub(crate) fn nobody(what: &str) -> ! {
    panic!(
        "{what} needs a runtime, and none runs this thread: call it from inside `whirligig::run`, \
         `block_on` or a spawned task"
    )
}

/// Spawns a future onto whoever runs this thread.
#[inline]
#[track_caller]
pub(crate) fn spawn<F>(
    what: &str,
    future: F,
    name: Name,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match expect(what) {
        Current::EventLoop(core) => core.spawn(future, name, place),
        Current::Worker(worker) => worker.spawn(future, name, place),
        Current::Guest(pool) => pool.spawn(future, name, place),
        Current::Outside(outside) => send(outside.home.address, future, name, place),
    }
}

/// Sends a future to the thread of its loop.
pub(crate) fn send<F>(
    home: Address,
    future: F,
    name: Name,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let origin = Origin { id: TaskId::draw(), name, place };
    let (completer, handle) = join::pair(future, origin.clone(), local::wake_bits);
    let spawn = move || {
        if let Some(core) = event_loop() {
            core.spawn_sent(origin, completer);
        }
    };
    // Refused, the closure is dropped here, and with it future and completer.
    drop(home.call(Box::new(spawn), Urgency::Now));
    handle
}

/// Spawns a future that must not leave this thread.
///
/// # Panics
/// If no event loop runs this thread.
#[inline]
#[track_caller]
pub(crate) fn spawn_local<F>(
    what: &str,
    future: F,
    name: Name,
    place: &'static Location<'static>,
) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    match get() {
        Some(Current::EventLoop(core)) => core.spawn(future, name, place),
        _ => no_event_loop(what),
    }
}

/// A future was to be spawned that must not leave its thread, and no event loop runs this one.
#[cold]
#[track_caller]
fn no_event_loop(what: &str) -> ! {
    if let Current::Outside(_) = expect(what) {
        panic!(
            "{what} needs the event loop's own thread, and this one has only entered the loop: use \
             `spawn` if the future can be made `Send`"
        );
    }
    panic!(
        "{what} needs an event loop, and this is a multi-threaded runtime, whose tasks move between \
         threads: use `spawn` if the future can be made `Send`; else run it on a thread of its own by \
         `whirligig::run`, and talk to it through a `queue::Queue`"
    )
}

/// The blocking pool of whoever runs this thread.
#[track_caller]
pub(crate) fn blocking(what: &str) -> Blocking {
    Blocking::of(expect(what).home())
}

/// A blocking pool, and what its calls enter.
pub(crate) struct Blocking {
    pub(crate) pool: Arc<blocking::Pool>,
    /// The test clock that its jobs hold up.
    pub(crate) clock: Option<TestClock>,
    pub(crate) home: Home,
}

impl Blocking {
    pub(crate) fn of(home: Home) -> Self {
        let (pool, clock) = match &home {
            Home::EventLoop(remote) => match &remote.clock {
                Clock::Test(clock) => (remote.blocking.clone(), Some(clock.clone())),
                Clock::Real => (remote.blocking.clone(), None),
            },
            Home::Pool(pool) => (pool.blocking().clone(), None),
        };
        Self { pool, clock, home }
    }
}

/// The event loop of this thread, if one runs it.
#[inline]
pub(crate) fn event_loop() -> Option<Rc<Core>> {
    CURRENT.with_borrow(|current| match &**current {
        Some(Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. })) => {
            Some(core.clone())
        }
        _ => None,
    })
}

/// The identity of whoever runs this thread; 0 if nobody does. All workers of a runtime have one.
#[inline]
pub(crate) fn loop_id() -> u64 {
    LOOP_ID.get()
}

/// The present moment, by the clock of this thread's loop, or the real one.
pub(crate) fn now() -> u64 {
    CURRENT.with_borrow(|current| match &**current {
        Some(Current::EventLoop(core)) => core.clock().now(),
        Some(Current::Outside(outside)) => outside.home.clock.now(),
        Some(Current::Worker(_) | Current::Guest(_)) | None => clock::real_now(),
    })
}

impl Current {
    fn id(&self) -> u64 {
        match self {
            Self::EventLoop(core) => core.id,
            Self::Worker(worker) => worker.pool.id,
            Self::Guest(pool) => pool.id,
            Self::Outside(Outside { own: Some(core), .. }) => core.id,
            Self::Outside(Outside { home, own: None }) => home.address.loop_id,
        }
    }

    /// What a handle to it holds.
    pub(crate) fn home(self) -> Home {
        match self {
            Self::EventLoop(core) => Home::EventLoop(core.remote.clone()),
            Self::Worker(worker) => Home::Pool(worker.pool.clone()),
            Self::Guest(pool) => Home::Pool(pool),
            Self::Outside(outside) => Home::EventLoop(outside.home),
        }
    }

    /// Has it watch a descriptor. Those put into `woken` are to be woken, also after an error.
    ///
    /// # Errors
    /// See [`Registration::attach`].
    #[cold]
    pub(crate) fn watch(
        &self,
        registration: &Registration,
        fd: BorrowedFd<'_>,
        woken: &mut Vec<Waiter>,
    ) -> io::Result<()> {
        match self {
            Self::EventLoop(core) | Self::Outside(Outside { own: Some(core), .. }) => {
                registration.attach(&core.reactor, fd, woken)?;
                core.count_registration();
                Ok(())
            }
            Self::Worker(worker) => registration.attach(worker.pool.reactor(), fd, woken),
            Self::Guest(pool) => registration.attach(pool.reactor(), fd, woken),
            Self::Outside(Outside { own: None, .. }) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this thread has entered an event loop that another thread turns: wait for sockets \
                 inside `Handle::block_on`, or in a task spawned there",
            )),
        }
    }
}

/// Has a loop forget a token: at once on its own thread, else by a message that need not unpark it.
pub(crate) fn forget_source(home: Address, token: Token) {
    match event_loop() {
        Some(core) if core.id == home.loop_id => core.reactor.remove(token),
        _ => {
            let forget = Box::new(move || {
                if let Some(core) = event_loop() {
                    core.reactor.remove(token);
                }
            });
            // A loop that is gone has nothing to forget.
            drop(home.call(forget, Urgency::Whenever));
        }
    }
}
