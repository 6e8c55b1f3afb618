//! The semaphore. The model is a number and a row of futures, and a rule, [`Model::settle`], that says which of them
//! have what they ask for.

use proptest::{prelude::*, sample::Index};
use whirligig::sync::{Semaphore, SemaphorePermit, TryAcquireError};

use super::{Live, State};

#[derive(Debug, Clone)]
enum Act {
    Acquire(u32),
    Poll(Index, bool),
    Cancel(Index),
    TryAcquire(u32),
    Release(Index),
    Forget(Index),
    Split(Index, u32),
    Merge(Index, Index),
    Add(usize),
    ForgetFree(usize),
    Close,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let count = 0..4u32;
    let act = prop_oneof![
        40 => count.clone().prop_map(Act::Acquire),
        90 => (any::<Index>(), prop::bool::weighted(0.2)).prop_map(|(at, other)| Act::Poll(at, other)),
        25 => any::<Index>().prop_map(Act::Cancel),
        15 => count.clone().prop_map(Act::TryAcquire),
        40 => any::<Index>().prop_map(Act::Release),
        3 => any::<Index>().prop_map(Act::Forget),
        4 => (any::<Index>(), count).prop_map(|(at, count)| Act::Split(at, count)),
        4 => (any::<Index>(), any::<Index>()).prop_map(|(at, other)| Act::Merge(at, other)),
        6 => (0..4usize).prop_map(Act::Add),
        3 => (0..4usize).prop_map(Act::ForgetFree),
        1 => Just(Act::Close),
    ];
    prop::collection::vec(act, 0..120)
}

struct Model {
    free: usize,
    /// What each asks for, in the order of arrival; the new ones are at the end.
    futures: Vec<(usize, u32, State)>,
    closed: bool,
}

impl Model {
    fn count(&self, state: State) -> usize {
        self.futures.iter().filter(|future| future.2 == state).count()
    }

    fn granted(&self) -> usize {
        let woken = self.futures.iter().filter(|future| future.2 == State::Woken && !self.closed);
        woken.map(|future| future.1 as usize).sum()
    }

    /// Whether one that comes now has so many at once.
    fn may_take(&self, count: u32) -> bool {
        !self.closed && self.count(State::Waiting) == 0 && self.free >= count as usize
    }

    fn settle(&mut self) {
        for (_, count, state) in &mut self.futures {
            if *state != State::Waiting {
                continue;
            }
            if !self.closed {
                let Some(left) = self.free.checked_sub(*count as usize) else { break };
                self.free = left;
            }
            *state = State::Woken;
        }
    }

    /// What a poll must answer: `None`, pending.
    fn poll(&mut self, id: usize) -> Option<bool> {
        let at = self.futures.iter().position(|future| future.0 == id).unwrap();
        let (_, count, state) = self.futures.remove(at);
        match state {
            State::Woken => Some(!self.closed),
            State::New if self.closed => Some(false),
            State::New if self.may_take(count) => {
                self.free -= count as usize;
                Some(true)
            }
            State::New => {
                let end = self.futures.iter().filter(|future| future.2 != State::New).count();
                self.futures.insert(end, (id, count, State::Waiting));
                None
            }
            State::Waiting => {
                self.futures.insert(at, (id, count, state));
                None
            }
        }
    }

    fn cancel(&mut self, id: usize) {
        let at = self.futures.iter().position(|future| future.0 == id).unwrap();
        let (_, count, state) = self.futures.remove(at);
        if state == State::Woken && !self.closed {
            self.free += count as usize;
        }
    }

    fn close(&mut self) {
        self.free += self.granted();
        self.closed = true;
    }
}

fn check(permits: usize, acts: &[Act]) -> Result<(), TestCaseError> {
    let semaphore = Semaphore::new(permits);
    let mut live = Vec::new();
    let mut held: Vec<SemaphorePermit<'_>> = Vec::new();
    let mut model = Model { free: permits, futures: Vec::new(), closed: false };
    for (step, act) in acts.iter().enumerate() {
        match act {
            Act::Acquire(count) => {
                live.push(Live::new(step, semaphore.acquire_many(*count)));
                model.futures.push((step, *count, State::New));
            }
            Act::Poll(at, as_another) if !live.is_empty() => {
                let at = at.index(live.len());
                let polled = live[at].poll(*as_another);
                let expected = model.poll(live[at].id);
                match polled {
                    std::task::Poll::Pending => prop_assert_eq!(expected, None),
                    std::task::Poll::Ready(answer) => {
                        prop_assert_eq!(expected, Some(answer.is_ok()));
                        held.extend(answer);
                        live.swap_remove(at);
                    }
                }
            }
            Act::Cancel(at) if !live.is_empty() => {
                let cancelled = live.swap_remove(at.index(live.len()));
                model.cancel(cancelled.id);
            }
            Act::TryAcquire(count) => match semaphore.try_acquire_many(*count) {
                Ok(permit) => {
                    prop_assert!(model.may_take(*count));
                    model.free -= *count as usize;
                    held.push(permit);
                }
                Err(TryAcquireError::Closed) => prop_assert!(model.closed),
                Err(TryAcquireError::NoPermits) => {
                    prop_assert!(!model.closed && !model.may_take(*count));
                }
            },
            Act::Release(at) if !held.is_empty() => {
                let permit = held.swap_remove(at.index(held.len()));
                model.free += permit.count() as usize;
            }
            Act::Forget(at) if !held.is_empty() => {
                held.swap_remove(at.index(held.len())).forget();
            }
            Act::Split(at, count) if !held.is_empty() => {
                let at = at.index(held.len());
                let before = held[at].count();
                let part = held[at].split(*count);
                prop_assert_eq!(part.is_some(), before >= *count);
                held.extend(part);
            }
            Act::Merge(at, other) if held.len() > 1 => {
                let part = held.swap_remove(at.index(held.len()));
                let other = other.index(held.len());
                held[other].merge(part);
            }
            Act::Add(count) => {
                semaphore.add_permits(*count);
                model.free += count;
            }
            Act::ForgetFree(count) => {
                let taken = semaphore.forget_permits(*count);
                prop_assert_eq!(taken, model.free.min(*count));
                model.free -= taken;
            }
            Act::Close => {
                semaphore.close();
                model.close();
            }
            _ => {}
        }
        model.settle();

        for (id, count, state) in &model.futures {
            let one = live.iter().find(|one| one.id == *id).unwrap();
            let expected = usize::from(*state == State::Woken);
            prop_assert_eq!(one.wakes(), expected, "of {} for {} after step {}", id, count, step);
        }
        prop_assert_eq!(semaphore.available_permits(), model.free, "after step {}", step);
        prop_assert_eq!(semaphore.waiters(), model.count(State::Waiting));
        let acquired: usize = held.iter().map(|permit| permit.count() as usize).sum();
        prop_assert_eq!(semaphore.total_permits(), model.free + model.granted() + acquired);
    }
    drop((live, held));
    prop_assert_eq!(semaphore.available_permits(), semaphore.total_permits());
    prop_assert_eq!((semaphore.waiters(), semaphore.holders()), (0, vec![]));
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_its_model(permits in 0..4usize, acts in acts()) {
        check(permits, &acts)?;
    }
}

#[test]
fn what_can_not_be_is_refused() {
    let refused =
        |act: fn()| *std::panic::catch_unwind(act).unwrap_err().downcast::<&str>().unwrap();
    assert!(refused(|| drop(Semaphore::new(usize::MAX))).contains("at most"));
    assert!(refused(|| Semaphore::new(1).add_permits(Semaphore::MAX_PERMITS)).contains("at most"));
    let merge = || {
        let (one, other) = (Semaphore::new(1), Semaphore::new(1));
        one.try_acquire().unwrap().merge(other.try_acquire().unwrap());
    };
    assert!(refused(merge).contains("same semaphore"));
    Semaphore::new(Semaphore::MAX_PERMITS).close();
}

#[test]
fn permits_that_could_not_be_merged_are_given_back() {
    let (one, other) = (Semaphore::new(1), Semaphore::new(1));
    let (mut mine, theirs) = (one.try_acquire().unwrap(), other.try_acquire().unwrap());
    let merge = std::panic::AssertUnwindSafe(|| mine.merge(theirs));
    assert!(std::panic::catch_unwind(merge).is_err());
    assert_eq!((one.available_permits(), other.available_permits()), (0, 1));
}
