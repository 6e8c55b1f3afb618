//! A tree of tokens that one thread cancels while another waits, makes children, or drops them, in every way that these
//! can interleave.
//!
//! What must hold: what waits for a token hears of its end, and so does what waits for a child that is made at the same
//! moment; what was done before the cancellation is seen after it. A lost wake shows as a deadlock.

use super::{bounded_model, queue::block_on, seeded_bug_is_caught};
use crate::{
    engine::base::primitives::{Arc, AtomicU32, Ordering::Relaxed, thread},
    task::CancelToken,
};

#[test]
fn a_wait_hears_of_the_end_that_came_while_it_joined_the_list() {
    loom::model(|| {
        let token = CancelToken::new();
        let written = Arc::new(AtomicU32::new(0));
        let cancels = thread::spawn({
            let (token, written) = (token.clone(), written.clone());
            move || {
                written.store(1, Relaxed);
                assert!(token.cancel());
            }
        });
        block_on(token.cancelled());
        assert_eq!(written.load(Relaxed), 1, "what was done before is seen after");
        cancels.join().unwrap();
    });
}

#[test]
fn a_child_that_is_made_while_its_parent_is_cancelled_hears_of_it() {
    bounded_model(3, || {
        let token = CancelToken::new();
        let cancels = thread::spawn({
            let token = token.clone();
            move || token.cancel()
        });
        let child = token.child_token();
        block_on(child.cancelled());
        assert!(child.is_cancelled() && token.is_cancelled());
        assert!(cancels.join().unwrap());
    });
}

#[test]
fn a_child_that_is_dropped_while_its_parent_is_cancelled_is_in_nobodys_way() {
    bounded_model(3, || {
        let token = CancelToken::new();
        let grandchild = token.child_token().child_token();
        let cancels = thread::spawn({
            let token = token.clone();
            move || token.cancel()
        });
        drop(token.child_token());
        drop(grandchild);
        assert!(cancels.join().unwrap());
        assert!(token.is_cancelled() && !token.cancel());
    });
}

#[test]
fn one_of_two_threads_cancels() {
    loom::model(|| {
        let token = CancelToken::new();
        let child = token.child_token();
        let cancels = thread::spawn({
            let token = token.clone();
            move || token.cancel()
        });
        let mine = token.cancel();
        assert!(child.is_cancelled(), "with its parent, whoever was the first");
        assert!(mine != cancels.join().unwrap());
    });
}

#[test]
fn a_wait_that_does_not_look_again_is_caught() {
    seeded_bug_is_caught(
        "models::cancel_token::a_wait_hears_of_the_end_that_came_while_it_joined_the_list",
        "cancel_token_no_second_look",
    );
}

#[test]
fn a_child_made_between_the_list_and_the_flag_is_caught() {
    seeded_bug_is_caught(
        "models::cancel_token::a_child_that_is_made_while_its_parent_is_cancelled_hears_of_it",
        "cancel_token_flags_unlocked",
    );
}
