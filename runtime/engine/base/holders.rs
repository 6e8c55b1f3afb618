//! Which task holds which lock, while checks are on.
//!
//! A lock's permits are numbers in a word: they do not say whose they are. While checks are on, each acquisition is
//! entered here under the lock's number, and taken out with the release. So a dump can say of a task that waits
//! for a lock which task holds it, and two tasks that hold what the other waits for can be read off it.
//!
//! With checks off, all of this is a branch on a flag for each acquisition, and one on a number for each release.
//!
//! A holder is the task that acquired, also if it has handed the guard to another since.
//!
//! **Alternative:** a word for the holder in each lock. A semaphore has many holders; and a dump, which has only the
//! lock's number in its hands, could not come by that word.

use std::{
    collections::HashMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use crate::engine::base::{checks, id::TaskId};

/// One acquisition of a lock, as it is entered here. Told apart from the others of the same lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding(u32);

/// By the lock's number. What holds it outside of any task is `None`.
type Holdings = HashMap<u64, Vec<(Holding, Option<TaskId>)>>;

static HOLDINGS: Mutex<Option<Holdings>> = Mutex::new(None);

/// Odd: those of an acquisition that had not to wait.
static NEXT: AtomicU32 = AtomicU32::new(1);

impl Holding {
    /// Not entered.
    pub(crate) const NONE: Self = Self(0);

    /// That of an acquisition which waited, by its number among those that did. Even, and not 0.
    pub(crate) fn of_waiter(number: u64) -> Self {
        if checks::on() {
            Self((number as u32).wrapping_add(1).wrapping_mul(2).max(2))
        } else {
            Self::NONE
        }
    }

    /// That of any other acquisition.
    #[inline]
    pub(crate) fn draw() -> Self {
        if checks::on() { Self(NEXT.fetch_add(2, Relaxed)) } else { Self::NONE }
    }

    #[inline(always)]
    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Enters that `task` holds this lock.
    #[cold]
    pub(crate) fn begin(self, lock: u64, task: Option<TaskId>) {
        open().get_or_insert_default().entry(lock).or_default().push((self, task));
    }

    /// Takes that out again.
    #[cold]
    pub(crate) fn end(self, lock: u64) {
        let mut open = open();
        let Some(holdings) = open.as_mut() else { return };
        let Some(held) = holdings.get_mut(&lock) else { return };
        held.retain(|(holding, _)| *holding != self);
        if held.is_empty() {
            holdings.remove(&lock);
        }
    }
}

fn open() -> MutexGuard<'static, Option<Holdings>> {
    HOLDINGS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What holds this lock, the earliest first. `None`: something outside of any task. Empty as well if checks are off.
pub(crate) fn of(lock: u64) -> Vec<Option<TaskId>> {
    let open = open();
    let held = open.as_ref().and_then(|holdings| holdings.get(&lock));
    held.map_or_else(Vec::new, |held| held.iter().map(|(_, task)| *task).collect())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_entered_is_found_until_it_is_taken_out() {
        let lock = u64::MAX; // no lock has this number
        let task = TaskId::draw();
        let (one, other) = (Holding(1), Holding(2));
        one.begin(lock, Some(task));
        other.begin(lock, None);
        assert_eq!(of(lock), [Some(task), None]);
        one.end(lock);
        assert_eq!(of(lock), [None]);
        one.end(lock);
        other.end(lock);
        assert_eq!(of(lock), []);
        assert!(!open().as_ref().unwrap().contains_key(&lock), "nothing is left of it");
    }

    #[test]
    fn no_acquisition_that_is_entered_is_none() {
        if checks::on() {
            for number in [0, 1, 1 << 31, u64::from(u32::MAX) + 1] {
                assert!(!Holding::of_waiter(number).is_none());
            }
            assert_ne!(Holding::draw(), Holding::draw());
        }
    }
}
