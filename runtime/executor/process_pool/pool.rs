//! The pool as its users hold it.
//!
//! A pool has a thread of its own, on which an event loop watches the sockets and the ends of its processes. So it serves
//! plain code as well as tasks of any runtime. Calls are put in a line, which the loop's tasks, one for each process,
//! take them from (`worker.rs`).
//!
//! What must hold: a call begins once at most, unless its process died before the call was sent; each call has an
//! outcome, also if the pool is shut down; and no process outlives the pool.
//!
//! **Alternative:** to serve the sockets in tasks of the loop that submits. Then a pool belongs to one loop, and plain
//! code has none.

use std::{
    ffi::OsString,
    fmt, io,
    sync::{Arc, Mutex as StdMutex, PoisonError, mpsc},
    thread,
};

use serde::{Serialize, de::DeserializeOwned};

use super::{
    child,
    frame::Answer,
    function::{Function, decode, encode},
    line::{Job, Request, Shared, Waiting},
    worker,
};
use crate::{
    engine::base::{this_poll, user_code},
    event_loop::EventLoop,
    executor::{
        call::{CallError, CallHandle, Calls, assert_may_wait, hand_over, outcome_of},
        delayed::{CancelOnDrop, Compute, Nodes, compute_with},
        map::Map,
    },
    queue::Queue,
    sync::oneshot,
    task::spawn,
};

/// Processes that run calls, for plain code and for tasks.
///
/// They are this program, started anew: [`init`](super::init) is to be called first in `main`. They are started as calls
/// come, and serve one call after another. A process that dies in a call, by a crash or killed, costs that call alone,
/// which ends with [`CallError::Died`], and is replaced. A function that panics is an error, and its process goes on.
/// None of them outlives this process, however that ends. One that dies without a call is reaped at its worker's next
/// call, or with the pool. Ctrl-C on a terminal goes to them as to this process, and ends the calls that run.
///
/// Dropping the pool waits for all calls, as leaving Python's `with` does; but not where that would block tasks.
///
/// For work that only computes, threads do in Rust what processes do in Python: see [`cpu`](fn@super::super::cpu).
/// Of the feature `process-pool`.
///
/// ```no_run
/// use whirligig::executor::{self, Function, ProcessPool};
///
/// static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     executor::init(&[&SQUARE]);
///     let pool = ProcessPool::new(3)?;
///     assert_eq!(pool.submit(&SQUARE, 5).result()?, 25);
///     Ok(())
/// }
/// ```
#[doc(alias("ProcessPoolExecutor", "multiprocessing.Pool"))]
pub struct ProcessPool {
    shared: Arc<Shared>,
    max_workers: usize,
    /// The pool's thread, until it was waited for.
    thread: StdMutex<Option<thread::JoinHandle<()>>>,
}

/// Settings of a [`ProcessPool`].
#[derive(Debug)]
#[must_use = "a builder does nothing until it builds"]
pub struct ProcessPoolBuilder {
    max_workers: usize,
    max_calls: Option<u64>,
    child_args: Vec<OsString>,
}

impl Default for ProcessPoolBuilder {
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, |count| count.get());
        Self { max_workers: processors, max_calls: None, child_args: Vec::new() }
    }
}

impl ProcessPoolBuilder {
    /// How many processes there may be. The default is one for each processor.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        assert!(max_workers != 0, "a pool of 0 processes would run no call: give it 1 at least");
        self.max_workers = max_workers;
        self
    }

    /// After so many calls a process is replaced by a new one: for functions that leak.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    #[doc(alias = "maxtasksperchild")]
    pub fn max_tasks_per_child(mut self, calls: u64) -> Self {
        assert!(calls != 0, "a process that may serve no call serves none: give it 1 at least");
        self.max_calls = Some(calls);
        self
    }

    /// What the processes are started with as arguments; nothing otherwise. In a test binary, the name of the test that
    /// calls [`init`](super::init) and nothing else:
    ///
    /// ```no_run
    /// use whirligig::executor::{self, Function, ProcessPool};
    ///
    /// static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
    ///
    /// #[test]
    /// fn process() {
    ///     executor::init(&[&SQUARE]);
    /// }
    ///
    /// #[test]
    /// fn it_squares() {
    ///     process();
    ///     let pool = ProcessPool::builder().child_args(["process", "--exact"]).build().unwrap();
    ///     assert_eq!(pool.submit(&SQUARE, 5).result(), Ok(25));
    /// }
    /// ```
    pub fn child_args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.child_args = args.into_iter().map(Into::into).collect();
        self
    }

    /// The pool. Its processes start as calls come.
    ///
    /// # Errors
    /// If [`init`](super::init) was not called; and if the system gives no thread or no descriptors for it.
    pub fn build(self) -> io::Result<ProcessPool> {
        if !child::is_initialized() {
            return Err(io::Error::other(
                "a process pool starts this program again, and would do so without an end: call \
                 `executor::init` first in `main`, before a pool is made",
            ));
        }
        let Self { max_workers, max_calls, child_args } = self;
        let shared = Arc::new(Shared { line: Queue::unbounded(), child_args, max_calls });
        let (tell, told) = mpsc::sync_channel(1);
        let thread = thread::Builder::new().name("whirligig-processes".to_owned()).spawn({
            let shared = shared.clone();
            move || match EventLoop::new() {
                Ok(event_loop) => {
                    let _ = tell.send(Ok(()));
                    event_loop.block_on(serve(shared, max_workers));
                }
                Err(error) => drop(tell.send(Err(error))),
            }
        })?;
        told.recv().map_err(io::Error::other)??;
        Ok(ProcessPool { shared, max_workers, thread: StdMutex::new(Some(thread)) })
    }
}

/// Runs the workers until the line is closed and all calls have ended.
async fn serve(shared: Arc<Shared>, workers: usize) {
    let workers: Vec<_> = (0..workers).map(|_| spawn(worker::work(shared.clone()))).collect();
    for worker in workers {
        if let Err(error) = worker.await {
            user_code::say(format_args!("a pool of processes: {error}"));
        }
    }
}

impl ProcessPool {
    /// A pool of at most so many processes.
    ///
    /// # Errors
    /// As for [`ProcessPoolBuilder::build`].
    ///
    /// # Panics
    /// If that is 0.
    #[track_caller]
    pub fn new(max_workers: usize) -> io::Result<Self> {
        Self::builder().max_workers(max_workers).build()
    }

    /// A pool with settings.
    pub fn builder() -> ProcessPoolBuilder {
        ProcessPoolBuilder::default()
    }

    /// Submits a call of a function that was given to [`init`](super::init). It begins when a process is free, after
    /// those that were submitted before.
    ///
    /// After a shutdown it does not, and the handle says [`CallError::ShutDown`].
    #[doc(alias = "apply_async")]
    pub fn submit<A, R>(&self, function: &Function<A, R>, arguments: A) -> CallHandle<R>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
    {
        self.shared.submit(function.name(), [arguments], |mut answers| {
            answers.pop().expect("one answer for one call")
        })
    }

    /// Submits a call, and waits for its outcome.
    ///
    /// # Errors
    /// As for [`CallHandle::result`].
    ///
    /// # Panics
    /// As [`CallHandle::result`] does.
    #[track_caller]
    pub fn apply<A, R>(&self, function: &Function<A, R>, arguments: A) -> Result<R, CallError>
    where
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
    {
        self.submit(function, arguments).result()
    }

    /// Calls the function for each value, and gives the outcomes in the order of the values: as an iterator, or, for
    /// tasks, as a [`stream`](Map::stream). Values are taken as outcomes are, as in
    /// [`ThreadPool::map`](super::super::ThreadPool::map).
    pub fn map<I, A, R>(&self, function: &Function<A, R>, values: I) -> Map<R>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item = A>,
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
    {
        let (shared, name) = (self.shared.clone(), function.name());
        let calls = values.into_iter().map(move |value| {
            shared.submit(name, [value], |mut answers| {
                answers.pop().expect("one answer for one call")
            })
        });
        Map::new(calls, self.max_workers)
    }

    /// The same with `chunk` values in one request: for calls that are over sooner than the way there and back takes.
    /// A process that dies costs its whole chunk.
    ///
    /// # Panics
    /// If `chunk` is 0.
    #[track_caller]
    #[doc(alias = "chunksize")]
    pub fn map_chunks<I, A, R>(
        &self,
        function: &Function<A, R>,
        values: I,
        chunk: usize,
    ) -> MapChunks<R>
    where
        I: IntoIterator<IntoIter: Send + 'static, Item = A>,
        A: Serialize,
        R: DeserializeOwned + Send + 'static,
    {
        assert!(chunk != 0, "a chunk of no values would never come to an end");
        let (shared, name, mut values) = (self.shared.clone(), function.name(), values.into_iter());
        let calls = std::iter::from_fn(move || {
            let arguments: Vec<A> = values.by_ref().take(chunk).collect();
            (!arguments.is_empty()).then(|| shared.submit(name, arguments, Ok))
        });
        MapChunks { chunks: Map::new(calls, self.max_workers), outcomes: Vec::new().into_iter() }
    }

    /// Computes one or more nodes of a graph, and what they are made of: each call as soon as its inputs are there. The
    /// nodes are made by [`Function::delayed`]; one that is a closure is an error.
    ///
    /// ```no_run
    /// use whirligig::executor::{self, Delayed, Function, ProcessPool};
    ///
    /// static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
    /// static SUM: Function<Vec<u64>, u64> = Function::new("sum", |all| all.iter().sum());
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     executor::init(&[&SQUARE, &SUM]);
    ///     let squares: Vec<_> = (0..6).map(|n| SQUARE.delayed(Delayed::value(n))).collect();
    ///     let pool = ProcessPool::new(2)?;
    ///     assert_eq!(pool.compute(&SUM.delayed(squares)).result()?, 55);
    ///     Ok(())
    /// }
    /// ```
    #[doc(alias = "dask.compute")]
    pub fn compute<N: Nodes>(&self, nodes: &N) -> Compute<N::Outputs> {
        let shared = self.shared.clone();
        compute_with(nodes, move |name, arguments| {
            CancelOnDrop(shared.submit_encoded(name, vec![arguments], |mut outputs| {
                outputs.pop().expect("one answer for one call")
            }))
        })
    }

    /// How many processes there may be.
    pub fn max_workers(&self) -> usize {
        self.max_workers
    }

    /// Takes no more calls. With `cancel_futures` those that have not begun are cancelled. With `wait` this thread is
    /// blocked until all others, and the processes, have ended. May be called again.
    ///
    /// In a task, wait for it beside the loop: `task::spawn_blocking(move || pool.shutdown(true, false)).await`.
    ///
    /// # Panics
    /// With `wait`: inside a task, or in anything else that an event loop or a worker calls.
    #[track_caller]
    pub fn shutdown(&self, wait: bool, cancel_futures: bool) {
        if wait {
            assert_may_wait("ProcessPool");
        }
        self.shared.line.close();
        while cancel_futures && let Ok(waiting) = self.shared.line.try_get() {
            waiting.cancel(0);
        }
        if wait {
            self.wait_ended();
        }
    }

    fn wait_ended(&self) {
        // Locked over the wait: whoever else waits comes back no sooner.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        // A panic of the thread was reported.
        let _ = thread.take().map(thread::JoinHandle::join);
    }
}

/// What came of the calls of one request.
type Outcomes<R> = Vec<Result<R, CallError>>;

impl Shared {
    /// Puts a request into the line. `output` makes one of the outcomes of its calls.
    fn submit<A, R, O>(
        &self,
        name: &'static str,
        arguments: impl IntoIterator<Item = A>,
        output: fn(Outcomes<R>) -> Result<O, CallError>,
    ) -> CallHandle<O>
    where
        A: Serialize,
        R: DeserializeOwned + 'static,
        O: Send + 'static,
    {
        match arguments.into_iter().map(|value| encode(&value)).collect() {
            Ok(arguments) => self.submit_encoded(name, arguments, move |answers| {
                output(answers.into_iter().map(|answer| decode(&answer?)).collect())
            }),
            Err(error) => CallHandle::refused(Arc::new(Waiting::new(None)), error),
        }
    }

    /// The same, with the arguments and outputs of the calls in bytes.
    fn submit_encoded<O: Send + 'static>(
        &self,
        name: &'static str,
        arguments: Vec<Vec<u8>>,
        output: impl FnOnce(Outcomes<Vec<u8>>) -> Result<O, CallError> + Send + 'static,
    ) -> CallHandle<O> {
        let (tell, outcome) = oneshot::channel();
        let finish = Box::new(move |answers: Result<Vec<Answer>, CallError>| {
            let outcomes = answers.map(|answers| {
                answers.into_iter().map(|answer| answer.map_err(CallError::from)).collect()
            });
            // It decodes, and that is user code.
            hand_over(tell, outcomes.and_then(|it| outcome_of(|| output(it)).flatten()));
        });
        let waiting = Arc::new(Waiting::new(Job::new(Request { name, arguments }, finish)));
        match self.line.try_put(waiting.clone()) {
            Ok(()) => CallHandle::new(outcome, waiting, 1),
            Err(_closed) => CallHandle::refused(waiting, CallError::ShutDown),
        }
    }
}

impl Drop for ProcessPool {
    fn drop(&mut self) {
        self.shared.line.close();
        if this_poll::may_block() {
            self.wait_ended();
        }
    }
}

impl fmt::Debug for ProcessPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPool")
            .field("max_workers", &self.max_workers)
            .field("waiting", &self.shared.line.len())
            .finish_non_exhaustive()
    }
}

/// The outcomes of [`ProcessPool::map_chunks`], in the order of the values.
#[derive(Debug)]
#[must_use = "calls are submitted as their outcomes are taken"]
pub struct MapChunks<R> {
    chunks: Map<Vec<Result<R, CallError>>>,
    outcomes: std::vec::IntoIter<Result<R, CallError>>,
}

impl<R> Iterator for MapChunks<R> {
    type Item = Result<R, CallError>;

    /// Blocks this thread until the next outcome is there. See [`CallHandle::result`]. A chunk that has none, as its
    /// process died, is one error.
    #[track_caller]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(outcome) = self.outcomes.next() {
                return Some(outcome);
            }
            match self.chunks.next()? {
                Ok(outcomes) => self.outcomes = outcomes.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
