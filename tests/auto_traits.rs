//! What may cross threads, and what may cross a caught panic: a table of the public types.
//!
//! All of it is asserted by the compiler. `Send`, `Sync` and unwind safety are worked out from a type's fields, so
//! a field may take them away without anybody having meant it; here that does not compile.

use std::{
    cell::Cell,
    panic::{RefUnwindSafe, UnwindSafe},
    rc::Rc,
    sync::Arc,
};

use whirligig::{
    BlockingStats, Builder, Dump, Enter, EventLoop, Handle, LoopGone, Runtime, RuntimeBuilder,
    Stats, StillRunning, TaskDump, Turn, WaitsFor, WaitsOn, WorkerStats,
    io::{self, PipeReader, PipeWriter, Source, Stderr, Stdin, Stdout},
    net::{
        Accept, AddressError, AddressErrors, Bind, Connect, ConnectUdp, ConnectUnix, Datagram,
        LookupHost, OwnedReadHalf, OwnedWriteHalf, ReadHalf, ReuniteError, SendFile, TcpListener,
        TcpSocket, TcpStream, UdpSocket, Unix, UnixDatagram, UnixListener, UnixSeqpacket,
        UnixSeqpacketListener, UnixStream, WriteHalf,
    },
    process::{Child, ChildHandle, Command, CommandError, Wait},
    queue::{
        self, GetError, LifoQueue, Prioritized, PriorityQueue, PutError, Queue, QueueSink,
        QueueStream, TryGetError, TryPutError,
    },
    signal::{self, CancelOnCtrlC, CtrlC, Interrupted, Signal, SignalKind},
    sync::{
        self, Acquire, AcquireError, AcquireOwned, AcquireToken, Barrier, BarrierWait,
        BarrierWaitResult, BrokenBarrierError, Condition, ConditionWait, ConditionWaitFor,
        EventWait, Lock, LockOwned, MappedMutexGuard, Mutex, MutexGuard, OnceCell, OwnedMutexGuard,
        OwnedRwLockReadGuard, OwnedRwLockWriteGuard, OwnedSemaphorePermit, RateLimiter, Read,
        ReadOwned, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit, SetError,
        TryAcquireError, TryLockError, Write, WriteOwned, broadcast, mpsc, oneshot, watch,
    },
    task::{
        self, AsCompleted, CancelHandle, CancelOnDrop, CancelToken, Cancelled, CancelledOwned,
        ConsumeBudget, DropGuard, Gather, JoinError, JoinHandle, Locals, Race, RunUntilCancelled,
        ScheduledCall, Shield, SpawnBlocking, TaskId, TaskInfo, TaskLocal, TrySpawnError, WaitFor,
        Waited, WithLocals, YieldNow,
    },
    time::{Hold, Instant, Interval, MissedTicks, Sleep, TestClock, Tick, TimedOut, Timeout},
    trace::{Cause, Event, EventKind, Listening, Recorder},
};

fn send_and_sync<T: Send + Sync>() {}

fn send<T: Send>() {}

fn crosses_a_panic<T: UnwindSafe + RefUnwindSafe>() {}

/// Asserts all of `traits` of all these types.
macro_rules! all {
    ($traits:ident: $($type:ty),+ $(,)?) => { $($traits::<$type>();)+ };
}

/// Asserts that a type lacks a trait: if it had it, there would be two ways to read the call.
macro_rules! not {
    ($trait:ident: $($type:ty),+ $(,)?) => {
        $({
            trait Has<Which> {
                fn it() {}
            }
            impl<T: ?Sized> Has<()> for T {}
            impl<T: ?Sized + $trait> Has<u8> for T {}
            <$type as Has<_>>::it();
        })+
    };
}

#[test]
fn what_threads_may_share() {
    all![send_and_sync:
        Runtime, RuntimeBuilder, Handle, LoopGone, StillRunning, Dump, TaskDump, Turn,
        Stats, WorkerStats, BlockingStats, WaitsFor, WaitsOn,
        JoinHandle<u8>, JoinError, CancelHandle, SpawnBlocking<u8>, TrySpawnError, TaskId,
        YieldNow, ConsumeBudget,
        ScheduledCall, CancelOnDrop<u8>, CancelToken, Cancelled<'static>, CancelledOwned, DropGuard, Locals, TaskInfo,
        TaskLocal<Arc<u8>>, WithLocals<Sleep>, RunUntilCancelled<'static, Sleep>, Shield<u8>, Waited<u8, Sleep>, WaitFor,
        Gather<Sleep>, Race<Sleep>, AsCompleted<Sleep>,
        Queue<u8>, LifoQueue<u8>, PriorityQueue<u8>, Prioritized<u8, u8>, PutError<u8>, GetError, TryPutError<u8>, TryGetError,
        QueueStream<Arc<Queue<u8>>>, QueueSink<Arc<Queue<u8>>>,
        queue::Put<'static, u8>, queue::Get<'static, u8>, queue::Join<'static, u8>,
        sync::Event, EventWait<'static>, OnceCell<u8>, SetError<u8>, RateLimiter, AcquireToken<'static>,
        oneshot::Sender<u8>, oneshot::Receiver<u8>, oneshot::Closed<'static, u8>,
        Semaphore, SemaphorePermit<'static>, OwnedSemaphorePermit, Acquire<'static>, AcquireOwned,
        AcquireError, TryAcquireError, TryLockError,
        Barrier, BarrierWait<'static>, BarrierWaitResult, BrokenBarrierError, Condition,
        ConditionWait<'static, 'static, u8>, ConditionWaitFor<'static, 'static, u8, fn(&mut u8) -> bool>,
        // A value that may be sent is enough for a mutex, and for all that only leads to it.
        Mutex<Cell<u8>>, Lock<'static, Cell<u8>>, LockOwned<Cell<u8>>,
        MutexGuard<'static, u8>, OwnedMutexGuard<u8>, MappedMutexGuard<'static, u8>,
        RwLock<u8>, Read<'static, u8>, Write<'static, u8>, ReadOwned<u8>, WriteOwned<u8>,
        RwLockReadGuard<'static, u8>, RwLockWriteGuard<'static, u8>,
        OwnedRwLockReadGuard<u8>, OwnedRwLockWriteGuard<u8>,
        watch::Sender<u8>, watch::Receiver<u8>, watch::Ref<u8>, watch::Changed<'static, u8>, watch::Closed<'static, u8>,
        broadcast::Sender<u8>, broadcast::Receiver<u8>, broadcast::Recv<'static, u8>,
        mpsc::Sender<u8>, mpsc::Receiver<u8>, mpsc::Send<'static, u8>, mpsc::Recv<'static, u8>, mpsc::Permit<'static, u8>,
        Sleep, Timeout<Sleep>, TimedOut, Interval, Tick<'static>, Instant, MissedTicks, TestClock, Hold,
        Source<std::io::PipeReader>, TcpStream, TcpListener, TcpSocket, Accept<'static>,
        ReadHalf<'static>, WriteHalf<'static>, OwnedReadHalf, OwnedWriteHalf, ReuniteError, AddressError,
        AddressErrors, UdpSocket, Datagram, UnixStream, UnixListener, UnixDatagram, ConnectUnix,
        Accept<'static, Unix>, OwnedReadHalf<Unix>, SendFile<'static>, UnixSeqpacket, UnixSeqpacketListener,
        PipeReader, PipeWriter, Stdin, Stdout, Stderr, io::CopyBidirectional<'static, TcpStream, TcpStream>,
        Child, ChildHandle, Wait<'static>, Command, CommandError,
        Signal, SignalKind, signal::Recv<'static>, CtrlC, CancelOnCtrlC<Sleep>, Interrupted,
        Event, EventKind, Cause,
    ];
    // These are moved between threads, and not shared: a look-up is a future that need not be `Sync`; items are
    // the queue's own.
    all![send:
        Connect, Bind<TcpListener>, LookupHost, ConnectUdp<'static>, queue::local::Queue<u8>,
        queue::local::LifoQueue<u8>, queue::local::PriorityQueue<u8>,
        MutexGuard<'static, Cell<u8>>, OwnedMutexGuard<Cell<u8>>, MappedMutexGuard<'static, Cell<u8>>,
    ];
}

#[test]
fn what_stays_on_its_thread() {
    not![Send: oneshot::Sender<Rc<u8>>, oneshot::Receiver<Rc<u8>>, OnceCell<Rc<u8>>];
    not![Send: EventLoop, Enter, Queue<Rc<u8>>, JoinHandle<Rc<u8>>, Listening, Recorder];
    not![Send:
        Mutex<Rc<u8>>, MutexGuard<'static, Rc<u8>>, MappedMutexGuard<'static, Rc<u8>>, RwLock<Rc<u8>>,
        RwLockReadGuard<'static, Cell<u8>>, OwnedRwLockReadGuard<Cell<u8>>,
    ];
    not![Sync:
        Mutex<Rc<u8>>, MutexGuard<'static, Cell<u8>>, OwnedMutexGuard<Cell<u8>>,
        MappedMutexGuard<'static, Cell<u8>>, RwLock<Cell<u8>>, RwLockReadGuard<'static, Cell<u8>>,
    ];
    not![Sync: EventLoop, Enter, Queue<Rc<u8>>, JoinHandle<Rc<u8>>, queue::local::Queue<u8>];
}

#[test]
fn what_may_cross_a_caught_panic() {
    all![crosses_a_panic:
        EventLoop, Builder, Runtime, Handle, Enter, LoopGone, StillRunning, Dump, TaskDump,
        Turn, Stats, WorkerStats, BlockingStats, WaitsFor, WaitsOn,
        JoinHandle<Rc<u8>>, JoinError, CancelHandle, SpawnBlocking<u8>, TrySpawnError, TaskId,
        YieldNow, ConsumeBudget, task::Builder,
        ScheduledCall, CancelOnDrop<Rc<u8>>, CancelToken, Cancelled<'static>, CancelledOwned, DropGuard, Locals, TaskInfo,
        TaskLocal<Cell<u8>>, Shield<Rc<u8>>, Waited<u8, Sleep>, WaitFor, Gather<Sleep>, Race<Sleep>, AsCompleted<Sleep>,
        Queue<u8>, queue::local::Queue<u8>, LifoQueue<u8>, PriorityQueue<u8>, Prioritized<u8, u8>, PutError<u8>, GetError, TryPutError<u8>, TryGetError,
        QueueStream<Arc<Queue<u8>>>, QueueSink<Arc<Queue<u8>>>,
        queue::Put<'static, u8>, queue::Get<'static, u8>, queue::Join<'static, u8>,
        sync::Event, EventWait<'static>, OnceCell<u8>, SetError<u8>, RateLimiter, AcquireToken<'static>,
        oneshot::Sender<Rc<u8>>, oneshot::Receiver<Rc<u8>>,
        Semaphore, SemaphorePermit<'static>, OwnedSemaphorePermit, Acquire<'static>, AcquireOwned,
        AcquireError, TryAcquireError, TryLockError,
        Barrier, BarrierWait<'static>, BarrierWaitResult, BrokenBarrierError, Condition,
        watch::Sender<u8>, watch::Receiver<u8>, watch::Ref<u8>, broadcast::Sender<u8>, broadcast::Receiver<u8>,
        mpsc::Sender<Rc<u8>>, mpsc::Receiver<Rc<u8>>,
        Sleep, Timeout<Sleep>, TimedOut, Interval, Instant, MissedTicks, TestClock, Hold,
        Source<std::io::PipeReader>, TcpStream, TcpListener, TcpSocket, Accept<'static>,
        ReadHalf<'static>, WriteHalf<'static>, OwnedReadHalf, OwnedWriteHalf, ReuniteError,
        UdpSocket, Datagram, UnixStream, UnixListener, UnixDatagram, UnixSeqpacket, UnixSeqpacketListener, OwnedWriteHalf<Unix>,
        PipeReader, PipeWriter, Stdin, Stdout, Stderr,
        Child, ChildHandle, Wait<'static>, Signal, SignalKind, CancelOnCtrlC<Sleep>, Interrupted,
        Event, EventKind, Cause, Listening, Recorder,
    ];
    // Not a `Mutex` nor an `RwLock`: std's are poisoned by a panic, and ours leave the value as it was left.
    // Not `Connect` and `Bind`, which cannot go on after a panic within, nor what holds an `io::Error`, as std's
    // own does not, nor the builder that holds a user's hooks.
}

#[test]
fn what_groups_and_scopes_are() {
    use std::future::Ready;

    use task::{
        BorrowingScope, BorrowingScopeFuture, Child, ErrorGroup, Failure, LocalChild, NextOutcome,
        Scope, ScopeFuture, SendChild, TaskGroup, WaitAll,
    };

    all![send_and_sync:
        TaskGroup<u8>, NextOutcome<'static, u8>, WaitAll<'static, u8>,
        Scope<u8>, Child<u8>, ErrorGroup<u8>, Failure<u8>, BorrowingScope<SendChild<'static, u8>>,
    ];
    all![send: ScopeFuture<Ready<()>, (), u8>, BorrowingScopeFuture<Ready<()>, SendChild<'static, u8>, (), u8>];
    not![Send:
        TaskGroup<Rc<u8>>, Scope<Rc<u8>>, Child<Rc<u8>>, ScopeFuture<Ready<()>, (), Rc<u8>>,
        BorrowingScope<LocalChild<'static, u8>>,
        BorrowingScopeFuture<Ready<()>, LocalChild<'static, u8>, (), u8>,
    ];
    all![crosses_a_panic:
        TaskGroup<Rc<u8>>, Scope<Rc<u8>>, Child<Rc<u8>>, ErrorGroup<u8>, Failure<u8>,
        BorrowingScope<LocalChild<'static, u8>>,
    ];
}
