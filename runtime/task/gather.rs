//! `gather` and `try_gather`: the outputs of many futures, in the order of the futures.
//!
//! **Alternative:** to spawn each future, as asyncio's `gather` does with a coroutine. Then a future that borrows
//! from its caller could not be gathered, and one more task would stand for each. Who wants tasks spawns them,
//! and gathers their handles.

use std::{
    fmt,
    future::Future,
    mem,
    ops::ControlFlow,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::many::Many;

/// Waits for all of these futures, at once, and gives their outputs in the order of the futures. `asyncio.gather`.
///
/// They may be plain futures, which are polled inside this task and may borrow, or the handles of spawned tasks. All
/// go on whatever the others give: for outputs that are `Result`s, `gather` is asyncio's
/// `gather(.., return_exceptions=True)`, and [`try_gather`] the one without. Only those are polled that were woken,
/// each with a waker of its own, so there may be thousands; two or three are better off with
/// [`join!`](crate::join), which has no list to keep.
///
/// *Cancel safety*: dropped, it drops the futures, and with them the outputs so far. A [`JoinHandle`](super::JoinHandle)
/// that is dropped lets its task go on: gather [`cancel_on_drop`](super::JoinHandle::cancel_on_drop) handles if
/// the tasks are to end with it.
///
/// # Panics
/// If the future panics that it polls; and if it is polled after it was ready.
///
/// ```
/// use whirligig::{spawn, task};
///
/// whirligig::run(async {
///     let names = ["one", "two", "three"];
///     let lengths = task::gather(names.iter().map(async |name| name.len())).await;
///     assert_eq!(lengths, [3, 3, 5]);
///
///     let squares = task::gather((1..=3).map(|n| spawn(async move { n * n }))).await;
///     assert_eq!(squares.into_iter().map(Result::unwrap).sum::<i32>(), 14);
/// });
/// ```
#[track_caller]
#[doc(alias = "join_all")]
pub fn gather<I>(futures: I) -> Gather<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    let many = Many::new(futures, Location::caller());
    let outputs = Outputs::new(many.left());
    Gather { many, outputs }
}

/// Waits for all of these futures, or for the first that fails: then drops the others and gives its error.
///
/// Of the futures that fail in one poll it is the one that was woken first. The others are gone when this is ready:
/// dropped, each where it waited. The handle of a spawned task is dropped too, and that *detaches* the task. To
/// have it cancelled instead, give its [`cancel_on_drop`](super::JoinHandle::cancel_on_drop) handle; and to wait
/// until it is gone as well, use a scope. For a handle the error is that of the task itself, a panic or a cancellation;
/// a `Result` that is the task's output is looked into as shown below.
///
/// *Cancel safety*: as for [`gather`].
///
/// # Errors
/// The first error of a future.
///
/// # Panics
/// As [`gather`].
///
/// ```
/// use std::{error::Error, future::pending};
/// use whirligig::{spawn, task};
///
/// async fn fetch(n: u32) -> Result<u32, Box<dyn Error + Send + Sync>> {
///     if n == 13 { Err("13 is not there".into()) } else { Ok(n) }
/// }
///
/// whirligig::run(async {
///     assert_eq!(task::try_gather((1..4).map(fetch)).await.unwrap(), [1, 2, 3]);
///
///     // Tasks whose outputs are results: what the task or its output failed with ends the wait.
///     let tasks = (12..15).map(|n| spawn(fetch(n)).cancel_on_drop());
///     let error = task::try_gather(tasks.map(async |task| task.await?)).await.unwrap_err();
///     assert_eq!(error.to_string(), "13 is not there");
/// });
/// ```
#[track_caller]
#[doc(alias = "try_join_all")]
#[doc(alias = "gather")]
pub fn try_gather<I, T, E>(futures: I) -> TryGather<I::Item, T>
where
    I: IntoIterator<Item: Future<Output = Result<T, E>>>,
{
    let many = Many::new(futures, Location::caller());
    let outputs = Outputs::new(many.left());
    TryGather { many, outputs }
}

/// What the futures gave so far.
struct Outputs<T> {
    outputs: Vec<Option<T>>,
    missing: usize,
}

impl<T> Outputs<T> {
    fn new(count: usize) -> Self {
        Self { outputs: (0..count).map(|_| None).collect(), missing: count }
    }

    /// `Break` with the last.
    fn put(&mut self, index: usize, output: T) -> ControlFlow<()> {
        self.outputs[index] = Some(output);
        self.missing -= 1;
        if self.missing == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// All of them. None is missing.
    fn take(&mut self) -> Vec<T> {
        let outputs = mem::take(&mut self.outputs);
        outputs.into_iter().map(|output| output.expect("none is missing")).collect()
    }
}

/// The future of [`gather`].
#[must_use = "futures do nothing unless awaited"]
pub struct Gather<F: Future> {
    many: Many<F>,
    outputs: Outputs<F::Output>,
}

// The futures are pinned in their list, and the outputs never.
impl<F: Future> Unpin for Gather<F> {}

impl<F: Future> Future for Gather<F> {
    type Output = Vec<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { many, outputs } = self.get_mut();
        if outputs.missing > 0 {
            ready!(many.poll(cx, |index, output| outputs.put(index, output)));
        }
        many.be_ready_once();
        Poll::Ready(outputs.take())
    }
}

impl<F: Future> fmt::Debug for Gather<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gather").field("futures", &self.many).finish()
    }
}

/// The future of [`try_gather`].
#[must_use = "futures do nothing unless awaited"]
pub struct TryGather<F, T> {
    many: Many<F>,
    outputs: Outputs<T>,
}

// As for `Gather`.
impl<F, T> Unpin for TryGather<F, T> {}

impl<F: Future<Output = Result<T, E>>, T, E> Future for TryGather<F, T> {
    type Output = Result<Vec<T>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { many, outputs } = self.get_mut();
        if outputs.missing > 0 {
            let first_error = ready!(many.poll(cx, |index, output| match output {
                Ok(output) => outputs.put(index, output).map_break(Ok),
                Err(error) => ControlFlow::Break(Err(error)),
            }));
            if let Err(error) = first_error {
                many.be_ready_once();
                many.drop_rest();
                return Poll::Ready(Err(error));
            }
        }
        many.be_ready_once();
        Poll::Ready(Ok(outputs.take()))
    }
}

impl<F, T> fmt::Debug for TryGather<F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TryGather").field("futures", &self.many).finish()
    }
}
