//! The lock of readers and writers. Each look at the value is checked by loom: readers exclude writers, and see what
//! the last one wrote.

use super::{bounded_model, queue::block_on, seeded_bug_is_caught};
use crate::{
    engine::base::primitives::thread,
    sync::{RwLock, RwLockWriteGuard},
};

type Shared = loom::sync::Arc<RwLock<u32>>;

fn reads(lock: &Shared) -> thread::JoinHandle<u32> {
    let lock = lock.clone();
    thread::spawn(move || *block_on(lock.read()))
}

#[test]
fn two_readers_and_a_writer_exclude_each_other() {
    bounded_model(2, || {
        let lock = Shared::new(RwLock::new(0));
        let readers = [reads(&lock), reads(&lock)];
        *block_on(lock.write()) += 1;
        for reader in readers {
            assert!(reader.join().unwrap() <= 1);
        }
        assert_eq!((*lock.try_write().unwrap(), lock.waiters()), (1, 0));
    });
}

#[test]
fn a_writer_that_goes_on_reading_keeps_writers_out_and_lets_readers_in() {
    bounded_model(2, || {
        let lock = Shared::new(RwLock::new(0));
        let mut writing = lock.try_write().unwrap();
        let reader = reads(&lock);
        let writer = thread::spawn({
            let lock = lock.clone();
            move || *block_on(lock.write()) += 1
        });
        *writing = 5;
        let reading = RwLockWriteGuard::downgrade(writing);
        assert_eq!(*reading, 5, "nothing was written in between");
        drop(reading);
        writer.join().unwrap();
        assert!([5, 6].contains(&reader.join().unwrap()));
        assert_eq!(*lock.try_read().unwrap(), 6);
    });
}

#[test]
fn a_reader_whose_release_shows_nothing_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::rwlock::two_readers_and_a_writer_exclude_each_other",
        "permits_release_relaxed",
    );
    assert!(finding.contains("Causality violation"), "{finding}");
}
