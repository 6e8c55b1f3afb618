//! Events, and what else tells tasks that something has come about.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
    thread,
    time::Duration,
};

use proptest::prelude::*;
use whirligig::{
    EventLoop, WaitsFor, WaitsOn, spawn, spawn_local,
    sync::{Event, OnceCell, RateLimiter, SetError, oneshot},
    task,
    time::{Instant, TestClock, sleep},
};

use crate::{probe::Probe, until, variants::on_each_variant};

#[test]
fn an_event_ends_all_waits_and_stays_set() {
    on_each_variant(|_| async {
        let event = Arc::new(Event::new());
        let seen = Arc::new(AtomicUsize::new(0));
        let waiters: Vec<_> = (0..10)
            .map(|_| {
                let (event, seen) = (event.clone(), seen.clone());
                spawn(async move {
                    event.wait().await;
                    seen.fetch_add(1, SeqCst);
                })
            })
            .collect();
        until(|| format!("{event:?}").contains("waiting: 10")).await;
        assert_eq!(seen.load(SeqCst), 0);
        event.set();
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(seen.load(SeqCst), 10);
        event.wait().await;
        event.clear();
        assert!(!event.is_set());
    });
}

#[test]
fn set_and_clear_in_one_breath_end_the_waits_there_are() {
    on_each_variant(|_| async {
        let event = Arc::new(Event::new());
        let waiter = spawn({
            let event = event.clone();
            async move { event.wait().await }
        });
        until(|| format!("{event:?}").contains("waiting: 1")).await;
        event.set();
        event.clear();
        waiter.await.unwrap();
        assert!(!event.is_set());
    });
}

#[test]
fn a_cancelled_wait_leaves_nothing_behind() {
    on_each_variant(|_| async {
        let event = Arc::new(Event::new());
        let waiter = spawn({
            let event = event.clone();
            async move { event.wait().await }
        });
        until(|| format!("{event:?}").contains("waiting: 1")).await;
        waiter.cancel();
        assert!(waiter.await.unwrap_err().is_cancelled());
        assert!(format!("{event:?}").contains("waiting: 0"), "{event:?}");
    });
}

#[test]
fn a_wait_for_an_event_is_seen_in_a_dump() {
    on_each_variant(|_| async {
        let event = Arc::new(Event::new());
        let waiter = spawn({
            let event = event.clone();
            async move { event.wait().await }
        });
        let line = line!() - 2;
        until(|| format!("{event:?}").contains("waiting: 1")).await;
        // The note is kept when the poll is over, which on another worker may be a moment later.
        let noted = || {
            let dump = whirligig::dump();
            let task = dump.tasks.into_iter().find(|task| task.id == waiter.id())?;
            task.waits.zip(task.waits_on)
        };
        until(|| noted().is_some()).await;
        let ((what, location), on) = noted().unwrap();
        assert_eq!((what, location.file(), location.line()), (WaitsFor::Signal, file!(), line));
        assert!(matches!(on, WaitsOn::Event(_)), "{on:?}");
        event.set();
        waiter.await.unwrap();
    });
}

#[test]
fn ready_waits_give_way() {
    on_each_variant(|_| async {
        let event = Event::new();
        event.set();
        let turns = Arc::new(AtomicUsize::new(0));
        let other = spawn({
            let turns = turns.clone();
            async move {
                loop {
                    turns.fetch_add(1, SeqCst);
                    task::yield_now().await;
                }
            }
        });
        // Endless, if the task that is polled never gave way.
        while turns.load(SeqCst) < 10 {
            event.wait().await;
        }
        other.cancel();
        assert!(other.await.is_err());
    });
}

#[test]
fn a_thread_waits_for_an_event() {
    on_each_variant(|_| async {
        let event = Arc::new(Event::new());
        let waiter = thread::spawn({
            let event = event.clone();
            move || event.blocking_wait()
        });
        until(|| format!("{event:?}").contains("waiting: 1")).await;
        event.set();
        waiter.join().unwrap();
        event.blocking_wait();
        event.clear();
        let refused = catch_unwind(AssertUnwindSafe(|| event.blocking_wait())).unwrap_err();
        let advice = refused.downcast_ref::<String>().unwrap();
        assert!(advice.contains("block_in_place"), "{advice}");
        assert!(format!("{event:?}").contains("waiting: 0"), "{event:?}");
    });
}

#[derive(Debug, Clone)]
enum EventAct {
    Wait,
    Poll(prop::sample::Index, bool),
    Cancel(prop::sample::Index),
    Set,
    Clear,
}

fn event_acts() -> impl Strategy<Value = Vec<EventAct>> {
    let act = prop_oneof![
        4 => Just(EventAct::Wait),
        8 => (any::<prop::sample::Index>(), prop::bool::weighted(0.2))
            .prop_map(|(at, moves)| EventAct::Poll(at, moves)),
        3 => any::<prop::sample::Index>().prop_map(EventAct::Cancel),
        1 => Just(EventAct::Set),
        1 => Just(EventAct::Clear),
    ];
    prop::collection::vec(act, 0..80)
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    New,
    Waiting,
    Woken,
}

proptest! {
    /// Against a flag, and a state for each wait.
    #[test]
    fn an_event_is_a_flag(acts in event_acts()) {
        let event = Event::new();
        let mut flag = false;
        let mut waits: Vec<(Probe<'_, ()>, State)> = Vec::new();
        for act in acts {
            match act {
                EventAct::Wait => waits.push((Probe::new(event.wait()), State::New)),
                EventAct::Poll(at, moves) if !waits.is_empty() => {
                    let at = at.index(waits.len());
                    let (probe, state) = &mut waits[at];
                    let polled = if moves { probe.poll_as_another() } else { probe.poll() };
                    let ready = *state == State::Woken || (*state == State::New && flag);
                    prop_assert_eq!(polled, if ready { Poll::Ready(()) } else { Poll::Pending });
                    if ready {
                        prop_assert_eq!(probe.wakers(), 0);
                        waits.remove(at);
                    } else {
                        *state = State::Waiting;
                    }
                }
                EventAct::Cancel(at) if !waits.is_empty() => {
                    waits.remove(at.index(waits.len()));
                }
                EventAct::Set => {
                    event.set();
                    flag = true;
                    for (_, state) in &mut waits {
                        if *state == State::Waiting {
                            *state = State::Woken;
                        }
                    }
                }
                EventAct::Clear => {
                    event.clear();
                    flag = false;
                }
                EventAct::Poll(..) | EventAct::Cancel(_) => {}
            }
            prop_assert_eq!(event.is_set(), flag);
            for (probe, state) in &waits {
                prop_assert_eq!(probe.is_woken(), *state == State::Woken);
                prop_assert_eq!(probe.wakers(), usize::from(*state == State::Waiting));
            }
            let waiting = waits.iter().filter(|(_, state)| *state == State::Waiting).count();
            prop_assert!(format!("{event:?}").contains(&format!("waiting: {waiting} ")), "{:?}", event);
        }
    }
}

#[test]
fn a_cell_is_filled_once_by_one_of_many() {
    on_each_variant(|_| async {
        let cell = Arc::new(OnceCell::new());
        let runs = Arc::new(AtomicUsize::new(0));
        let asking: Vec<_> = (0..10)
            .map(|n| {
                let (cell, runs) = (cell.clone(), runs.clone());
                spawn(async move {
                    let init = || async {
                        runs.fetch_add(1, SeqCst);
                        for _ in 0..10 {
                            task::yield_now().await;
                        }
                        n
                    };
                    *cell.get_or_init(init).await
                })
            })
            .collect();
        let mut values = Vec::new();
        for task in asking {
            values.push(task.await.unwrap());
        }
        assert_eq!(values, [*cell.get().unwrap(); 10]);
        assert_eq!(runs.load(SeqCst), 1);
    });
}

#[test]
fn an_initialiser_that_panics_or_is_cancelled_lets_the_next_try() {
    on_each_variant(|_| async {
        let cell = Arc::new(OnceCell::new());
        let begun = Arc::new(AtomicUsize::new(0));
        let ask = |what: &'static str| {
            let (cell, begun) = (cell.clone(), begun.clone());
            spawn(async move {
                let init = || async {
                    begun.fetch_add(1, SeqCst);
                    match what {
                        "hangs" => std::future::pending().await,
                        "panics" => panic!("on purpose"),
                        name => name,
                    }
                };
                *cell.get_or_init(init).await
            })
        };
        let hangs = ask("hangs");
        until(|| begun.load(SeqCst) == 1).await;
        let panics = ask("panics");
        until(|| format!("{cell:?}").contains("waiting: 1")).await;
        let good = ask("good");
        until(|| format!("{cell:?}").contains("waiting: 2")).await;
        hangs.cancel();
        assert!(hangs.await.unwrap_err().is_cancelled());
        assert!(panics.await.unwrap_err().is_panic());
        assert_eq!(good.await.unwrap(), "good");
        assert_eq!(begun.load(SeqCst), 3);
    });
}

#[derive(Debug, Clone)]
enum CellAct {
    Ask,
    Poll(prop::sample::Index),
    Cancel(prop::sample::Index),
    /// The initialiser of one of them ends, well or not.
    End(prop::sample::Index, bool),
    Set,
}

fn cell_acts() -> impl Strategy<Value = Vec<CellAct>> {
    let index = any::<prop::sample::Index>;
    let act = prop_oneof![
        5 => Just(CellAct::Ask),
        12 => index().prop_map(CellAct::Poll),
        3 => index().prop_map(CellAct::Cancel),
        4 => (index(), prop::bool::weighted(0.2)).prop_map(|(at, well)| CellAct::End(at, well)),
        1 => Just(CellAct::Set),
    ];
    prop::collection::vec(act, 0..80)
}

/// One that asks a cell for its value, as the model sees it.
struct Asking<'a> {
    name: u32,
    probe: Probe<'a, Result<u32, u32>>,
    state: State,
    /// The act since which it waits.
    since: u32,
    /// What its initialiser awaits, until it is sent.
    end: Option<oneshot::Sender<Result<u32, u32>>>,
    ended: Option<Result<u32, u32>>,
}

proptest! {
    /// Against the value, who has the turn, and a state for each that asks.
    #[test]
    fn a_cell_is_a_value_and_a_turn(acts in cell_acts()) {
        let cell = OnceCell::new();
        let mut value = None;
        let mut holder = None;
        let mut asking: Vec<Asking<'_>> = Vec::new();
        /// The turn is free: the first that waits has it.
        fn pass_on(asking: &mut [Asking<'_>]) -> Option<u32> {
            let waiting = asking.iter_mut().filter(|one| one.state == State::Waiting);
            let next = waiting.min_by_key(|one| one.since)?;
            next.state = State::Woken;
            Some(next.name)
        }
        for (now, act) in (0..).zip(acts) {
            match act {
                CellAct::Ask => {
                    let (end, ended) = oneshot::channel();
                    let asked = cell.get_or_try_init(|| async { ended.await.unwrap() });
                    let probe = Probe::new(async { asked.await.copied() });
                    asking.push(Asking { name: now, probe, state: State::New, since: 0, end: Some(end), ended: None });
                }
                CellAct::Poll(at) if !asking.is_empty() => {
                    let at = at.index(asking.len());
                    let one = &mut asking[at];
                    let polled = one.probe.poll();
                    let may_go = one.state != State::Waiting;
                    if may_go && value.is_none() && holder.is_none_or(|holder| holder == one.name) {
                        holder = Some(one.name);
                    }
                    let expected = match value {
                        Some(value) if may_go => Poll::Ready(Ok(value)),
                        None if holder == Some(one.name) => one.ended.map_or(Poll::Pending, Poll::Ready),
                        _ => Poll::Pending,
                    };
                    prop_assert_eq!(polled, expected);
                    if holder == Some(one.name) {
                        one.state = State::New;
                    } else if may_go {
                        (one.state, one.since) = (State::Waiting, now);
                    }
                    let name = one.name;
                    if polled.is_ready() {
                        asking.remove(at);
                    }
                    match polled {
                        Poll::Ready(Ok(made)) if holder == Some(name) => {
                            (value, holder) = (Some(made), None);
                            for one in &mut asking {
                                if one.state == State::Waiting {
                                    one.state = State::Woken;
                                }
                            }
                        }
                        Poll::Ready(Err(_)) => holder = pass_on(&mut asking),
                        _ => {}
                    }
                }
                CellAct::Cancel(at) if !asking.is_empty() => {
                    let one = asking.remove(at.index(asking.len()));
                    if holder == Some(one.name) {
                        holder = pass_on(&mut asking);
                    }
                }
                CellAct::End(at, well) if !asking.is_empty() => {
                    let at = at.index(asking.len());
                    let one = &mut asking[at];
                    let result = if well { Ok(one.name) } else { Err(one.name) };
                    if let Some(end) = one.end.take() && end.send(result).is_ok() {
                        one.ended = Some(result);
                    }
                }
                CellAct::Set => {
                    let expected = match (value, holder) {
                        (Some(_), _) => Err(SetError::Initialized(now)),
                        (None, Some(_)) => Err(SetError::Initializing(now)),
                        (None, None) => Ok(()),
                    };
                    prop_assert_eq!(cell.set(now), expected);
                    if expected.is_ok() {
                        value = Some(now);
                    }
                }
                _ => {}
            }
            prop_assert_eq!(cell.get().copied(), value);
            for one in &asking {
                match one.state {
                    State::Waiting => prop_assert!(!one.probe.is_woken() && one.probe.wakers() == 1),
                    State::Woken => prop_assert!(one.probe.is_woken() && one.probe.wakers() == 0),
                    State::New => {}
                }
            }
        }
    }
}

fn on_the_test_clock(behaviour: impl Future<Output = ()>) {
    let _watchdog = crate::watchdog::Watchdog::new("a limiter");
    let clock = TestClock::new();
    EventLoop::builder().test_clock(&clock).build().unwrap().block_on(behaviour);
}

#[test]
fn a_limiter_lets_so_many_start() {
    on_each_variant(|_| async {
        let limiter = Arc::new(RateLimiter::new(3, Duration::from_millis(1)));
        let begin = Instant::now();
        let starts: Vec<_> = (0..10)
            .map(|_| {
                let limiter = limiter.clone();
                spawn(async move {
                    limiter.acquire().await;
                    Instant::now()
                })
            })
            .collect();
        let mut moments = Vec::new();
        for start in starts {
            moments.push(start.await.unwrap().duration_since(begin));
        }
        moments.sort();
        // The moments are read after the starts, so they say when one was at the latest, and none is early.
        for (n, moment) in moments.iter().enumerate() {
            assert!(*moment >= Duration::from_millis(n as u64 / 3), "{n}: {moments:?}");
        }
    });
}

#[test]
fn a_limiter_is_exact_on_the_test_clock() {
    on_the_test_clock(async {
        let begin = Instant::now();
        let limiter = RateLimiter::new(2, Duration::from_secs(10));
        let mut starts = Vec::new();
        for _ in 0..5 {
            limiter.acquire().await;
            starts.push(begin.elapsed().as_secs());
        }
        assert_eq!(starts, [0, 0, 10, 10, 20]);
        let even = RateLimiter::with_burst(5, Duration::from_secs(10), 2);
        let begin = Instant::now();
        let mut starts = Vec::new();
        for _ in 0..8 {
            even.acquire().await;
            starts.push(begin.elapsed().as_secs());
        }
        // Two at once, then one every two seconds; and never more than five in ten seconds.
        assert_eq!(starts, [0, 0, 2, 4, 6, 10, 10, 12]);
        assert!(!even.try_acquire());
    });
}

#[derive(Debug, Clone)]
enum LimiterAct {
    Acquire,
    TryAcquire,
    Cancel(prop::sample::Index),
    Pass(u64),
}

fn limiter_acts() -> impl Strategy<Value = Vec<LimiterAct>> {
    let act = prop_oneof![
        6 => Just(LimiterAct::Acquire),
        2 => Just(LimiterAct::TryAcquire),
        2 => any::<prop::sample::Index>().prop_map(LimiterAct::Cancel),
        3 => (0_u64..60).prop_map(LimiterAct::Pass),
    ];
    prop::collection::vec(act, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a line of arrivals, of which the first starts as soon as the starts before allow.
    #[test]
    fn a_limiter_is_a_line(
        (tokens, burst) in (1_usize..6).prop_flat_map(|tokens| (Just(tokens), 1..=tokens)),
        spacing in 1_u64..20,
        acts in limiter_acts(),
    ) {
        let interval = spacing * tokens as u64;
        let seconds = Duration::from_secs;
        on_the_test_clock(async move {
            let begin = Instant::now();
            let limiter = Rc::new(RateLimiter::with_burst(tokens, seconds(interval), burst));
            let seen = Rc::new(RefCell::new(Vec::new()));
            // The model: when each started, and who waits since when.
            let mut starts: Vec<u64> = Vec::new();
            let mut expected = Vec::new();
            let mut line: VecDeque<(usize, u64)> = VecDeque::new();
            let mut tasks = BTreeMap::new();
            let due = |starts: &[u64]| {
                let window = starts.len().checked_sub(tokens).map_or(0, |at| starts[at] + interval);
                // Of any m starts in a row the last is at least (m - burst) spacings after the first.
                let spaced = starts.iter().rev().zip(1..).map(|(start, after)| {
                    start + spacing * u64::saturating_sub(after + 1, burst as u64)
                });
                spaced.max().unwrap_or(0).max(window)
            };
            let mut now = 0;
            for (name, act) in acts.into_iter().enumerate() {
                match act {
                    LimiterAct::Acquire => {
                        let (limiter, seen) = (limiter.clone(), seen.clone());
                        tasks.insert(name, spawn_local(async move {
                            limiter.acquire().await;
                            seen.borrow_mut().push((name, begin.elapsed().as_secs()));
                        }));
                        line.push_back((name, now));
                    }
                    LimiterAct::TryAcquire => {
                        let may = line.is_empty() && due(&starts) <= now;
                        assert_eq!(limiter.try_acquire(), may);
                        if may {
                            starts.push(now);
                        }
                    }
                    LimiterAct::Cancel(at) if !line.is_empty() => {
                        let (name, _) = line.remove(at.index(line.len())).unwrap();
                        tasks.remove(&name).unwrap().cancel();
                    }
                    LimiterAct::Pass(time) => {
                        now += time;
                        sleep(seconds(time)).await;
                    }
                    LimiterAct::Cancel(_) => {}
                }
                // All that may start by now has, before the next act.
                for _ in 0..100 {
                    task::yield_now().await;
                }
                while let Some(&(name, since)) = line.front()
                    && due(&starts).max(since) <= now
                {
                    let at = due(&starts).max(since);
                    starts.push(at);
                    expected.push((name, at));
                    line.pop_front();
                }
                assert_eq!(*seen.borrow(), expected);
            }
            for (at, start) in starts.iter().enumerate() {
                let in_window = starts[at..].iter().take_while(|later| **later < start + interval);
                assert!(in_window.count() <= tokens, "{starts:?}");
            }
            for (_, task) in tasks {
                task.cancel();
                let _ = task.await;
            }
            assert!(format!("{limiter:?}").contains("waiting: 0"), "{limiter:?}");
        });
    }
}
