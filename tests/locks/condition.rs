//! The condition with its mutex. The model has two lines, and moves a wait from one to the other.

use std::task::Poll;

use proptest::{prelude::*, sample::Index};
use whirligig::sync::{Condition, Mutex, MutexGuard};

use super::Live;

#[derive(Debug, Clone)]
enum Act {
    Lock,
    /// The one that holds the lock begins to wait.
    Wait,
    /// The one that holds it unlocks.
    Unlock,
    Poll(Index, bool),
    Cancel(Index),
    Notify(usize),
    NotifyAll,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        30 => Just(Act::Lock),
        60 => Just(Act::Wait),
        10 => Just(Act::Unlock),
        120 => (any::<Index>(), prop::bool::weighted(0.2)).prop_map(|(at, other)| Act::Poll(at, other)),
        15 => any::<Index>().prop_map(Act::Cancel),
        20 => (0..3usize).prop_map(Act::Notify),
        4 => Just(Act::NotifyAll),
    ];
    prop::collection::vec(act, 0..150)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    NewLock,
    /// Has the lock still.
    NewWait,
    InLine,
    Notified,
    /// In the mutex's line; `true`: after a notification.
    InLockLine(bool),
    Granted(bool),
}

#[derive(Default)]
struct Model {
    futures: Vec<(usize, At)>,
    line: Vec<usize>,
    lock_line: Vec<usize>,
    is_locked: bool,
}

impl Model {
    fn at(&mut self, id: usize) -> &mut At {
        &mut self.futures.iter_mut().find(|future| future.0 == id).unwrap().1
    }

    fn unlock(&mut self) {
        if self.lock_line.is_empty() {
            self.is_locked = false;
            return;
        }
        let first = self.lock_line.remove(0);
        let at = self.at(first);
        let At::InLockLine(notified) = *at else { panic!("{at:?}") };
        *at = At::Granted(notified);
    }

    fn notify(&mut self) {
        if !self.line.is_empty() {
            let first = self.line.remove(0);
            *self.at(first) = At::Notified;
        }
    }

    /// Whether it has the lock now.
    fn poll(&mut self, id: usize) -> bool {
        let at = *self.at(id);
        match at {
            At::NewLock | At::Notified if !self.is_locked => {
                self.is_locked = true;
                true
            }
            At::NewLock | At::Notified => {
                *self.at(id) = At::InLockLine(at == At::Notified);
                self.lock_line.push(id);
                false
            }
            At::NewWait => {
                *self.at(id) = At::InLine;
                self.line.push(id);
                self.unlock();
                false
            }
            At::Granted(_) => true,
            At::InLine | At::InLockLine(_) => false,
        }
    }

    fn cancel(&mut self, id: usize) {
        let at = *self.at(id);
        self.futures.retain(|future| future.0 != id);
        self.line.retain(|one| *one != id);
        self.lock_line.retain(|one| *one != id);
        if matches!(at, At::NewWait | At::Granted(_)) {
            self.unlock();
        }
        if matches!(at, At::Notified | At::InLockLine(true) | At::Granted(true)) {
            self.notify();
        }
    }
}

fn check(acts: &[Act]) -> Result<(), TestCaseError> {
    let (mutex, condition) = (Mutex::new(0), Condition::new());
    let mut live: Vec<Live<'_, MutexGuard<'_, u32>>> = Vec::new();
    let mut held: Option<MutexGuard<'_, u32>> = None;
    let mut model = Model::default();
    for (step, act) in acts.iter().enumerate() {
        match act {
            Act::Lock => {
                live.push(Live::new(step, mutex.lock()));
                model.futures.push((step, At::NewLock));
            }
            Act::Wait => {
                if let Some(guard) = held.take() {
                    live.push(Live::new(step, condition.wait(guard)));
                    model.futures.push((step, At::NewWait));
                }
            }
            Act::Unlock if held.take().is_some() => model.unlock(),
            Act::Unlock => {}
            Act::Poll(at, as_another) if !live.is_empty() => {
                let at = at.index(live.len());
                let id = live[at].id;
                let polled = live[at].poll(*as_another);
                prop_assert_eq!(polled.is_ready(), model.poll(id), "at step {}", step);
                if let Poll::Ready(mut guard) = polled {
                    *guard += 1;
                    prop_assert!(held.replace(guard).is_none(), "two hold the lock");
                    live.swap_remove(at);
                    model.futures.retain(|future| future.0 != id);
                }
            }
            Act::Cancel(at) if !live.is_empty() => {
                let cancelled = live.swap_remove(at.index(live.len()));
                model.cancel(cancelled.id);
            }
            Act::Notify(count) => {
                condition.notify_n(*count);
                (0..*count).for_each(|_| model.notify());
            }
            Act::NotifyAll => {
                condition.notify_all();
                (0..model.line.len()).for_each(|_| model.notify());
            }
            _ => {}
        }

        for (id, at) in &model.futures {
            let one = live.iter().find(|one| one.id == *id).unwrap();
            let expected = usize::from(matches!(at, At::Notified | At::Granted(_)));
            prop_assert_eq!(one.wakes(), expected, "of {} at {:?} after step {}", id, at, step);
        }
        prop_assert_eq!(condition.waiters(), model.line.len());
        prop_assert_eq!(mutex.waiters(), model.lock_line.len());
        prop_assert_eq!(mutex.is_locked(), model.is_locked);
    }
    drop((live, held));
    prop_assert_eq!((condition.waiters(), mutex.waiters()), (0, 0));
    prop_assert!(!mutex.is_locked());
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_its_model(acts in acts()) {
        check(&acts)?;
    }
}
