//! The barrier, with two and with three threads: who comes last opens it, whatever the order.

use super::{bounded_model, queue::block_on, seeded_bug_is_caught};
use crate::{engine::base::primitives::thread, sync::Barrier};

fn comes(barrier: &loom::sync::Arc<Barrier>) -> thread::JoinHandle<Option<usize>> {
    let barrier = barrier.clone();
    thread::spawn(move || block_on(barrier.wait()).ok().map(|result| result.index()))
}

#[test]
fn each_round_has_all_its_parties() {
    loom::model(|| {
        let barrier = loom::sync::Arc::new(Barrier::new(2));
        let other = comes(&barrier);
        let mine = block_on(barrier.wait()).unwrap().index();
        let theirs = other.join().unwrap().unwrap();
        assert_eq!(mine + theirs, 1, "one index each");
        assert_eq!(barrier.waiters(), 0);
    });
}

#[test]
fn an_abort_ends_every_wait() {
    bounded_model(2, || {
        let barrier = loom::sync::Arc::new(Barrier::new(2));
        let both = [comes(&barrier), comes(&barrier)];
        barrier.abort();
        let came = both.map(|thread| thread.join().unwrap());
        assert_eq!(came[0].is_some(), came[1].is_some(), "both or none: {came:?}");
        assert_eq!(barrier.waiters(), 0);
    });
}

#[test]
fn a_wait_that_does_not_look_again_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::barrier::each_round_has_all_its_parties",
        "barrier_no_second_look",
    );
    assert!(finding.contains("deadlock"), "a lost wake: {finding}");
}
