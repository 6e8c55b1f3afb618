//! Numbers for what tasks would otherwise count.
//!
//! A task that held its pool by a counted reference would pay for that twice in its life, in a cache
//! line that all tasks write to. So it holds the pool's number. A worker compares that with its own
//! pool's and is done; any other thread asks the table here, which has each pool by its number.
//!
//! Numbers are used again: a number kept too long may find a later pool, and that must do no harm.
//!
//! **Alternative:** never to free a pool: a plain reference in each task, no table, and a leak.

use std::{
    io,
    sync::{Arc, RwLock, RwLockWriteGuard, Weak},
};

use slab::Slab;

/// The pools there are, by their numbers.
pub(super) struct Numbers<T>(RwLock<Slab<Weak<T>>>);

impl<T> Numbers<T> {
    pub(super) const fn new() -> Self {
        Self(RwLock::new(Slab::new()))
    }

    /// Draws a number for what is about to be made. Never 0.
    pub(super) fn draw(&self) -> io::Result<u16> {
        let mut pools = self.write();
        let entry = pools.vacant_entry();
        let number = u16::try_from(entry.key() + 1).map_err(|_| {
            let why = "65,535 runtimes exist already: drop one first";
            io::Error::new(io::ErrorKind::QuotaExceeded, why)
        })?;
        entry.insert(Weak::new());
        Ok(number)
    }

    /// It is made: from here on it is found.
    pub(super) fn publish(&self, number: u16, made: &Arc<T>) {
        self.write()[index(number)] = Arc::downgrade(made);
    }

    /// It is gone, and its number free.
    pub(super) fn retire(&self, number: u16) {
        self.write().remove(index(number));
    }

    /// Of no pool is 0 the number.
    pub(super) fn find(&self, number: u16) -> Option<Arc<T>> {
        if number == 0 {
            return None;
        }
        let pools = self.0.read().unwrap_or_else(|poisoned| poisoned.into_inner());
        pools.get(index(number))?.upgrade()
    }

    fn write(&self) -> RwLockWriteGuard<'_, Slab<Weak<T>>> {
        self.0.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn index(number: u16) -> usize {
    usize::from(number) - 1
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_found_from_its_publishing_to_its_end() {
        let numbers = Numbers::new();
        let (first, second) = (numbers.draw().unwrap(), numbers.draw().unwrap());
        assert!(first != 0 && second != 0 && first != second);
        assert!(numbers.find(first).is_none(), "it is still being made");
        assert!(numbers.find(0).is_none());
        let made = Arc::new('a');
        numbers.publish(first, &made);
        assert_eq!(numbers.find(first).as_deref(), Some(&'a'));
        assert!(numbers.find(second).is_none());
        drop(made);
        assert!(numbers.find(first).is_none(), "it is about to retire");
        numbers.retire(first);
        assert!(numbers.find(first).is_none());
        assert_eq!(numbers.draw().unwrap(), first, "free again");
    }

    #[test]
    fn the_65_536th_at_once_is_an_error_that_says_so() {
        let numbers = Numbers::<()>::new();
        assert!((1..=u16::MAX).all(|number| numbers.draw().unwrap() == number));
        let error = numbers.draw().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
        assert!(error.to_string().contains("65,535 runtimes"), "{error}");
        numbers.retire(7);
        assert_eq!(numbers.draw().unwrap(), 7);
    }
}
