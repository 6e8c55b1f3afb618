//! Models of those who stand in a source's list, `reactor/source.rs`: the second who waits in a direction,
//! and all that come after; and of those who wait as the watch ends, by a move or with its reactor.
//!
//! The list is behind a lock, and a bit of the word says whether anybody is in it, so that an event need
//! not take the lock to find nobody. The two must agree, or the event passes by. The socket and its tasks
//! are those of `source.rs`.
//!
//! **Alternative:** to ask the list itself each time: one lock for each event, and nothing to agree.

use std::task::Waker;

use super::{
    both_ways,
    join::Sleeper,
    seeded_bug_is_caught,
    source::{As, Socket, beside, forget},
};
use crate::engine::{
    base::{primitives::Arc, user_code},
    reactor::{
        flags::{Direction::Read, Flags},
        registration::Watch,
        shared::SharedReactor,
        source::{Caller, Readiness, Waited},
    },
    waiting::waiter::Waiter,
};

/// The identity of a runtime.
const POOL: u64 = 1;

/// One leaves the slot and one the list, at once, and no event comes.
#[test]
fn two_who_wait_leave() {
    both_ways(|sides| {
        let (socket, mut keys) = (Socket::drained(2), [0, 0]);
        for (number, key) in keys.iter_mut().enumerate() {
            assert!(socket.wait(Read, number, As::Waker, &mut Caller::Future(key)));
        }
        let leave = |key| move |socket: &Socket| drop(socket.readiness.leave(Read, key));
        beside(&socket, sides, leave(keys[0]), leave(keys[1]));
    });
}

/// One in the list polls again, by chance, as an event takes it out, and finds the socket empty. The next
/// event must find it.
#[test]
fn one_comes_back_to_the_list_as_it_is_emptied() {
    both_ways(|sides| {
        let (socket, mut key) = (Socket::drained(3), 0);
        assert!(socket.wait(Read, 0, As::Task, &mut Caller::Future(&mut 0)));
        assert!(socket.wait(Read, 1, As::Task, &mut Caller::Future(&mut key)));
        let again = move |socket: &Socket| {
            if let Some(seen) = socket.readiness.ready(Read) {
                socket.readiness.clear(Read, seen);
            }
            // As another task, for the wake of the first event must not be taken for the second's.
            if socket.wait(Read, 2, As::Task, &mut Caller::Future(&mut key)) {
                socket.event(Flags::READABLE);
                socket.sleep(2);
            }
        };
        beside(&socket, sides, again, |socket| socket.event(Flags::READABLE));
    });
}

/// Comes to wait where the source is watched for this runtime, as `io/source.rs` does: looks, waits, and looks
/// again. `false`: it is not, or is not any more.
fn comes_to_wait(readiness: &Readiness, waker: Waker) -> bool {
    let wait = |waiter| readiness.wait(Read, &mut Caller::Future(&mut 0), waiter);
    readiness.is_watched_by(POOL)
        && matches!(wait(Waiter::Waker(waker)), Waited::Kept(_))
        && readiness.is_watched_by(POOL)
}

fn wake(waiter: Waiter) {
    let Waiter::Waker(waker) = waiter else { panic!("nobody waits by number") };
    user_code::wake(waker);
}

/// A task comes to wait at its loop as another loop has the source move, which it does unless somebody waits.
/// The task is woken, or sees by itself that its loop does not watch any more, or has had it stay.
#[test]
fn who_waits_as_its_source_moves_is_told() {
    both_ways(|sides| {
        let readiness = Arc::new(Readiness::new());
        forget(&readiness);
        readiness.set_watched_by(POOL);
        let (here, there) = (readiness.clone(), readiness.clone());
        let task = move || {
            let (sleeper, waker) = Sleeper::new();
            comes_to_wait(&here, waker).then_some(sleeper)
        };
        let moves = move || {
            let mut stays = true;
            let late = there.unless_waited_on(true, || {
                stays = false;
                there.unwatch(POOL);
            });
            late.into_iter().for_each(wake);
            stays
        };
        let (waits, stays) = sides.at_once(task, moves);
        if let Some(sleeper) = waits
            && !stays
        {
            sleeper.sleep();
        }
    });
}

/// The one who waits was not there at the first look, and counts on a loop that does not watch.
#[test]
fn moving_without_a_second_look_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source_list::who_waits_as_its_source_moves_is_told",
        "source_moves_without_second_look",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}

/// Two come to wait as the reactor of their runtime closes. They are told by being woken, or see it by
/// themselves.
#[test]
fn who_waits_as_its_reactor_closes_is_told() {
    both_ways(|sides| {
        let reactor = SharedReactor::new(POOL, 16).expect("the kernel gives an epoll");
        let readiness = Arc::new(Readiness::new());
        forget(&readiness);
        readiness.set_watched_by(POOL);
        reactor.insert(readiness.clone()).expect("it is open");
        let tasks = move || {
            let sleepers = [Sleeper::new(), Sleeper::new()];
            let waits =
                sleepers.each_ref().map(|(_, waker)| comes_to_wait(&readiness, waker.clone()));
            for ((sleeper, _), _) in sleepers.iter().zip(waits).filter(|(_, waits)| *waits) {
                sleeper.sleep();
            }
        };
        sides.at_once(tasks, move || {
            reactor.close().into_iter().for_each(wake);
        });
    });
}

/// Who is woken before it is said finds that its loop watches still; who is in the list is woken as well.
#[test]
fn closing_past_those_who_wait_is_caught() {
    for finding in [
        seeded_bug_is_caught(
            "models::source_list::who_waits_as_its_reactor_closes_is_told",
            "reactor_says_late_that_it_closes",
        ),
        seeded_bug_is_caught(
            "models::source_list::who_waits_as_its_reactor_closes_is_told",
            "source_takes_slots_only",
        ),
    ] {
        assert!(finding.contains("deadlock"), "{finding}");
    }
}

/// One who leaves the list when the slot is free already goes by the slot alone, and stays.
#[test]
fn leaving_without_a_look_at_the_list_is_caught() {
    let finding =
        seeded_bug_is_caught("models::source_list::two_who_wait_leave", "source_leaves_slots_only");
    assert!(finding.contains("somebody still waits"), "{finding}");
}

/// The bit cleared for a list that was empty when the lock was let go: somebody is in it by now.
#[test]
fn noting_the_list_unlocked_is_caught() {
    let finding = seeded_bug_is_caught(
        "models::source_list::one_comes_back_to_the_list_as_it_is_emptied",
        "source_notes_its_list_unlocked",
    );
    assert!(finding.contains("deadlock"), "{finding}");
}
