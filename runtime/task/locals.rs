//! Task-locals: values that go with a task, and not with a thread. Python's `contextvars`.
//!
//! A [`TaskLocal`] is a key. Its value is given to a future, and what that future does finds it, on whichever worker it
//! is polled; so the user of a request need not be passed down through every call. Which values a piece
//! of code sees is one immutable set (`engine/base/locals.rs`), [`Locals`]: taken as a whole, it can be given to a
//! task, a thread or a call.
//!
//! **Alternative:** to have each task inherit, as Python does. Then what is meant for one request is kept by every
//! long-lived task that it happens to start.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    panic::{RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::engine::base::{
    id::draw_object_id,
    locals::{Entered, Value, Values},
};

/// A value that goes with a task. Declared as a `static`; `contextvars.ContextVar`.
///
/// [`scope`](Self::scope) gives it a value for the time in which a future is polled or dropped; within, another scope
/// may give it another. A spawned task begins without values, unless it is asked to
/// [inherit](super::Builder::inherit) them. The future of a `block_on` has those of its caller; the tasks that the loop
/// runs meanwhile do not.
///
/// A value cannot be changed, but what it is made of can: a `TaskLocal<Mutex<..>>` is shared by all that inherit it.
///
/// ```
/// use whirligig::task::TaskLocal;
///
/// static USER: TaskLocal<String> = TaskLocal::new("user");
///
/// async fn greet() -> String {
///     USER.with(|user| format!("hello {user}")).unwrap_or_default()
/// }
///
/// whirligig::run(async {
///     assert_eq!(USER.scope("Ann".to_owned(), greet()).await, "hello Ann");
///     assert_eq!(USER.get(), None);
/// });
/// ```
#[doc(alias = "ContextVar")]
#[doc(alias = "task_local")]
pub struct TaskLocal<T> {
    name: &'static str,
    /// Drawn when it is first asked for. 0: not yet.
    key: AtomicU64,
    of: PhantomData<fn() -> T>,
}

impl<T: Send + Sync + 'static> TaskLocal<T> {
    /// A task-local. The name is for what it prints.
    pub const fn new(name: &'static str) -> Self {
        Self { name, key: AtomicU64::new(0), of: PhantomData }
    }

    /// The name it was given.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Runs `future` with this value.
    ///
    /// *Cancel safety*: that of `future`, which sees the value while it is dropped, too.
    ///
    /// ```
    /// use whirligig::task::TaskLocal;
    ///
    /// static DEPTH: TaskLocal<u32> = TaskLocal::new("depth");
    ///
    /// whirligig::run(DEPTH.scope(1, async {
    ///     DEPTH.scope(2, async { assert_eq!(DEPTH.get(), Some(2)) }).await;
    ///     assert_eq!(DEPTH.get(), Some(1));
    /// }));
    /// ```
    #[doc(alias = "set")]
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> WithLocals<F> {
        let added = Added { key: self.key(), value: Arc::new(value), to: Values::default() };
        WithLocals {
            future: Some(future),
            values: Values::default(),
            added: Some(added),
            is_new: true,
        }
    }

    /// Calls `f` with this value.
    ///
    /// ```
    /// use whirligig::task::TaskLocal;
    ///
    /// static USER: TaskLocal<&str> = TaskLocal::new("user");
    /// assert_eq!(USER.sync_scope("Ann", || USER.get()), Some("Ann"));
    /// ```
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let mut values = Values::current().with(self.key(), Arc::new(value));
        let _entered = values.enter();
        f()
    }

    /// The value; `None` outside its scopes.
    ///
    /// ```
    /// static USER: whirligig::task::TaskLocal<String> = whirligig::task::TaskLocal::new("user");
    /// assert_eq!(USER.get(), None);
    /// ```
    pub fn get(&'static self) -> Option<T>
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Calls `f` with the value; `None` outside its scopes.
    ///
    /// ```
    /// use whirligig::task::TaskLocal;
    ///
    /// static USER: TaskLocal<String> = TaskLocal::new("user");
    /// let length = USER.sync_scope("Ann".to_owned(), || USER.with(String::len));
    /// assert_eq!(length, Some(3));
    /// ```
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Option<R> {
        // A key that was never drawn has no value.
        let value = match self.key.load(Relaxed) {
            0 => return None,
            key => Values::find(key)?,
        };
        Some(f(value.downcast_ref().expect("a key is of one type")))
    }

    fn key(&self) -> u64 {
        match self.key.load(Relaxed) {
            0 => {
                let drawn = draw_object_id();
                // Another thread may be faster: then it is that one's.
                self.key
                    .compare_exchange(0, drawn, Relaxed, Relaxed)
                    .map_or_else(|key| key, |_| drawn)
            }
            key => key,
        }
    }
}

impl<T> fmt::Debug for TaskLocal<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskLocal").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The values of all task-locals that a piece of code sees, to be given to another. `contextvars.copy_context`.
///
/// Cheap to take and to clone: one count, however many values there are.
///
/// ```
/// use std::thread;
/// use whirligig::{spawn, task::{self, Locals, TaskLocal}};
///
/// static USER: TaskLocal<&str> = TaskLocal::new("user");
///
/// whirligig::run(USER.scope("Ann", async {
///     // To a task, a blocking call, a thread:
///     let task = spawn(Locals::current().scope(async { USER.get() }));
///     assert_eq!(task.await.unwrap(), Some("Ann"));
///     let locals = Locals::current();
///     let call = task::spawn_blocking(move || locals.run(|| USER.get()));
///     assert_eq!(call.await.unwrap(), Some("Ann"));
///     let locals = Locals::current();
///     assert_eq!(thread::spawn(move || locals.run(|| USER.get())).join().unwrap(), Some("Ann"));
///     // Not asked to, they inherit nothing.
///     assert_eq!(spawn(async { USER.get() }).await.unwrap(), None);
/// }));
/// ```
#[derive(Clone, Default)]
#[doc(alias = "copy_context")]
#[doc(alias = "Context")]
pub struct Locals {
    values: Values,
}

impl Locals {
    /// Those that the code that calls sees. Outside any scope there are none.
    #[doc(alias = "copy_context")]
    pub fn current() -> Self {
        Self { values: Values::current() }
    }

    /// Runs `future` with these values, and no others.
    ///
    /// *Cancel safety*: that of `future`, which sees them while it is dropped, too.
    pub fn scope<F: Future>(self, future: F) -> WithLocals<F> {
        WithLocals { future: Some(future), values: self.values, added: None, is_new: false }
    }

    /// Calls `f` with these values, and no others.
    #[doc(alias = "run_in_context")]
    pub fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        let mut values = self.values.clone();
        let _entered = values.enter();
        f()
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locals").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

// Sets of values are never changed, and the thread's word is put back while a panic unwinds.
impl UnwindSafe for Locals {}
impl RefUnwindSafe for Locals {}

/// What one scope adds to the values around it.
struct Added {
    key: u64,
    value: Value,
    /// Those it was added to last.
    to: Values,
}

pin_project! {
    /// The future of [`TaskLocal::scope`] and [`Locals::scope`].
    #[must_use = "futures do nothing unless awaited"]
    pub struct WithLocals<F> {
        // None only while it is dropped.
        #[pin]
        future: Option<F>,
        // What the future sees.
        values: Values,
        // What it adds to those around it. None: it sees only its own.
        added: Option<Added>,
        // It was not added yet.
        is_new: bool,
    }

    impl<F> PinnedDrop for WithLocals<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _entered = enter(this.values, this.added, this.is_new);
            this.future.set(None);
        }
    }
}

/// Makes the values this thread's. Those that a scope adds to may be others than at the last poll.
#[inline]
fn enter<'a>(values: &'a mut Values, added: &mut Option<Added>, is_new: &mut bool) -> Entered<'a> {
    if let Some(Added { key, value, to }) = added
        && (*is_new || !to.is_current())
    {
        *is_new = false;
        *to = Values::current();
        *values = to.with(*key, value.clone());
    }
    values.enter()
}

impl<F: Future> Future for WithLocals<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _entered = enter(this.values, this.added, this.is_new);
        match this.future.as_pin_mut() {
            Some(future) => future.poll(cx),
            None => unreachable!("it is taken out only to be dropped"),
        }
    }
}

impl<F> fmt::Debug for WithLocals<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithLocals").field("values", &self.values.len()).finish_non_exhaustive()
    }
}
