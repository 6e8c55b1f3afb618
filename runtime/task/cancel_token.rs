//! `CancelToken`: a word from one to many that it is time to end.
//!
//! It cancels nothing by itself. What holds a token asks, or waits, or races its work against it; so cancellation
//! reaches also what is no task, and comes where it is looked for.
//!
//! Tokens form a tree. Each [`Node`] has its flag, the list of who waits, and its children behind one lock, and a
//! reference to its parent. `cancel` takes the node's waiters and children out and raises the flag in one step, and
//! does the same with the children. So a child that is made at the same moment is either in the list that was
//! taken, or finds the flag up.
//!
//! What must hold:
//! - A node is in its parent's list as long as something holds it: a token, or a child's child. The list refers
//!   to it weakly, and the last that holds it takes it out. So a parent that lives long keeps nothing of children that
//!   came and went.
//! - Neither the end of a long line of tokens nor its cancellation recurses.
//! - Wakers are user code: they are called and dropped with no lock held.
//!
//! Whether a token is cancelled is asked of its ancestors' flags too, for their `cancel` may still be on its way down.
//! So children are cancelled in the very moment in which their parent is.
//!
//! **Alternative:** to have an ended child's children adopted by its parent. Then a token costs no more than its own
//! memory, and three nodes must be locked in order. Or a flag and a list in the root alone, for all: then each
//! child must be found in that list when it is cancelled alone.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    iter, mem,
    panic::{Location, RefUnwindSafe, UnwindSafe},
    pin::Pin,
    sync::{Arc as StdArc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::calls::Pending;
use crate::{
    engine::{
        base::{
            location::WaitsFor,
            primitives::{AtomicBool, Mutex, Ordering, lock, seeded},
            this_poll,
        },
        current,
        waiting::{
            leaf::{Offer, Stage, Step, Wakes, poll_wait, wait},
            wait_list::{WaitKey, WaitList, discard},
        },
    },
    time::instant::Instant,
};

/// Says to many that it is time to end: clone it, and give each a clone, or a child.
///
/// [`cancel`](Self::cancel) on any clone cancels the token for all, and its [children](Self::child_token); never its
/// parent. It stays cancelled. What was done before `cancel` is seen by what finds the token cancelled.
///
/// Cancelling means asking. Work that has a token looks at [`is_cancelled`](Self::is_cancelled) between its steps, waits
/// for [`cancelled`](Self::cancelled) in a `select!`, or is run by
/// [`run_until_cancelled`](Self::run_until_cancelled). To end a task whatever it does, and to know when it
/// has ended, there are [`JoinHandle::cancel`](super::JoinHandle::cancel) and scopes.
///
/// ```
/// use whirligig::{spawn, task::CancelToken, time::sleep};
/// use std::time::Duration;
///
/// whirligig::run(async {
///     let token = CancelToken::new();
///     let workers = (0..3).map(|n| {
///         let token = token.child_token();
///         spawn(async move {
///             let mut rounds = 0;
///             while !token.is_cancelled() {
///                 sleep(Duration::from_micros(100 * n)).await;
///                 rounds += 1;
///             }
///             rounds
///         })
///     });
///     let workers: Vec<_> = workers.collect();
///     token.cancel_after(Duration::from_millis(5));
///     for worker in workers {
///         assert!(worker.await.unwrap() > 0);
///     }
/// });
/// ```
#[derive(Clone)]
#[doc(alias = "CancellationToken")]
#[doc(alias = "CancelScope")]
pub struct CancelToken {
    node: StdArc<Node>,
}

/// See the top of this file.
struct Node {
    /// With this node's number in its list.
    parent: Option<(StdArc<Self>, u64)>,
    is_cancelled: AtomicBool,
    state: Mutex<State>,
}

struct State {
    children: BTreeMap<u64, Weak<Node>>,
    next_child: u64,
    waiters: WaitList,
    /// What is to cancel it at its deadline.
    deadline: Option<StdArc<Pending>>,
}

impl CancelToken {
    /// A token without a parent, not cancelled.
    ///
    /// ```
    /// assert!(!whirligig::task::CancelToken::new().is_cancelled());
    /// ```
    pub fn new() -> Self {
        Self { node: StdArc::new(Node::new(None, false)) }
    }

    /// A token that is cancelled with this one, and can be cancelled alone.
    ///
    /// It keeps this one's memory, and this one nothing of it once it is dropped.
    ///
    /// ```
    /// let parent = whirligig::task::CancelToken::new();
    /// let [alone, with_it] = [parent.child_token(), parent.child_token()];
    /// alone.cancel();
    /// assert!(alone.is_cancelled() && !parent.is_cancelled() && !with_it.is_cancelled());
    /// parent.cancel();
    /// assert!(with_it.is_cancelled());
    /// ```
    #[doc(alias = "child")]
    pub fn child_token(&self) -> Self {
        let mut state = lock(&self.node.state);
        if self.node.is_cancelled.load(Ordering::Relaxed) {
            drop(state);
            return Self { node: StdArc::new(Node::new(None, true)) };
        }
        let number = state.next_child;
        state.next_child += 1;
        let node = StdArc::new(Node::new(Some((self.node.clone(), number)), false));
        state.children.insert(number, StdArc::downgrade(&node));
        drop(state);
        Self { node }
    }

    /// Cancels it, and its children. `false`: it was cancelled before.
    ///
    /// ```
    /// let token = whirligig::task::CancelToken::new();
    /// assert!(token.cancel());
    /// assert!(!token.cancel());
    /// ```
    pub fn cancel(&self) -> bool {
        self.node.cancel()
    }

    /// Whether it is cancelled: itself, or one that it is a child of.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.node.is_cancelled()
    }

    /// Waits until the token is cancelled.
    ///
    /// *Cancel safety*: there is nothing to lose.
    ///
    /// # Panics
    /// The future panics if polled after it was ready.
    ///
    /// ```
    /// use whirligig::{spawn, task::CancelToken};
    ///
    /// whirligig::run(async {
    ///     let token = CancelToken::new();
    ///     let cancels = token.clone();
    ///     spawn(async move { cancels.cancel() });
    ///     token.cancelled().await;
    /// });
    /// ```
    #[track_caller]
    pub fn cancelled(&self) -> Cancelled<'_> {
        Cancelled { node: &self.node, stage: Stage::New, location: Location::caller() }
    }

    /// [`cancelled`](Self::cancelled), as a future that keeps the token.
    ///
    /// ```
    /// use whirligig::{spawn, task::CancelToken};
    ///
    /// whirligig::run(async {
    ///     let token = CancelToken::new();
    ///     let watch = spawn(token.clone().cancelled_owned());
    ///     token.cancel();
    ///     watch.await.unwrap();
    /// });
    /// ```
    #[track_caller]
    pub fn cancelled_owned(self) -> CancelledOwned {
        CancelledOwned { token: self, stage: Stage::New, location: Location::caller() }
    }

    /// Cancels it when `delay` is over, counted from now. See [`cancel_at`](Self::cancel_at).
    ///
    /// # Panics
    /// If no runtime runs this thread.
    #[track_caller]
    #[doc(alias = "move_on_after")]
    pub fn cancel_after(&self, delay: Duration) {
        self.set_deadline("`CancelToken::cancel_after`", Instant::now() + delay);
    }

    /// Cancels it at `deadline`, or soon after. A token has one deadline: this replaces one that was set before.
    /// [`Instant::NEVER`] takes it back.
    ///
    /// It is a timer of the loop or runtime that runs this thread, and does not keep that or the token alive.
    ///
    /// # Panics
    /// If no runtime runs this thread.
    ///
    /// ```
    /// use std::time::Duration;
    /// use whirligig::{task::CancelToken, time::Instant};
    ///
    /// whirligig::run(async {
    ///     let token = CancelToken::new();
    ///     token.cancel_at(Instant::now() + Duration::from_millis(1));
    ///     token.cancelled().await;
    /// });
    /// ```
    #[track_caller]
    #[doc(alias = "move_on_at")]
    #[doc(alias = "deadline")]
    pub fn cancel_at(&self, deadline: Instant) {
        self.set_deadline("`CancelToken::cancel_at`", deadline);
    }

    #[track_caller]
    fn set_deadline(&self, what: &str, deadline: Instant) {
        let current = current::expect(what);
        let timer = Pending::new();
        let mut state = lock(&self.node.state);
        if self.node.is_cancelled.load(Ordering::Relaxed) {
            return;
        }
        let next = (deadline != Instant::NEVER).then(|| timer.clone());
        let before = mem::replace(&mut state.deadline, next);
        drop(state);
        if let Some(before) = before {
            before.cancel();
        }
        if deadline == Instant::NEVER {
            return;
        }
        let (node, begins) = (StdArc::downgrade(&self.node), timer.clone());
        timer.arm(current, deadline, move || {
            if begins.begin()
                && let Some(node) = node.upgrade()
            {
                node.cancel();
            }
        });
    }

    /// A guard that cancels the token when it is dropped.
    ///
    /// ```
    /// let token = whirligig::task::CancelToken::new();
    /// {
    ///     let _guard = token.clone().drop_guard();
    /// }
    /// assert!(token.is_cancelled());
    /// ```
    pub fn drop_guard(self) -> DropGuard {
        DropGuard { token: Some(self) }
    }

    /// Runs `future` until it is ready, or the token is cancelled: then it is dropped where it waits, and the answer is
    /// `None`.
    ///
    /// If both are there at once, the future's output wins.
    ///
    /// *Cancel safety*: that of `future`.
    ///
    /// ```
    /// use std::{future::pending, time::Duration};
    /// use whirligig::task::CancelToken;
    ///
    /// whirligig::run(async {
    ///     let token = CancelToken::new();
    ///     assert_eq!(token.run_until_cancelled(async { 7 }).await, Some(7));
    ///     token.cancel_after(Duration::from_millis(1));
    ///     assert_eq!(token.run_until_cancelled(pending::<()>()).await, None);
    /// });
    /// ```
    #[track_caller]
    pub fn run_until_cancelled<F: Future>(&self, future: F) -> RunUntilCancelled<'_, F> {
        RunUntilCancelled { future, cancelled: self.cancelled() }
    }
}

impl Default for CancelToken {
    fn default() -> Self {
        Self::new()
    }
}

// Each step is whole behind a lock, and user code is called with none held: a panic finds nothing half-done.
impl UnwindSafe for CancelToken {}
impl RefUnwindSafe for CancelToken {}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.node.state);
        let (waiters, children) = (state.waiters.len(), state.children.len());
        drop(state);
        f.debug_struct("CancelToken")
            .field("is_cancelled", &self.is_cancelled())
            .field("waiters", &waiters)
            .field("children", &children)
            .finish()
    }
}

impl Node {
    fn new(parent: Option<(StdArc<Self>, u64)>, is_cancelled: bool) -> Self {
        let state = State {
            children: BTreeMap::new(),
            next_child: 0,
            waiters: WaitList::new(),
            deadline: None,
        };
        Self { parent, is_cancelled: AtomicBool::new(is_cancelled), state: Mutex::new(state) }
    }

    fn is_cancelled(&self) -> bool {
        let mut line = iter::successors(Some(self), |node| Some(&*node.parent.as_ref()?.0));
        line.any(|node| node.is_cancelled.load(Ordering::Acquire))
    }

    fn cancel(&self) -> bool {
        let mut below = Vec::new();
        let news = self.cancel_one(&mut below);
        while let Some(child) = below.pop() {
            if let Some(child) = child.upgrade() {
                child.cancel_one(&mut below);
            }
        }
        news
    }

    /// Cancels this node, and leaves its children to be cancelled. `false`: it was cancelled before.
    fn cancel_one(&self, below: &mut Vec<Weak<Self>>) -> bool {
        // ANCHOR: cancel
        let mut state = lock(&self.state);
        if self.is_cancelled.load(Ordering::Relaxed) {
            return false;
        }
        below.extend(mem::take(&mut state.children).into_values());
        if seeded("cancel_token_flags_unlocked") {
            drop(state);
            state = lock(&self.state);
        }
        self.is_cancelled.store(true, Ordering::Release);
        let deadline = state.deadline.take();
        let wakes = Wakes::all([&mut state.waiters]);
        drop(state);
        // END: cancel
        if let Some(deadline) = deadline {
            deadline.cancel();
        }
        wakes.wake();
        true
    }

    /// A step of a wait.
    fn step(&self, stage: &mut Stage, offer: &mut Offer<'_>) -> Step<()> {
        let mut state = lock(&self.state);
        let looks = !(matches!(stage, Stage::New) && seeded("cancel_token_no_second_look"));
        if !matches!(stage, Stage::Done) && looks && self.is_cancelled.load(Ordering::Relaxed) {
            *stage = Stage::Done;
            return Step::Ready((), Wakes::Nothing);
        }
        wait(&mut state.waiters, stage, offer)
    }

    fn poll_cancelled(
        &self,
        stage: &mut Stage,
        location: &'static Location<'static>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        ready!(this_poll::poll_budget(cx, location));
        if matches!(stage, Stage::New) && self.is_cancelled() {
            *stage = Stage::Done;
            this_poll::charge();
            return Poll::Ready(());
        }
        poll_wait(
            cx,
            location,
            || this_poll::note(WaitsFor::Signal, location),
            |offer| self.step(stage, offer),
        )
    }

    /// A wait ends that had joined the list.
    fn leave(&self, key: WaitKey) {
        let waiter = lock(&self.state).waiters.remove(key);
        discard(waiter);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let deadline = lock(&self.state).deadline.take();
        if let Some(deadline) = deadline {
            deadline.cancel();
        }
        // Up the line, as far as nothing else holds it. Each node is without its parent by then: it ends here at once.
        let mut next = self.parent.take();
        while let Some((parent, number)) = next {
            lock(&parent.state).children.remove(&number);
            next = StdArc::into_inner(parent).and_then(|mut parent| parent.parent.take());
        }
    }
}

/// The future of [`CancelToken::cancelled`].
#[must_use = "futures do nothing unless awaited"]
pub struct Cancelled<'a> {
    node: &'a Node,
    stage: Stage,
    location: &'static Location<'static>,
}

impl Future for Cancelled<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { node, stage, location } = self.get_mut();
        node.poll_cancelled(stage, location, cx)
    }
}

impl Drop for Cancelled<'_> {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.node.leave(key);
        }
    }
}

impl fmt::Debug for Cancelled<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancelled").field("location", self.location).finish_non_exhaustive()
    }
}

/// The future of [`CancelToken::cancelled_owned`].
#[must_use = "futures do nothing unless awaited"]
pub struct CancelledOwned {
    token: CancelToken,
    stage: Stage,
    location: &'static Location<'static>,
}

impl Future for CancelledOwned {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { token, stage, location } = self.get_mut();
        token.node.poll_cancelled(stage, location, cx)
    }
}

impl Drop for CancelledOwned {
    fn drop(&mut self) {
        if let Stage::Waiting(key) = self.stage {
            self.token.node.leave(key);
        }
    }
}

impl fmt::Debug for CancelledOwned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CancelledOwned").field("location", self.location).finish_non_exhaustive()
    }
}

// As for the token.
impl UnwindSafe for Cancelled<'_> {}
impl RefUnwindSafe for Cancelled<'_> {}
impl UnwindSafe for CancelledOwned {}
impl RefUnwindSafe for CancelledOwned {}

pin_project! {
    /// The future of [`CancelToken::run_until_cancelled`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless awaited"]
    pub struct RunUntilCancelled<'a, F> {
        #[pin]
        future: F,
        cancelled: Cancelled<'a>,
    }
}

impl<F: Future> Future for RunUntilCancelled<'_, F> {
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Some(output));
        }
        // The await point is the future's; the token is only a bound on it.
        let noted = this_poll::take_note();
        // A future that used up the budget must not keep the token from being seen.
        let cancelled = this_poll::lifted(|| Pin::new(this.cancelled).poll(cx));
        if let Some(noted) = noted {
            this_poll::note_again(noted);
        }
        cancelled.map(|()| None)
    }
}

/// Cancels its token when it is dropped. From [`CancelToken::drop_guard`].
#[derive(Debug)]
#[must_use = "dropped at once, it cancels the token at once"]
pub struct DropGuard {
    token: Option<CancelToken>,
}

impl DropGuard {
    /// Gives the token back, not cancelled.
    ///
    /// ```
    /// let guard = whirligig::task::CancelToken::new().drop_guard();
    /// assert!(!guard.disarm().is_cancelled());
    /// ```
    pub fn disarm(mut self) -> CancelToken {
        self.token.take().expect("the token is in it until it is dropped")
    }
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        if let Some(token) = &self.token {
            token.cancel();
        }
    }
}
