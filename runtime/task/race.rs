//! `race`: the first of many futures, and the end of the others.
//!
//! **Alternative:** to begin with the first future each time, as `select!` of other crates does under the name of
//! *biased*. Of two that are always ready the second would never win.

use std::{
    cell::Cell,
    future::Future,
    ops::ControlFlow,
    panic::Location,
    pin::Pin,
    task::{Context, Poll, ready},
};

use super::many::Many;
use crate::engine::base::primitives::IN_MODEL;

/// Waits for the first of these futures that is ready, gives its output, and drops the others.
///
/// It is fair. The first poll asks them all, beginning with one drawn at random; so of several that are ready at
/// once each is as likely to win. Later the first to be woken is the first to be asked. The others are gone when
/// this is ready, each dropped where it waited. The handle of a spawned task is dropped too, and that
/// *detaches* the task: to have it cancelled, give its [`cancel_on_drop`](super::JoinHandle::cancel_on_drop) handle.
///
/// Futures of different types go through [`select!`](crate::select), or are boxed.
///
/// *Cancel safety*: dropped, it drops the futures. As for those that lose: race what loses nothing by being dropped.
///
/// # Panics
/// If there are no futures, for it would wait for ever; if the future panics that it polls; and if it is polled after
/// it was ready.
///
/// ```
/// use std::time::Duration;
/// use whirligig::{task, time::sleep};
///
/// whirligig::run(async {
///     let servers = [("near", 1), ("far", 10_000)];
///     let first = task::race(servers.map(async |(name, distance)| {
///         sleep(Duration::from_millis(distance)).await;
///         name
///     }));
///     assert_eq!(first.await, "near");
/// });
/// ```
#[track_caller]
#[doc(alias = "select_all")]
#[doc(alias = "FIRST_COMPLETED")]
pub fn race<I>(futures: I) -> Race<I::Item>
where
    I: IntoIterator<Item: Future>,
{
    let mut many = Many::new(futures, Location::caller());
    assert!(
        many.left() > 0,
        "a race of no futures would wait for ever: ask before whether there are any"
    );
    many.begin_at(draw(many.left()));
    Race { many }
}

/// The future of [`race`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Race<F> {
    many: Many<F>,
}

impl<F: Future> Future for Race<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let many = &mut self.many;
        let first = ready!(many.poll(cx, |_, output| ControlFlow::Break(output)));
        many.be_ready_once();
        many.drop_rest();
        Poll::Ready(first)
    }
}

/// A number below `count`, about evenly spread. (The generator is splitmix64.)
fn draw(count: usize) -> usize {
    if IN_MODEL {
        // A model is to go the same way each time.
        return 0;
    }
    thread_local! {
        static STATE: Cell<u64> = const { Cell::new(0) };
    }
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ mixed >> 31) % count as u64) as usize
}
