//! This thread's runtime.
//!
//! Leaf futures and the free functions `spawn` and `spawn_local` ask here which loop or runtime this thread is
//! in. It is set by a guard while a loop turns and while its tasks are dropped, and nests: a task may run
//! another loop, and gets its own back after that. What differs between an event loop and a runtime asks
//! [`get`] or [`expect`], and matches [`Current`].
//!
//! Guards are dropped in the reverse order. A user's may not be: then the others stay as they are, its own entry is
//! taken out when the guards inside it have gone, and it panics with advice.
//!
//! **Alternative:** a stack in the thread-local, from which a guard takes its entry out wherever that is. Then each
//! look at the current one is a look at a vector's end.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    io,
    mem::ManuallyDrop,
    os::fd::BorrowedFd,
    panic::Location,
    rc::{Rc, Weak},
    sync::Arc as StdArc,
    thread,
};

use mio::Token;

use crate::engine::{
    base::{
        clock::{self, Clock, TestClock},
        id::TaskId,
        location::Origin,
        primitives::Arc,
        this_poll,
        trace::{self, Stamp},
        user_code,
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
        join::JoinHandle,
        local::{self, EnteredTable},
        spawned::{NewTask, Spawned, SpawnedSend},
    },
    waiting::waiter::Waiter,
};

/// What runs a thread.
#[derive(Clone)]
pub(crate) enum Current {
    EventLoop(Rc<Core>),
    /// One of a runtime's workers.
    Worker(Rc<Worker>),
    /// A thread that polls a future in a runtime's `block_on`, or has entered it.
    EnteredPool(StdArc<Pool>),
    /// A thread that has entered an event loop whose thread is another: what it spawns is sent there.
    Outside(Outside),
}

/// See [`Current::Outside`].
#[derive(Clone)]
pub(crate) struct Outside {
    pub(crate) remote: StdArc<Remote>,
    /// In a `Handle::block_on`, the loop that runs its future: timers and sockets that it awaits are this
    /// one's, for those of `remote` belong to its own thread.
    pub(crate) own: Option<Rc<Core>>,
}

/// What a thread enters, and a handle is a handle to: an event loop or a runtime, as any thread may hold it.
#[derive(Clone)]
pub(crate) enum Scheduler {
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
    /// Guards on this thread.
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    /// What guards have to put back that were dropped before those inside them, with their depths.
    static LEFT: RefCell<Vec<(usize, Outer)>> = const { RefCell::new(Vec::new()) };
}

/// Notes an event loop of this thread.
pub(crate) fn add_loop(core: &Rc<Core>) {
    LOOPS.with_borrow_mut(|loops| loops.insert(core.id, Rc::downgrade(core)));
}

/// Forgets it again.
pub(crate) fn remove_loop(core: &Core) {
    LOOPS.with_borrow_mut(|loops| {
        loops.remove(&core.id);
        if loops.is_empty() {
            // An empty map keeps memory, which nothing gives back when the thread ends.
            drop(std::mem::take(&mut **loops));
        }
    });
}

/// The event loop of this identity, if it was made on this thread and is there.
pub(crate) fn loop_of_this_thread(loop_id: u64) -> Option<Rc<Core>> {
    LOOPS.with_borrow(|loops| loops.get(&loop_id)?.upgrade())
}

/// All event loops that were made on this thread and are there.
pub(crate) fn loops_of_this_thread() -> Vec<Rc<Core>> {
    LOOPS.with_borrow(|loops| loops.values().filter_map(Weak::upgrade).collect())
}

/// Makes a loop this thread's, until the guard is dropped; then the one before it again.
pub(crate) fn enter(core: Rc<Core>) -> Guard<EnteredTable> {
    let table = local::enter(core.table.clone());
    Guard::new(Current::EventLoop(core), table)
}

/// The same for a worker, which is its thread's for good.
pub(crate) fn enter_worker(worker: Rc<Worker>) -> Guard<pool::worker::EnteredWorker> {
    let entered = worker.enter();
    Guard::new(Current::Worker(worker), entered)
}

/// The same for a thread that is no worker: what it spawns goes to the pool.
pub(crate) fn enter_pool(pool: StdArc<Pool>) -> Guard<()> {
    Guard::new(Current::EnteredPool(pool), ())
}

/// The same for a thread that is no loop's: what it spawns goes to `scheduler`.
pub(crate) fn enter_from_outside(scheduler: Scheduler) -> Guard<()> {
    match scheduler {
        Scheduler::EventLoop(remote) => {
            Guard::new(Current::Outside(Outside { remote, own: None }), ())
        }
        Scheduler::Pool(pool) => enter_pool(pool),
    }
}

/// The same for a thread that blocks on a future, which `own` runs.
pub(crate) fn enter_with_own(remote: StdArc<Remote>, own: Rc<Core>) -> Guard<EnteredTable> {
    let table = local::enter(own.table.clone());
    Guard::new(Current::Outside(Outside { remote, own: Some(own) }), table)
}

/// Leaves the worker that this thread runs, if it runs one, to another thread, until the guard is
/// dropped: this one is about to block. It has entered the worker's runtime meanwhile.
pub(crate) fn hand_off_worker() -> Option<LeftWorker> {
    match get()? {
        Current::Worker(worker) => {
            let handed_off = worker.hand_off();
            let entered = Guard::new(Current::EnteredPool(worker.pool.clone()), Some(handed_off));
            Some(LeftWorker { entered: Some(entered), worker: Some(worker) })
        }
        // A second time in one poll, whose worker is another thread's since the first.
        Current::EnteredPool(pool) if this_poll::is_own_poll() => Some(LeftWorker {
            entered: Some(Guard::new(Current::EnteredPool(pool), None)),
            worker: None,
        }),
        _ => None,
    }
}

/// See [`hand_off_worker`].
pub(crate) struct LeftWorker {
    entered: Option<Guard<Option<HandedOff>>>,
    worker: Option<Rc<Worker>>,
}

impl Drop for LeftWorker {
    fn drop(&mut self) {
        drop(self.entered.take());
        if let Some(worker) = self.worker.take()
            && worker.handed_off.get()
        {
            // Another thread runs the worker: to the end of this poll, this one has only entered its runtime.
            let entered = Current::EnteredPool(worker.pool.clone());
            let outer = CURRENT.replace(ManuallyDrop::new(Some(entered)));
            drop(ManuallyDrop::into_inner(outer));
        }
    }
}

/// See [`enter`].
pub(crate) struct Guard<T> {
    /// `None` once it was put back.
    outer: Option<Outer>,
    /// Guards there are, with this one.
    depth: usize,
    _entered: T,
}

/// What ran a thread before a guard.
struct Outer {
    current: Option<Current>,
    id: u64,
    runs_tasks: bool,
}

impl Outer {
    fn put_back(self) {
        LOOP_ID.set(self.id);
        this_poll::set_runs_tasks(self.runs_tasks);
        drop(ManuallyDrop::into_inner(CURRENT.replace(ManuallyDrop::new(self.current))));
    }
}

impl<T> Guard<T> {
    fn new(current: Current, entered: T) -> Self {
        trace::set_stamp(stamp);
        let id = LOOP_ID.replace(current.id());
        let runs_tasks = matches!(current, Current::EventLoop(_) | Current::Worker(_));
        let runs_tasks = this_poll::set_runs_tasks(runs_tasks);
        let outer = CURRENT.replace(ManuallyDrop::new(Some(current)));
        let outer = Outer { current: ManuallyDrop::into_inner(outer), id, runs_tasks };
        let depth = DEPTH.get() + 1;
        DEPTH.set(depth);
        Self { outer: Some(outer), depth, _entered: entered }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        let Some(outer) = self.outer.take() else { return };
        if DEPTH.get() == self.depth {
            DEPTH.set(self.depth - 1);
            outer.put_back();
            put_back_left();
        } else {
            // On a thread that is being torn down there is nothing to put it back for.
            let _ = LEFT.try_with(|left| left.borrow_mut().push((self.depth, outer)));
            dropped_out_of_order();
        }
    }
}

/// The innermost guard was dropped: puts back what those around it had to, if they were dropped before.
fn put_back_left() {
    let next = |left: &RefCell<Vec<(usize, Outer)>>| {
        let mut left = left.borrow_mut();
        let at = left.iter().position(|(depth, _)| *depth == DEPTH.get())?;
        Some(left.swap_remove(at).1)
    };
    while let Ok(Some(outer)) = LEFT.try_with(next) {
        DEPTH.set(DEPTH.get() - 1);
        outer.put_back();
    }
}

#[cold]
fn dropped_out_of_order() {
    let advice = "a guard of `enter` was dropped before one that was made after it: drop guards in the reverse \
                  order, and hold none across an await";
    // A second panic while one unwinds would end the process.
    if thread::panicking() {
        user_code::say(format_args!("{advice}"));
    } else {
        panic!("{advice}");
    }
}

/// When and where an event of this thread happens.
fn stamp() -> Stamp {
    match get() {
        Some(Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. })) => {
            core.stamp()
        }
        Some(Current::Worker(worker)) => worker.stamp(),
        Some(Current::EnteredPool(_) | Current::Outside(_)) | None => Stamp::outside(),
    }
}

/// What runs this thread, if anything does.
#[inline]
pub(crate) fn get() -> Option<Current> {
    CURRENT.with_borrow(|current| Option::clone(current))
}

/// What runs this thread.
///
/// # Panics
/// If nothing does; `what` names what asked.
#[inline]
#[track_caller]
pub(crate) fn expect(what: &str) -> Current {
    match get() {
        Some(current) => current,
        None => none(what),
    }
}

/// What runs this thread, for a future that was made at `location`.
///
/// # Panics
/// If nothing does.
#[inline]
pub(crate) fn expect_at(what: &str, location: &'static Location<'static>) -> Current {
    get().unwrap_or_else(|| none(&format!("{what} at {location}")))
}

/// What `what` needed is not there.
#[cold]
#[track_caller]
pub(crate) fn none(what: &str) -> ! {
    panic!(
        "{what} needs a runtime, and none runs this thread: call it from inside `whirligig::run`, \
         `block_on` or a spawned task"
    )
}

/// Asks for what [`spawn`] needs, so that it cannot fail after what comes before it.
///
/// # Panics
/// If nothing runs this thread.
#[inline]
#[track_caller]
pub(crate) fn can_spawn(what: &str) {
    if CURRENT.with_borrow(|current| current.is_none()) {
        none(what);
    }
}

/// The same for [`spawn_local`].
///
/// # Panics
/// If no event loop runs this thread.
#[inline]
#[track_caller]
pub(crate) fn can_spawn_local(what: &str) {
    if CURRENT.with_borrow(|current| !matches!(&**current, Some(Current::EventLoop(_)))) {
        no_event_loop(what);
    }
}

/// Spawns a task onto what runs this thread. `what` names what asked.
///
/// # Panics
/// If nothing runs this thread.
#[inline]
#[track_caller]
pub(crate) fn spawn<T: Send + 'static>(what: &str, new: NewTask<SpawnedSend, T>) -> JoinHandle<T> {
    match expect(what) {
        Current::EventLoop(core) => core.spawn(new.into_local()),
        Current::Worker(worker) => worker.spawn(new),
        Current::EnteredPool(pool) => pool.spawn(new),
        Current::Outside(outside) => send(outside.remote.address, new),
    }
}

/// Sends a task to the thread of its loop.
pub(crate) fn send<T: Send + 'static>(
    address: Address,
    new: NewTask<SpawnedSend, T>,
) -> JoinHandle<T> {
    let (task, origin, handle) = new.identify(TaskId::draw(), &local::REACH);
    let spawn = move || {
        if let Some(core) = event_loop() {
            core.spawn_sent(origin, task);
        }
    };
    // Refused, the closure is dropped here, and with it the task.
    drop(address.call(Box::new(spawn), Urgency::Now));
    handle
}

/// Spawns a task that must not leave this thread.
///
/// # Panics
/// If no event loop runs this thread.
#[inline]
#[track_caller]
pub(crate) fn spawn_local<T>(what: &str, new: NewTask<Spawned, T>) -> JoinHandle<T> {
    local_event_loop(what).spawn(new)
}

/// The event loop that runs this thread, for what must not leave it.
///
/// # Panics
/// If no event loop runs this thread.
#[inline]
#[track_caller]
pub(crate) fn local_event_loop(what: &str) -> Rc<Core> {
    match get() {
        Some(Current::EventLoop(core)) => core,
        _ => no_event_loop(what),
    }
}

/// Something must not leave its thread, and no event loop runs this one.
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

/// The blocking pool of what runs this thread.
#[track_caller]
pub(crate) fn blocking(what: &str) -> Blocking {
    Blocking::of(expect(what).scheduler())
}

/// A blocking pool, and what its calls enter.
pub(crate) struct Blocking {
    pub(crate) pool: Arc<blocking::BlockingPool>,
    /// The test clock that its jobs hold up.
    pub(crate) clock: Option<TestClock>,
    pub(crate) scheduler: Scheduler,
}

impl Blocking {
    pub(crate) fn of(scheduler: Scheduler) -> Self {
        let (pool, clock) = match &scheduler {
            Scheduler::EventLoop(remote) => match &remote.clock {
                Clock::Test(clock) => (remote.blocking.clone(), Some(clock.clone())),
                Clock::Real => (remote.blocking.clone(), None),
            },
            Scheduler::Pool(pool) => (pool.blocking().clone(), None),
        };
        Self { pool, clock, scheduler }
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

/// The identity of what runs this thread; 0 if nothing does. All workers of a runtime have one.
#[inline]
pub(crate) fn loop_id() -> u64 {
    LOOP_ID.get()
}

/// The present moment, by the clock of this thread's loop, or the real one.
pub(crate) fn now() -> u64 {
    CURRENT.with_borrow(|current| match &**current {
        Some(Current::EventLoop(core)) => core.clock().now(),
        Some(Current::Outside(outside)) => outside.remote.clock.now(),
        Some(Current::Worker(_) | Current::EnteredPool(_)) | None => clock::real_now(),
    })
}

impl Current {
    fn id(&self) -> u64 {
        match self {
            Self::EventLoop(core) => core.id,
            Self::Worker(worker) => worker.pool.id,
            Self::EnteredPool(pool) => pool.id,
            Self::Outside(Outside { own: Some(core), .. }) => core.id,
            Self::Outside(Outside { remote, own: None }) => remote.address.loop_id,
        }
    }

    /// What a handle to it holds.
    pub(crate) fn scheduler(self) -> Scheduler {
        match self {
            Self::EventLoop(core) => Scheduler::EventLoop(core.remote.clone()),
            Self::Worker(worker) => Scheduler::Pool(worker.pool.clone()),
            Self::EnteredPool(pool) => Scheduler::Pool(pool),
            Self::Outside(outside) => Scheduler::EventLoop(outside.remote),
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
            Self::EnteredPool(pool) => registration.attach(pool.reactor(), fd, woken),
            Self::Outside(Outside { own: None, .. }) => Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "this thread has entered an event loop that another thread turns: wait for sockets \
                 inside `Handle::block_on`, or in a task spawned there",
            )),
        }
    }
}

/// Where the task comes from that this thread polls or drops, if it does either.
pub(crate) fn origin_of_this_task() -> Option<Origin> {
    let (id, key) = (this_poll::task()?, this_poll::key());
    let current = get();
    let found = match &current {
        Some(Current::EventLoop(core) | Current::Outside(Outside { own: Some(core), .. })) => {
            core.table.origin_by_key(key, id)
        }
        Some(Current::Worker(_) | Current::EnteredPool(_)) => pool::origin_by_key(key, id),
        Some(Current::Outside(_)) | None => None,
    };
    found.or_else(|| search_origin(key, id, current))
}

/// The task is dropped, inside the poll of another, or has entered another loop or runtime than its own.
#[cold]
fn search_origin(key: u64, id: TaskId, current: Option<Current>) -> Option<Origin> {
    let in_pool = match current {
        Some(Current::Worker(worker)) => worker.pool.origin(id),
        Some(Current::EnteredPool(pool)) => pool.origin(id),
        _ => None,
    };
    let loops = || LOOPS.with_borrow(|loops| loops.values().filter_map(Weak::upgrade).collect());
    let in_loop = |loops: Vec<Rc<Core>>| loops.iter().find_map(|core| core.table.origin(id));
    in_pool.or_else(|| in_loop(loops())).or_else(|| pool::origin_by_key(key, id))
}

/// Has a loop forget a token: at once on its own thread, else by a message that need not unpark it.
pub(crate) fn forget_source(address: Address, token: Token) {
    match event_loop() {
        Some(core) if core.id == address.loop_id => core.reactor.remove(token),
        _ => {
            let forget = Box::new(move || {
                if let Some(core) = event_loop() {
                    core.reactor.remove(token);
                }
            });
            // A loop that is gone has nothing to forget.
            drop(address.call(forget, Urgency::Whenever));
        }
    }
}
