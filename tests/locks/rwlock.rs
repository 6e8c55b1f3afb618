//! The lock of readers and writers. The model knows readers and a writer, and no permits.

use std::task::Poll;

use futures_util::FutureExt;
use proptest::{prelude::*, sample::Index};
use whirligig::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Live, State};

#[derive(Debug, Clone)]
enum Act {
    Read,
    Write,
    Poll(Index, bool),
    Cancel(Index),
    TryRead,
    TryWrite,
    Release(Index),
    Downgrade,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        30 => Just(Act::Read),
        20 => Just(Act::Write),
        90 => (any::<Index>(), prop::bool::weighted(0.2)).prop_map(|(at, other)| Act::Poll(at, other)),
        25 => any::<Index>().prop_map(Act::Cancel),
        8 => Just(Act::TryRead),
        8 => Just(Act::TryWrite),
        40 => any::<Index>().prop_map(Act::Release),
        10 => Just(Act::Downgrade),
    ];
    prop::collection::vec(act, 0..120)
}

enum Guard<'a> {
    Read(RwLockReadGuard<'a, u32>),
    Write(RwLockWriteGuard<'a, u32>),
}

/// Whether each is for writing.
#[derive(Default)]
struct Model {
    held: Vec<bool>,
    futures: Vec<(usize, bool, State)>,
}

impl Model {
    /// Whether nothing that has the lock, or was woken to have it, excludes one more.
    fn has_room(&self, writes: bool) -> bool {
        let woken = self.futures.iter().filter(|future| future.2 == State::Woken);
        let mut all = self.held.iter().copied().chain(woken.map(|future| future.1));
        if writes { all.next().is_none() } else { all.all(|writes| !writes) }
    }

    fn waiters(&self) -> usize {
        self.futures.iter().filter(|future| future.2 == State::Waiting).count()
    }

    fn may_have(&self, writes: bool) -> bool {
        self.waiters() == 0 && self.has_room(writes)
    }

    fn settle(&mut self) {
        while let Some(first) = self.futures.iter().position(|future| future.2 == State::Waiting)
            && self.has_room(self.futures[first].1)
        {
            self.futures[first].2 = State::Woken;
        }
    }

    /// Whether a poll must give the guard.
    fn poll(&mut self, id: usize) -> bool {
        let at = self.futures.iter().position(|future| future.0 == id).unwrap();
        let (_, writes, state) = self.futures.remove(at);
        let ready = state == State::Woken || (state == State::New && self.may_have(writes));
        if ready {
            self.held.push(writes);
        } else if state == State::New {
            let end = self.futures.iter().filter(|future| future.2 != State::New).count();
            self.futures.insert(end, (id, writes, State::Waiting));
        } else {
            self.futures.insert(at, (id, writes, state));
        }
        ready
    }
}

fn check(acts: &[Act]) -> Result<(), TestCaseError> {
    let lock = RwLock::new(0);
    let mut written = 0;
    let mut live = Vec::new();
    let mut held: Vec<Guard<'_>> = Vec::new();
    let mut model = Model::default();
    for (step, act) in acts.iter().enumerate() {
        match act {
            Act::Read => {
                live.push(Live::new(step, lock.read().map(Guard::Read).boxed_local()));
                model.futures.push((step, false, State::New));
            }
            Act::Write => {
                live.push(Live::new(step, lock.write().map(Guard::Write).boxed_local()));
                model.futures.push((step, true, State::New));
            }
            Act::Poll(at, as_another) if !live.is_empty() => {
                let at = at.index(live.len());
                let polled = live[at].poll(*as_another);
                prop_assert_eq!(polled.is_ready(), model.poll(live[at].id), "at step {}", step);
                if let Poll::Ready(guard) = polled {
                    held.push(guard);
                    live.swap_remove(at);
                }
            }
            Act::Cancel(at) if !live.is_empty() => {
                let cancelled = live.swap_remove(at.index(live.len()));
                model.futures.retain(|future| future.0 != cancelled.id);
            }
            Act::TryRead => {
                let tried = lock.try_read();
                prop_assert_eq!(tried.is_ok(), model.may_have(false));
                model.held.extend(tried.iter().map(|_| false));
                held.extend(tried.map(Guard::Read));
            }
            Act::TryWrite => {
                let tried = lock.try_write();
                prop_assert_eq!(tried.is_ok(), model.may_have(true));
                model.held.extend(tried.iter().map(|_| true));
                held.extend(tried.map(Guard::Write));
            }
            Act::Release(at) if !held.is_empty() => {
                let at = at.index(held.len());
                held.remove(at);
                model.held.remove(at);
            }
            Act::Downgrade => {
                if let Some(Guard::Write(_)) = held.last() {
                    let Some(Guard::Write(guard)) = held.pop() else { unreachable!() };
                    held.push(Guard::Read(RwLockWriteGuard::downgrade(guard)));
                    model.held = vec![false];
                }
            }
            _ => {}
        }
        model.settle();

        for guard in &mut held {
            match guard {
                Guard::Read(guard) => prop_assert_eq!(**guard, written),
                Guard::Write(guard) => {
                    prop_assert_eq!(**guard, written);
                    written += 1;
                    **guard = written;
                }
            }
        }
        for (id, _, state) in &model.futures {
            let one = live.iter().find(|one| one.id == *id).unwrap();
            let expected = usize::from(*state == State::Woken);
            prop_assert_eq!(one.wakes(), expected, "of {} after step {}", id, step);
        }
        prop_assert_eq!(lock.waiters(), model.waiters());
    }
    drop((live, held));
    prop_assert!(lock.try_write().is_ok());
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_its_model(acts in acts()) {
        check(&acts)?;
    }
}
