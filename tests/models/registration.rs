//! Models of where a descriptor is watched, `reactor/registration.rs`: it moves from loop to loop, loops end, and the
//! kernel refuses.
//!
//! What is replaced is `epoll_ctl` alone (`reactor/selector.rs`); the tasks wait by [`Registration::wait`], as every
//! socket does. A task that waits must be told of the byte, or of its loop's end: otherwise it sleeps for ever, and
//! loom calls that a deadlock.
//!
//! **Alternative:** to model a registration's two words by themselves, as these did at first. The mistakes were made
//! by their callers.

use std::{
    io,
    os::fd::AsFd,
    sync::{Arc as StdArc, OnceLock},
    task::Waker,
};

use super::{bounded_model, join::Sleeper, seeded_bug_is_caught};
use crate::engine::{
    base::{
        primitives::{Arc, Mutex, lock, thread},
        user_code,
    },
    reactor::{
        flags::{Direction::Read, Flags},
        registration::{Registration, Registry, Watch, Where},
        source::{Caller, Readiness},
        sources::Sources,
    },
    waiting::waiter::Waiter,
};

/// A loop's reactor, without a kernel to wait for.
struct Loop {
    id: u64,
    registry: Arc<Registry>,
    sources: Arc<Mutex<Sources>>,
}

impl Loop {
    fn new(id: u64) -> Self {
        // Only to have one: nothing is registered there.
        static POLL: OnceLock<mio::Poll> = OnceLock::new();
        let poll = POLL.get_or_init(|| mio::Poll::new().expect("the kernel gives an epoll"));
        let sources = Arc::new(Mutex::new(Sources::new()));
        let registry = Registry::new(poll.registry(), id, Where::Runtime(sources.clone()));
        Self { id, registry: Arc::new(registry.expect("it can be cloned")), sources }
    }

    /// Tells its sources of a byte.
    fn turn(&self) {
        let mut woken = Vec::new();
        for token in self.registry.selector().watched() {
            if let Some(readiness) = lock(&self.sources).get(token) {
                readiness.set(Flags::READABLE, |waiter| woken.push(waiter));
            }
        }
        woken.into_iter().for_each(wake);
    }

    fn close(&self) {
        let sources = lock(&self.sources).close();
        self.registry.close(&sources).into_iter().for_each(wake);
    }
}

impl Watch for Loop {
    fn registry(&self) -> io::Result<Arc<Registry>> {
        let is_closed = lock(&self.sources).is_closed();
        if is_closed { Err(io::ErrorKind::NotConnected.into()) } else { Ok(self.registry.clone()) }
    }

    fn insert(&self, readiness: Arc<Readiness>) -> io::Result<mio::Token> {
        let mut sources = lock(&self.sources);
        if sources.is_closed() {
            return Err(io::ErrorKind::NotConnected.into());
        }
        Ok(sources.insert(readiness))
    }
}

fn wake(waiter: Waiter) {
    let Waiter::Waker(waker) = waiter else { panic!("nobody waits by number") };
    user_code::wake(waker);
}

/// A socket, two loops, and the tasks that may wait.
struct World {
    registration: Registration,
    loops: [Loop; 2],
    has_byte: Mutex<bool>,
    tasks: [(StdArc<Sleeper>, Waker); 2],
}

const HERE: usize = 0;
const THERE: usize = 1;

impl World {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            registration: Registration::new(),
            loops: [Loop::new(1), Loop::new(2)],
            has_byte: Mutex::new(false),
            tasks: [Sleeper::new(), Sleeper::new()],
        })
    }

    /// The socket was found empty, and is watched by these loops.
    fn watched_by(loops: &[usize]) -> Arc<Self> {
        let world = Self::new();
        let mut key = 0;
        for at in loops {
            // Somebody waits, or else it would move.
            world.wait(0, *at, &mut key).expect("nothing refuses");
        }
        drop(world.registration.readiness().leave(Read, key));
        world
    }

    fn attach(&self, at: usize) -> io::Result<()> {
        let stdin = io::stdin();
        let mut woken = Vec::new();
        let attached = self.registration.attach(&self.loops[at], stdin.as_fd(), &mut woken);
        woken.into_iter().for_each(wake);
        attached?;
        // A registration is told at once of what is there already, when its loop turns.
        let has_byte = *lock(&self.has_byte);
        if has_byte {
            self.loops[at].turn();
        }
        Ok(())
    }

    /// One poll, as of any operation of a socket. `false`: there is a byte.
    fn wait(&self, task: usize, at: usize, key: &mut u64) -> io::Result<bool> {
        let (registration, loop_id) = (&self.registration, self.loops[at].id);
        let waiter = || Waiter::Waker(self.tasks[task].1.clone());
        let mut caller = Caller::Future(key);
        loop {
            if let Some(seen) = registration.readiness().ready(Read) {
                if *lock(&self.has_byte) {
                    return Ok(false);
                }
                registration.readiness().clear(Read, seen);
            }
            if registration.wait(loop_id, Read, &mut caller, waiter, || self.attach(at))? {
                return Ok(true);
            }
        }
    }

    /// A task waits on a loop until there is a byte, or its loop refuses.
    fn receive(&self, task: usize, at: usize) -> io::Result<()> {
        let mut key = 0;
        let received = loop {
            match self.wait(task, at, &mut key) {
                Ok(true) => self.tasks[task].0.sleep(),
                Ok(false) => break Ok(()),
                Err(error) => break Err(error),
            }
        };
        drop(self.registration.readiness().leave(Read, key));
        received
    }

    /// A task waits on a loop for a moment.
    fn pass_by(&self, at: usize) {
        let mut key = 0;
        let _ = self.wait(1, at, &mut key);
        drop(self.registration.readiness().leave(Read, key));
    }

    /// A byte comes, and these loops turn.
    fn arrive(&self, loops: &[usize]) {
        *lock(&self.has_byte) = true;
        loops.iter().for_each(|at| self.loops[*at].turn());
    }
}

/// Two threads of the socket's world at once, in every order of few switches. What the one gives that waits.
fn at_once(
    world: fn() -> Arc<World>,
    waits: fn(&World) -> io::Result<()>,
    other: fn(&World),
    ends: fn(io::Result<()>),
) {
    bounded_model(2, move || {
        let ours = world();
        let theirs = ours.clone();
        let other = thread::spawn(move || other(&theirs));
        let received = waits(&ours);
        other.join().unwrap();
        ends(received);
        assert!(!ours.registration.readiness().is_waited_on(), "somebody still waits");
    });
}

fn has_received(received: io::Result<()>) {
    received.expect("its loop is there");
}

/// A task waits here as the source moves to another loop, which then ends.
#[test]
fn the_loop_that_took_over_ends() {
    let moves = |world: &World| {
        world.pass_by(THERE);
        world.loops[THERE].close();
        world.arrive(&[HERE]);
    };
    let watched_here = || World::watched_by(&[HERE]);
    at_once(watched_here, |world| world.receive(0, HERE), moves, has_received);
}

/// A task waits here, and another loop comes to wait as well, and does not turn. The byte is for ours to tell.
#[test]
fn the_loop_that_came_last_does_not_turn() {
    let comes = |world: &World| {
        world.pass_by(THERE);
        world.arrive(&[HERE]);
    };
    let watched_here = || World::watched_by(&[HERE]);
    at_once(watched_here, |world| world.receive(0, HERE), comes, has_received);
}

/// Both loops watch, nobody waits, and each comes to wait and ends the other's watch.
#[test]
fn two_loops_end_each_others_watch() {
    let comes = |world: &World| {
        world.pass_by(THERE);
        world.arrive(&[HERE]);
    };
    let watched_by_both = || World::watched_by(&[HERE, THERE]);
    at_once(watched_by_both, |world| world.receive(0, HERE), comes, has_received);
}

/// A task has its loop watch as that loop ends. It is refused, or woken and refused.
fn its_loop_ends(world: fn() -> Arc<World>) {
    let ends = |received: io::Result<()>| {
        assert_eq!(received.unwrap_err().kind(), io::ErrorKind::NotConnected);
    };
    at_once(world, |world| world.receive(0, HERE), |world| world.loops[HERE].close(), ends);
}

#[test]
fn its_loop_ends_as_it_begins_to_watch() {
    its_loop_ends(World::new);
}

#[test]
fn its_loop_ends_as_it_comes_to_be_alone() {
    its_loop_ends(|| World::watched_by(&[HERE, THERE]));
}

/// Two tasks of a runtime come to wait, and the kernel refuses. Each is told, and neither waits for the other's watch.
#[test]
fn the_kernel_refuses() {
    let world = || {
        let world = World::new();
        world.loops[HERE].registry.selector().refuse();
        world
    };
    let refused = |received: io::Result<()>| {
        assert_eq!(received.unwrap_err().kind(), io::ErrorKind::StorageFull);
    };
    let other = |world: &World| drop(world.receive(1, HERE));
    at_once(world, |world| world.receive(0, HERE), other, refused);
}

/// The task sleeps for ever.
#[track_caller]
fn is_a_deadlock(finding: &str) {
    assert!(finding.contains("deadlock"), "{finding}");
}

/// A task that does not ask again waits where the source has left, and the loop it went to is gone.
#[test]
fn asking_once_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::the_loop_that_took_over_ends",
        "registration_asks_once",
    ));
}

/// One who came to wait in the moment of the move is not among those that it saw.
#[test]
fn moving_without_a_second_look_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::the_loop_that_came_last_does_not_turn",
        "source_moves_without_second_look",
    ));
}

/// Said after the registration, it may be said of a loop that has ended in between.
#[test]
fn saying_late_who_watches_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::its_loop_ends_as_it_begins_to_watch",
        "registration_says_late_who_watches",
    ));
}

/// A loop that ends has woken whom it found. Whoever trusts it after that is not among them.
#[test]
fn trusting_a_reactor_that_closes_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::its_loop_ends_as_it_comes_to_be_alone",
        "registration_trusts_a_reactor_that_closes",
    ));
}

/// That a loop does not watch, it must write also where nothing says that it does: the next to write there learns
/// by it that the loop has ended.
#[test]
fn unwatching_by_a_load_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::its_loop_ends_as_it_comes_to_be_alone",
        "source_unwatches_by_a_load",
    ));
}

/// A second task of the runtime found that its runtime watches, and waits for what was refused.
#[test]
fn keeping_waiters_when_refused_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::the_kernel_refuses",
        "registration_keeps_waiters_when_refused",
    ));
}

/// Refused, and yet it says that it watches: the second task is woken, looks, and waits again.
#[test]
fn saying_that_it_watches_when_refused_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::the_kernel_refuses",
        "registration_says_that_it_watches_when_refused",
    ));
}

/// A loop that ends, wakes who waits, and only then says so.
#[test]
fn a_reactor_that_says_late_that_it_closes_is_caught() {
    is_a_deadlock(&seeded_bug_is_caught(
        "models::registration::its_loop_ends_as_it_begins_to_watch",
        "reactor_says_late_that_it_closes",
    ));
}
