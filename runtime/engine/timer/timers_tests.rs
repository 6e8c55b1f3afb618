//! Timers of both variants: that entries wake or call, in one order, and what a closed loop does with
//! them.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{Arc, Mutex},
    task::Wake,
};

use super::*;

/// Writes its number down when it is woken.
struct Writes(u32, Arc<Mutex<Vec<u32>>>);

impl Wake for Writes {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

/// Panics when it is dropped.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[test]
fn wakers_and_calls_fire_in_one_order() {
    let timers = SharedTimers::new(1);
    let written = Arc::<Mutex<Vec<u32>>>::default();
    let wakes = |number| Waker::from(Arc::new(Writes(number, written.clone())));
    let calls = |number: u32| -> Action<Box<dyn FnOnce() + Send>> {
        let written = written.clone();
        Action::Call(Box::new(Box::new(move || written.lock().unwrap().push(number))))
    };
    assert!(timers.insert(30, wakes(4)).is_ok());
    assert!(timers.insert(20, calls(2)).is_ok());
    assert!(timers.insert(20, wakes(3)).is_ok());
    assert!(timers.insert(10, wakes(1)).is_ok());
    assert!(timers.insert(30, calls(5)).is_ok());
    let (cancelled, _) = timers.insert(30, calls(6)).ok().unwrap();
    drop(timers.cancel(cancelled));
    assert_eq!((timers.fire(9), timers.fire(20), timers.earliest()), (0, 3, 30));
    assert_eq!(timers.fire(u64::MAX - 1), 2);
    assert_eq!(*written.lock().unwrap(), [1, 2, 3, 4, 5]);
}

#[test]
fn what_an_event_loops_timer_calls_need_not_be_send_and_may_use_the_timers() {
    let timers = Rc::new(LocalTimers::new(1));
    let called = Rc::new(RefCell::new(0));
    let (inner, counted) = (timers.clone(), called.clone());
    let call: Box<dyn FnOnce()> = Box::new(move || {
        *counted.borrow_mut() += 1;
        assert!(inner.insert(20, Waker::noop().clone()).is_ok());
    });
    assert!(timers.insert(10, Action::Call(Box::new(call))).is_ok());
    assert_eq!((timers.fire(10), *called.borrow(), timers.earliest()), (1, 1, 20));
}

#[test]
fn a_call_that_panics_harms_no_other() {
    let timers = LocalTimers::new(1);
    let called = Rc::new(RefCell::new(0));
    let counted = called.clone();
    let panics: Box<dyn FnOnce()> = Box::new(|| panic!("called"));
    let counts: Box<dyn FnOnce()> = Box::new(move || *counted.borrow_mut() += 1);
    assert!(timers.insert(1, Action::Call(Box::new(panics))).is_ok());
    assert!(timers.insert(2, Action::Call(Box::new(counts))).is_ok());
    assert_eq!((timers.fire(2), *called.borrow()), (2, 1));
}

#[test]
fn a_closed_loop_wakes_who_waits_and_drops_calls_each_on_its_own() {
    let timers = LocalTimers::new(1);
    let written = Arc::<Mutex<Vec<u32>>>::default();
    for number in 0..2 {
        let bomb = PanicsWhenDropped;
        let call: Box<dyn FnOnce()> = Box::new(move || drop(bomb));
        assert!(timers.insert(1, Action::Call(Box::new(call))).is_ok());
        let waker = Waker::from(Arc::new(Writes(number, written.clone())));
        assert!(timers.insert(1, waker).is_ok());
    }
    assert_eq!((timers.close(), timers.len(), timers.earliest()), (4, 0, NEVER));
    let mut woken = written.lock().unwrap().clone();
    woken.sort_unstable();
    assert_eq!(woken, [0, 1]);
    assert!(timers.insert(1, Waker::noop().clone()).is_err());
    assert_eq!(timers.fire(1), 0);
}

#[test]
fn what_is_asked_in_each_turn_is_never_later_than_the_wheel() {
    let timers = LocalTimers::new(1);
    let waker = || Waker::noop().clone();
    assert!(timers.is_empty() && timers.next_deadline() == NEVER && timers.wake_up_at() == NEVER);
    let (never, is_first) = timers.insert(NEVER, waker()).ok().unwrap();
    assert!(!is_first && timers.is_empty() && timers.len() == 1);
    let (late, is_first) = timers.insert(50, waker()).ok().unwrap();
    assert!(is_first && timers.earliest() == 50);
    let (early, is_first) = timers.insert(40, waker()).ok().unwrap();
    assert!(is_first && timers.earliest() == 40);
    assert!(!timers.insert(40, waker()).ok().unwrap().1, "another is as early");
    assert!(timers.re_arm(late, 30) && timers.earliest() == 30);
    drop(timers.cancel(late));
    assert_eq!((timers.earliest(), timers.next_deadline(), timers.earliest()), (30, 40, 40));
    assert_eq!(timers.fire(40), 2);
    assert!(timers.is_empty() && !timers.re_arm(early, 60));
    assert!(timers.insert(70, waker()).is_ok() && timers.re_arm(never, 60));
    assert_eq!((timers.fire(80), timers.len()), (2, 0));
    let (last, _) = timers.insert(90, waker()).ok().unwrap();
    drop(timers.cancel(last));
    assert!(timers.is_empty(), "the last timer leaves no deadline behind");
}

#[test]
#[cfg(target_pointer_width = "64")]
fn an_action_takes_two_words() {
    assert_eq!(size_of::<Action<Box<dyn FnOnce() + Send>>>(), 16);
}
