//! Channels: what is sent is received, once, and what cannot be is given back.

use std::{
    cell::Cell,
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    thread,
};

use futures_util::StreamExt;
use proptest::prelude::*;
use whirligig::{
    spawn,
    sync::{
        broadcast::{self, Lagged, RecvError},
        mpsc::{self, TrySendError},
        oneshot::{self, TryRecvError},
        watch,
    },
    task,
};

use crate::{
    probe::{Probe, Task},
    until,
    variants::on_each_variant,
};

#[test]
fn a_value_goes_from_task_to_task() {
    on_each_variant(|_| async {
        for n in 0..100 {
            let (sender, receiver) = oneshot::channel();
            let receiving = spawn(receiver);
            let sending = spawn(async move { sender.send(n) });
            assert_eq!(receiving.await.unwrap(), Ok(n));
            assert_eq!(sending.await.unwrap(), Ok(()));
        }
    });
}

#[test]
fn a_sender_that_is_dropped_is_told() {
    on_each_variant(|_| async {
        let (sender, receiver) = oneshot::channel::<u8>();
        let receiving = spawn(receiver);
        drop(sender);
        assert_eq!(receiving.await.unwrap(), Err(oneshot::RecvError));
    });
}

#[test]
fn a_sender_awaits_that_nobody_wants_its_value() {
    on_each_variant(|_| async {
        let (mut sender, receiver) = oneshot::channel();
        let receiving = spawn(receiver);
        let asked = Arc::new(AtomicBool::new(false));
        let sending = spawn({
            let asked = asked.clone();
            async move {
                asked.store(true, SeqCst);
                sender.closed().await;
                sender.send("too late")
            }
        });
        until(|| asked.load(SeqCst)).await;
        receiving.cancel();
        assert_eq!(sending.await.unwrap(), Err("too late"));
        assert!(receiving.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_thread_receives_and_sends() {
    on_each_variant(|_| async {
        let (sender, receiver) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let thread = thread::spawn(move || answer.send(receiver.blocking_recv().unwrap() + 1));
        sender.send(1).unwrap();
        assert_eq!(answered.await, Ok(2));
        thread.join().unwrap().unwrap();
        let (_sender, receiver) = oneshot::channel::<u8>();
        let refused = catch_unwind(AssertUnwindSafe(|| receiver.blocking_recv())).unwrap_err();
        let advice = refused.downcast_ref::<String>().unwrap();
        assert!(advice.contains("block_in_place"), "{advice}");
    });
}

#[test]
fn a_value_that_panics_when_dropped_harms_nothing_else() {
    struct Hostile;
    impl Drop for Hostile {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let (sender, mut receiver) = oneshot::channel();
    receiver.close();
    let mut closed = Probe::new(async move {
        let mut sender = sender;
        sender.closed().await;
        sender.send(Hostile)
    });
    let Poll::Ready(Err(value)) = closed.poll() else { panic!("the value was not given back") };
    assert!(catch_unwind(AssertUnwindSafe(move || drop(value))).is_err());

    let (sender, receiver) = oneshot::channel();
    assert!(sender.send(Hostile).is_ok());
    assert!(catch_unwind(AssertUnwindSafe(move || drop(receiver))).is_err());
}

#[test]
fn polled_after_its_answer_a_receiver_panics() {
    let (sender, receiver) = oneshot::channel();
    let mut probe = Probe::new(receiver);
    sender.send(1).unwrap();
    assert_eq!(probe.poll(), Poll::Ready(Ok(1)));
    let refused = catch_unwind(AssertUnwindSafe(|| probe.poll())).unwrap_err();
    assert!(refused.downcast_ref::<String>().unwrap().contains("polled after it was ready"));
}

/// A value that tells when it is dropped.
#[derive(Debug)]
struct Letter(Rc<Cell<u32>>);

impl Drop for Letter {
    fn drop(&mut self) {
        self.0.set(self.0.get() + 1);
    }
}

#[derive(Debug, Clone, Copy)]
enum OneshotAct {
    Send,
    DropSender,
    AwaitClosed,
    Close,
    DropReceiver,
    TryRecv,
    /// As the same task, or as another from now on.
    Recv(bool),
}

fn oneshot_acts() -> impl Strategy<Value = Vec<OneshotAct>> {
    let act = prop_oneof![
        2 => Just(OneshotAct::Send),
        1 => Just(OneshotAct::DropSender),
        4 => Just(OneshotAct::AwaitClosed),
        1 => Just(OneshotAct::Close),
        1 => Just(OneshotAct::DropReceiver),
        2 => Just(OneshotAct::TryRecv),
        6 => any::<bool>().prop_map(OneshotAct::Recv),
    ];
    prop::collection::vec(act, 0..16)
}

/// The sender, as it is held, or as it awaits that the receiver closes.
enum Held {
    Plain(oneshot::Sender<Letter>),
    Awaiting(Probe<'static, oneshot::Sender<Letter>>),
}

proptest! {
    /// Against four facts: whether a value is in, whether it may still come, whether one is taken, and who waits.
    #[test]
    fn a_oneshot_is_a_few_facts(acts in oneshot_acts()) {
        let drops = Rc::new(Cell::new(0));
        let (sender, receiver) = oneshot::channel();
        let (mut sender, mut receiver) = (Some(Held::Plain(sender)), Some(receiver));
        let mut task = Task::default();
        let (mut value_is_in, mut open, mut answered, mut waits) = (false, true, false, false);
        let mut sent = 0;
        for act in acts {
            match act {
                OneshotAct::Send => {
                    let Some(Held::Plain(plain)) = sender.take_if(|s| matches!(s, Held::Plain(_))) else {
                        continue;
                    };
                    let answer = plain.send(Letter(drops.clone()));
                    sent += 1;
                    prop_assert_eq!(answer.is_ok(), open);
                    value_is_in = open;
                    prop_assert_eq!(task.is_woken(), waits && open);
                }
                OneshotAct::DropSender => {
                    let was_there = sender.take().is_some();
                    if was_there {
                        prop_assert_eq!(task.is_woken(), waits && open);
                    }
                }
                OneshotAct::AwaitClosed => {
                    sender = sender.map(|held| match held {
                        Held::Awaiting(probe) => probe,
                        Held::Plain(mut plain) => Probe::new(async move {
                            plain.closed().await;
                            plain
                        }),
                    }).map(|mut probe| match probe.poll() {
                        Poll::Ready(plain) => {
                            assert!(!open && probe.wakers() == 0 && plain.is_closed());
                            Held::Plain(plain)
                        }
                        Poll::Pending => {
                            assert!(open && probe.wakers() == 1);
                            Held::Awaiting(probe)
                        }
                    });
                }
                OneshotAct::Close => {
                    if let Some(receiver) = &mut receiver {
                        receiver.close();
                        (open, waits) = (false, false);
                    }
                }
                OneshotAct::DropReceiver => {
                    receiver = None;
                    (value_is_in, open, waits) = (false, false, false);
                }
                OneshotAct::TryRecv => {
                    let Some(receiver) = &mut receiver else { continue };
                    let expected = match () {
                        () if value_is_in => Ok(()),
                        () if answered || !open || sender.is_none() => Err(TryRecvError::Closed),
                        () => Err(TryRecvError::Empty),
                    };
                    prop_assert_eq!(receiver.try_recv().map(drop), expected);
                    if expected != Err(TryRecvError::Empty) {
                        (value_is_in, open, answered, waits) = (false, false, true, false);
                    }
                }
                OneshotAct::Recv(moves) => {
                    let Some(receiver) = receiver.as_mut().filter(|_| !answered) else { continue };
                    if moves {
                        task = Task::default();
                    }
                    let polled = task.poll(receiver).map(|answer| answer.map(drop));
                    let expected = match () {
                        () if value_is_in => Poll::Ready(Ok(())),
                        () if !open || sender.is_none() => Poll::Ready(Err(oneshot::RecvError)),
                        () => Poll::Pending,
                    };
                    prop_assert_eq!(polled, expected);
                    waits = polled.is_pending();
                    if polled.is_ready() {
                        (value_is_in, open, answered) = (false, false, true);
                    }
                }
            }
            if let Some(Held::Awaiting(probe)) = &sender {
                prop_assert_eq!(probe.is_woken(), !open);
            }
            let kept = waits && sender.is_some();
            prop_assert_eq!(task.wakers(), usize::from(kept));
        }
        drop((sender, receiver));
        prop_assert_eq!(drops.get(), sent);
        prop_assert_eq!(task.wakers(), 0);
    }
}

// ---- watch ----

#[test]
fn receivers_see_the_latest_value() {
    on_each_variant(|_| async {
        let (sender, receiver) = watch::channel(0);
        let watching: Vec<_> = (0..4)
            .map(|_| {
                let mut receiver = receiver.clone();
                spawn(async move {
                    let mut last = 0;
                    while receiver.changed().await.is_ok() {
                        let value = *receiver.borrow_and_update();
                        assert!(value > last, "{value} after {last}");
                        last = value;
                    }
                    last
                })
            })
            .collect();
        let waiting = spawn({
            let mut receiver = receiver.clone();
            async move { receiver.wait_for(|n| *n >= 50).await.map(|n| *n) }
        });
        for n in 1..=100 {
            sender.send(n).unwrap();
            if n % 7 == 0 {
                task::yield_now().await;
            }
        }
        drop(sender);
        for task in watching {
            assert_eq!(task.await.unwrap(), 100);
        }
        assert!(waiting.await.unwrap().unwrap() >= 50);
        let mut receiver = receiver;
        let never = receiver.wait_for(|n| *n > 100).await;
        assert_eq!(never.map(|n| *n), Err(watch::RecvError));
    });
}

#[test]
fn a_value_that_is_looked_at_keeps_nobody_from_sending() {
    on_each_variant(|_| async {
        let (sender, mut receiver) = watch::channel(vec![1]);
        let seen = receiver.borrow_and_update();
        let other = spawn(async move {
            sender.send(vec![2]).unwrap();
            sender.send_modify(|value| value.push(3));
            sender
        });
        receiver.wait_for(|value| value.len() == 2).await.unwrap();
        assert_eq!((&*seen, &*receiver.borrow()), (&vec![1], &vec![2, 3]));
        drop(other.await.unwrap());
    });
}

#[test]
fn changes_at_once_lose_none() {
    on_each_variant(|_| async {
        let (sender, receiver) = watch::channel(0);
        let changing: Vec<_> = (0..4)
            .map(|_| {
                let sender = sender.clone();
                spawn(async move {
                    for _ in 0..100 {
                        sender.send_modify(|n| *n += 1);
                        task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in changing {
            task.await.unwrap();
        }
        assert_eq!(*receiver.borrow(), 400);
    });
}

#[test]
fn a_change_that_panics_changes_nothing_and_one_may_use_the_channel() {
    let (sender, receiver) = watch::channel(1);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        sender.send_modify(|n| {
            *n = 2;
            panic!("half way");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!((*receiver.borrow(), receiver.has_changed()), (1, Ok(false)));
    let mut nested = Some(10);
    sender.send_modify(|n| {
        if let Some(first) = nested.take() {
            sender.send(first).unwrap();
        }
        *n += 1;
    });
    assert_eq!(*receiver.borrow(), 11);
}

#[test]
fn a_watch_sender_awaits_that_nobody_watches() {
    on_each_variant(|_| async {
        let (sender, receiver) = watch::channel(0);
        let sending = spawn(async move {
            sender.closed().await;
            sender.send(1)
        });
        task::yield_now().await;
        drop(receiver);
        assert_eq!(sending.await.unwrap(), Err(watch::SendError(1)));
    });
}

/// A receiver as it is held, or inside a future that awaits with it and gives it back.
enum End<R, A> {
    Held(R),
    Awaiting(Probe<'static, (R, A)>, State),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Woken,
}

type Index = prop::sample::Index;

#[derive(Debug, Clone)]
enum ChannelAct {
    Send,
    CloneSender,
    DropSender,
    Subscribe,
    /// Look at what is there, without waiting.
    Look(Index),
    /// Wait, and give up at once.
    PollOnce(Index),
    /// Begin to wait, or poll again, as the same task or another.
    Await(Index, bool),
    DropReceiver(Index),
}

fn channel_acts() -> impl Strategy<Value = Vec<ChannelAct>> {
    let index = any::<Index>;
    let act = prop_oneof![
        6 => Just(ChannelAct::Send),
        1 => Just(ChannelAct::CloneSender),
        1 => Just(ChannelAct::DropSender),
        3 => Just(ChannelAct::Subscribe),
        3 => index().prop_map(ChannelAct::Look),
        3 => index().prop_map(ChannelAct::PollOnce),
        12 => (index(), prop::bool::weighted(0.2)).prop_map(|(at, moves)| ChannelAct::Await(at, moves)),
        2 => index().prop_map(ChannelAct::DropReceiver),
    ];
    prop::collection::vec(act, 0..80)
}

/// All ends of a channel, and what each receiver is at, by the model.
struct Ends<S, R, A> {
    senders: Vec<S>,
    receivers: Vec<(End<R, A>, u64)>,
}

impl<S, R, A> Ends<S, R, A> {
    /// Those that wait are woken, in the model.
    fn wake(&mut self) {
        for (end, _) in &mut self.receivers {
            if let End::Awaiting(_, state) = end {
                *state = State::Woken;
            }
        }
    }

    fn check_wakes(&self) -> Result<(), TestCaseError> {
        for (end, _) in &self.receivers {
            if let End::Awaiting(probe, state) = end {
                prop_assert_eq!(probe.is_woken(), *state == State::Woken);
                prop_assert_eq!(probe.wakers(), usize::from(*state == State::Waiting));
            }
        }
        Ok(())
    }
}

proptest! {
    /// Against a count of the values sent, and one of each receiver that says what it has seen.
    #[test]
    fn a_watch_is_a_count_of_versions(acts in channel_acts()) {
        type Changed = Result<(), watch::RecvError>;
        let (sender, receiver) = watch::channel(0);
        let mut ends: Ends<_, _, Changed> =
            Ends { senders: vec![sender], receivers: vec![(End::Held(receiver), 0)] };
        let mut sent = 0;
        for act in acts {
            let news = |seen: u64, senders: usize| match senders {
                _ if seen < sent => Poll::Ready(Ok(())),
                0 => Poll::Ready(Err(watch::RecvError)),
                _ => Poll::Pending,
            };
            let (senders, count) = (ends.senders.len(), ends.receivers.len());
            match act {
                ChannelAct::Send if senders != 0 => {
                    let answer = match sent % 3 {
                        0 if count != 0 => {
                            ends.senders[0].send_modify(|value| *value += 1);
                            Ok(())
                        }
                        _ => ends.senders[0].send(sent + 1),
                    };
                    prop_assert_eq!(answer.is_ok(), count != 0);
                    if answer.is_ok() {
                        sent += 1;
                        ends.wake();
                    }
                }
                ChannelAct::CloneSender if senders != 0 => ends.senders.push(ends.senders[0].clone()),
                ChannelAct::DropSender if senders != 0 => {
                    ends.senders.pop();
                    if ends.senders.is_empty() {
                        ends.wake();
                    }
                }
                ChannelAct::Subscribe if senders != 0 => {
                    let receiver = ends.senders[0].subscribe();
                    ends.receivers.push((End::Held(receiver), sent));
                }
                ChannelAct::Look(at) if count != 0 => {
                    let (end, seen) = &mut ends.receivers[at.index(count)];
                    if let End::Held(receiver) = end {
                        let has = news(*seen, senders);
                        prop_assert_eq!(receiver.has_changed(), match has {
                            Poll::Ready(ready) => ready.map(|()| true),
                            Poll::Pending => Ok(false),
                        });
                        prop_assert_eq!(*receiver.borrow(), sent);
                        prop_assert_eq!(*receiver.borrow_and_update(), sent);
                        *seen = sent;
                    }
                }
                ChannelAct::PollOnce(at) if count != 0 => {
                    let (end, seen) = &mut ends.receivers[at.index(count)];
                    if let End::Held(receiver) = end {
                        let mut task = Task::default();
                        prop_assert_eq!(task.poll(receiver.changed()), news(*seen, senders));
                        prop_assert_eq!(task.wakers(), 0);
                        *seen = sent;
                    }
                }
                ChannelAct::Await(at, moves) if count != 0 => {
                    let (end, mut seen) = ends.receivers.swap_remove(at.index(count));
                    let mut probe = match end {
                        End::Awaiting(probe, _) => probe,
                        End::Held(mut receiver) => Probe::new(async move {
                            let changed = receiver.changed().await;
                            (receiver, changed)
                        }),
                    };
                    let polled = if moves { probe.poll_as_another() } else { probe.poll() };
                    let expected = news(seen, senders);
                    let end = match polled {
                        Poll::Pending => {
                            prop_assert_eq!(expected, Poll::Pending);
                            End::Awaiting(probe, State::Waiting)
                        }
                        Poll::Ready((receiver, changed)) => {
                            prop_assert_eq!(expected, Poll::Ready(changed));
                            prop_assert_eq!(probe.wakers(), 0);
                            seen = sent;
                            End::Held(receiver)
                        }
                    };
                    ends.receivers.push((end, seen));
                }
                ChannelAct::DropReceiver(at) if count != 0 => {
                    ends.receivers.swap_remove(at.index(count));
                }
                _ => {}
            }
            ends.check_wakes()?;
            if let Some(sender) = ends.senders.first() {
                prop_assert_eq!(sender.receiver_count(), ends.receivers.len());
            }
        }
    }
}

// ---- broadcast ----

#[test]
fn each_receiver_gets_each_value() {
    on_each_variant(|_| async {
        let (sender, receiver) = broadcast::channel(8);
        let receiving: Vec<_> = (0..4)
            .map(|_| {
                let mut receiver = receiver.resubscribe();
                spawn(async move {
                    let mut seen = Vec::new();
                    loop {
                        match receiver.recv().await {
                            Ok(value) => seen.push(value),
                            Err(RecvError::Closed) => return seen,
                            Err(RecvError::Lagged(lost)) => panic!("{lost} lost"),
                        }
                    }
                })
            })
            .collect();
        drop(receiver);
        for n in 0..100 {
            assert_eq!(sender.send(n), Ok(4));
            until(|| sender.len() < 8).await;
        }
        drop(sender);
        for task in receiving {
            assert_eq!(task.await.unwrap(), (0..100).collect::<Vec<_>>());
        }
    });
}

#[test]
fn a_stream_of_a_broadcast_says_what_it_missed() {
    on_each_variant(|_| async {
        let (sender, receiver) = broadcast::channel(2);
        for n in 1..=5 {
            sender.send(n).unwrap();
        }
        let stream = spawn(receiver.collect::<Vec<_>>());
        drop(sender);
        assert_eq!(stream.await.unwrap(), [Err(Lagged(3)), Ok(4), Ok(5)]);
    });
}

#[test]
fn a_clone_that_panics_costs_its_receiver_one_value() {
    struct Hostile(bool);
    impl Clone for Hostile {
        fn clone(&self) -> Self {
            assert!(self.0, "not to be cloned");
            Self(true)
        }
    }
    let (sender, mut first) = broadcast::channel(8);
    let mut second = sender.subscribe();
    sender.send(Hostile(false)).unwrap();
    sender.send(Hostile(true)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| first.try_recv())).is_err());
    assert!(first.try_recv().is_ok_and(|value| value.0));
    // The last receiver of a value has the value, and no clone.
    assert!(second.try_recv().is_ok_and(|value| !value.0));
    assert!(second.try_recv().is_ok_and(|value| value.0));
    assert!(sender.is_empty());
}

#[test]
fn values_that_panic_when_dropped_harm_nothing_else() {
    #[derive(Clone)]
    struct Hostile(Rc<Cell<u32>>);
    impl Drop for Hostile {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
            panic!("dropped");
        }
    }
    let drops = Rc::new(Cell::new(0));
    let (sender, receiver) = broadcast::channel(2);
    for _ in 0..3 {
        assert_eq!(sender.send(Hostile(drops.clone())).ok(), Some(1));
    }
    assert_eq!(drops.get(), 1, "driven out");
    drop(receiver);
    assert_eq!(drops.get(), 3);
    let (sender, _receiver) = watch::channel(Hostile(drops.clone()));
    assert!(sender.send(Hostile(drops.clone())).is_ok());
    assert_eq!(drops.get(), 4);
    std::mem::forget(sender);
    std::mem::forget(_receiver);
}

#[test]
fn a_thread_receives_broadcasts() {
    on_each_variant(|_| async {
        let (sender, mut receiver) = broadcast::channel(8);
        let thread = thread::spawn(move || (receiver.blocking_recv(), receiver.blocking_recv()));
        sender.send(1).unwrap();
        until(|| sender.is_empty()).await;
        drop(sender);
        assert_eq!(thread.join().unwrap(), (Ok(1), Err(RecvError::Closed)));
    });
}

proptest! {
    /// Against the list of all values sent, and the position of each receiver in it.
    #[test]
    fn a_broadcast_is_a_list_and_positions(capacity in 1_u64..5, acts in channel_acts()) {
        type Received = Result<Rc<u64>, RecvError>;
        let (sender, receiver) = broadcast::channel(capacity as usize);
        let mut ends: Ends<_, _, Received> =
            Ends { senders: vec![sender], receivers: vec![(End::Held(receiver), 0)] };
        let mut sent: Vec<Rc<u64>> = Vec::new();
        let mut first = 0;
        for act in acts {
            let end_of_list = sent.len() as u64;
            let (senders, count) = (ends.senders.len(), ends.receivers.len());
            // What a receiver at this position is to find, and where it is then.
            let find = |next: u64| match senders {
                _ if next < first => (Some(Err(RecvError::Lagged(first - next))), first),
                _ if next < end_of_list => (Some(Ok(sent[next as usize].clone())), next + 1),
                0 => (Some(Err(RecvError::Closed)), next),
                _ => (None, next),
            };
            match act {
                ChannelAct::Send if senders != 0 => {
                    let value = Rc::new(end_of_list);
                    let answer = ends.senders[0].send(value.clone()).map_err(|error| *error.0);
                    prop_assert_eq!(answer, if count == 0 { Err(*value) } else { Ok(count) });
                    if count != 0 {
                        if end_of_list - first == capacity {
                            first += 1;
                        }
                        sent.push(value);
                        ends.wake();
                    }
                }
                ChannelAct::CloneSender if senders != 0 => ends.senders.push(ends.senders[0].clone()),
                ChannelAct::DropSender if senders != 0 => {
                    ends.senders.pop();
                    if ends.senders.is_empty() {
                        ends.wake();
                    }
                }
                ChannelAct::Subscribe if senders != 0 => {
                    let receiver = ends.senders[0].subscribe();
                    ends.receivers.push((End::Held(receiver), end_of_list));
                }
                ChannelAct::Look(at) if count != 0 => {
                    let (end, next) = &mut ends.receivers[at.index(count)];
                    if let End::Held(receiver) = end {
                        prop_assert_eq!(receiver.len() as u64, end_of_list - *next);
                        let (expected, then) = find(*next);
                        prop_assert_eq!(receiver.try_recv(), match expected {
                            Some(Ok(value)) => Ok(value),
                            Some(Err(RecvError::Closed)) => Err(broadcast::TryRecvError::Closed),
                            Some(Err(RecvError::Lagged(lost))) => Err(broadcast::TryRecvError::Lagged(lost)),
                            None => Err(broadcast::TryRecvError::Empty),
                        });
                        *next = then;
                    }
                }
                ChannelAct::PollOnce(at) if count != 0 => {
                    let (end, next) = &mut ends.receivers[at.index(count)];
                    if let End::Held(receiver) = end {
                        let mut task = Task::default();
                        let (expected, then) = find(*next);
                        let polled = task.poll(receiver.recv());
                        prop_assert_eq!(polled, expected.map_or(Poll::Pending, Poll::Ready));
                        prop_assert_eq!(task.wakers(), 0);
                        *next = then;
                    }
                }
                ChannelAct::Await(at, moves) if count != 0 => {
                    let (end, next) = ends.receivers.swap_remove(at.index(count));
                    let mut probe = match end {
                        End::Awaiting(probe, _) => probe,
                        End::Held(mut receiver) => Probe::new(async move {
                            let received = receiver.recv().await;
                            (receiver, received)
                        }),
                    };
                    let polled = if moves { probe.poll_as_another() } else { probe.poll() };
                    let (expected, then) = find(next);
                    let end = match polled {
                        Poll::Pending => {
                            prop_assert_eq!(expected, None);
                            End::Awaiting(probe, State::Waiting)
                        }
                        Poll::Ready((receiver, received)) => {
                            prop_assert_eq!(expected, Some(received));
                            prop_assert_eq!(probe.wakers(), 0);
                            End::Held(receiver)
                        }
                    };
                    ends.receivers.push((end, then));
                }
                ChannelAct::DropReceiver(at) if count != 0 => {
                    ends.receivers.swap_remove(at.index(count));
                }
                _ => {}
            }
            let slowest = ends.receivers.iter().map(|(_, next)| *next).min();
            first = first.max(slowest.unwrap_or(sent.len() as u64));
            ends.check_wakes()?;
            for (at, value) in sent.iter().enumerate() {
                // Here, and in the ring while somebody is to have it.
                prop_assert_eq!(Rc::strong_count(value), 1 + usize::from(at as u64 >= first));
            }
        }
    }
}

// ---- mpsc ----

#[test]
fn many_send_and_one_receives_to_the_end() {
    on_each_variant(|_| async {
        for capacity in [1, 8] {
            let (sender, mut receiver) = mpsc::channel(capacity);
            let sending: Vec<_> = (0..4)
                .map(|_| {
                    let sender = sender.clone();
                    spawn(async move {
                        for n in 1..=100 {
                            sender.send(n).await.unwrap();
                        }
                    })
                })
                .collect();
            drop(sender);
            let mut sum = 0;
            while let Some(n) = receiver.recv().await {
                sum += n;
            }
            assert_eq!(sum, 4 * 5050);
            assert_eq!(receiver.recv().await, None);
            for task in sending {
                task.await.unwrap();
            }
        }
    });
}

#[test]
fn a_receiver_that_goes_ends_the_senders() {
    on_each_variant(|_| async {
        let (sender, mut receiver) = mpsc::channel(1);
        let sending = spawn(async move {
            let mut sent = 0;
            while sender.send(sent).await.is_ok() {
                sent += 1;
            }
            sender.closed().await;
            sent
        });
        assert_eq!(receiver.recv().await, Some(0));
        drop(receiver);
        assert!(sending.await.unwrap() >= 1);
    });
}

#[test]
fn a_channel_is_a_stream_and_gives_in_batches() {
    on_each_variant(|_| async {
        let (sender, mut receiver) = mpsc::unbounded();
        for n in 1..=10 {
            sender.try_send(n).unwrap();
        }
        let mut batch = vec![0];
        assert_eq!(receiver.recv_many(&mut batch, 4).await, 4);
        assert_eq!(batch, [0, 1, 2, 3, 4]);
        drop(sender);
        assert_eq!(receiver.next().await, Some(5));
        assert_eq!(receiver.recv_many(&mut batch, 0).await, 0);
        assert_eq!(receiver.collect::<Vec<_>>().await, [6, 7, 8, 9, 10]);
    });
}

#[test]
fn room_that_is_reserved_is_kept_or_goes_to_the_next() {
    on_each_variant(|_| async {
        let (sender, mut receiver) = mpsc::channel(1);
        let permit = sender.reserve().await.unwrap();
        let next = spawn({
            let sender = sender.clone();
            async move { sender.send("second").await }
        });
        task::yield_now().await;
        assert_eq!(sender.try_send("third"), Err(TrySendError::Full("third")));
        permit.send("first").unwrap();
        assert_eq!(receiver.recv().await, Some("first"));
        next.await.unwrap().unwrap();
        assert_eq!(receiver.recv().await, Some("second"));
        let unused = sender.reserve().await.unwrap();
        let next = spawn({
            let sender = sender.clone();
            async move { sender.send("fourth").await }
        });
        task::yield_now().await;
        drop(unused);
        assert_eq!(receiver.recv().await, Some("fourth"));
        next.await.unwrap().unwrap();
    });
}

#[test]
fn threads_send_and_receive() {
    on_each_variant(|_| async {
        let (sender, mut receiver) = mpsc::channel(1);
        let (back, mut answers) = mpsc::channel(1);
        let echoing = thread::spawn(move || {
            while let Some(n) = receiver.blocking_recv() {
                back.blocking_send(n + 1).unwrap();
            }
        });
        for n in 0..10 {
            sender.send(n).await.unwrap();
            assert_eq!(answers.recv().await, Some(n + 1));
        }
        let refused = catch_unwind(AssertUnwindSafe(|| answers.blocking_recv())).unwrap_err();
        assert!(refused.downcast_ref::<String>().unwrap().contains("block_in_place"));
        drop(sender);
        assert_eq!(answers.recv().await, None);
        echoing.join().unwrap();
    });
}

#[derive(Debug, Clone)]
enum MpscAct {
    TrySend,
    /// Begin a send, or to reserve.
    Send(bool),
    PollSend(Index),
    CancelSend(Index),
    /// Send by a permit, or drop it.
    Use(Index, bool),
    TryRecv,
    /// By a future that is given up at once.
    PollOnce,
    /// By the stream, which goes on waiting.
    PollNext,
    CloneSender,
    DropSender,
    Close,
    DropReceiver,
}

fn mpsc_acts() -> impl Strategy<Value = Vec<MpscAct>> {
    let index = any::<Index>;
    let act = prop_oneof![
        6 => Just(MpscAct::TrySend),
        8 => prop::bool::weighted(0.3).prop_map(MpscAct::Send),
        16 => index().prop_map(MpscAct::PollSend),
        4 => index().prop_map(MpscAct::CancelSend),
        4 => (index(), prop::bool::weighted(0.7)).prop_map(|(at, sends)| MpscAct::Use(at, sends)),
        4 => Just(MpscAct::TryRecv),
        4 => Just(MpscAct::PollOnce),
        12 => Just(MpscAct::PollNext),
        2 => Just(MpscAct::CloneSender),
        1 => Just(MpscAct::DropSender),
        1 => Just(MpscAct::Close),
        1 => Just(MpscAct::DropReceiver),
    ];
    prop::collection::vec(act, 0..80)
}

/// A send, or a wait for room, that was begun.
struct Begun<'a> {
    item: u32,
    probe: Probe<'a, Result<Option<mpsc::Permit<'a, u32>>, ()>>,
    /// Not yet polled, waiting since an act, or woken.
    state: Result<State, ()>,
    since: u32,
}

proptest! {
    /// Against a list of items, and how much room is promised.
    #[test]
    fn an_mpsc_is_a_list_and_promises(capacity in 1_usize..4, acts in mpsc_acts()) {
        let (sender, receiver) = mpsc::channel(capacity);
        // The futures borrow this one; the others are for the count.
        let first = sender;
        let mut others = Vec::new();
        let mut receiver = Some(receiver);
        let mut stream = Task::default();
        let mut stream_waits = false;
        let mut items: VecDeque<u32> = VecDeque::new();
        let mut begun: Vec<Begun<'_>> = Vec::new();
        let mut permits = Vec::new();
        let mut closed = false;
        for (now, act) in (0..).zip(acts) {
            let woken = begun.iter().filter(|one| one.state == Ok(State::Woken)).count();
            let has_room = !closed && items.len() + woken + permits.len() < capacity;
            let next = match items.front() {
                Some(item) => Poll::Ready(Some(*item)),
                None if closed => Poll::Ready(None),
                None => Poll::Pending,
            };
            match act {
                MpscAct::TrySend => {
                    let expected = match () {
                        () if closed => Err(TrySendError::Closed(now)),
                        () if has_room => Ok(()),
                        () => Err(TrySendError::Full(now)),
                    };
                    prop_assert_eq!(first.try_send(now), expected);
                    if expected.is_ok() {
                        items.push_back(now);
                    }
                }
                MpscAct::Send(reserves) => {
                    let probe = if reserves {
                        let reserve = first.reserve();
                        Probe::new(async { reserve.await.map(Some).map_err(drop) })
                    } else {
                        let send = first.send(now);
                        Probe::new(async { send.await.map(|()| None).map_err(drop) })
                    };
                    begun.push(Begun { item: now, probe, state: Err(()), since: 0 });
                }
                MpscAct::PollSend(at) if !begun.is_empty() => {
                    let mut one = begun.swap_remove(at.index(begun.len()));
                    let may_go = match one.state {
                        Err(()) => has_room || closed,
                        Ok(state) => state == State::Woken,
                    };
                    match one.probe.poll() {
                        Poll::Pending => {
                            prop_assert!(!may_go);
                            if one.state.is_err() {
                                (one.state, one.since) = (Ok(State::Waiting), now);
                            }
                            begun.push(one);
                        }
                        Poll::Ready(Ok(permit)) => {
                            prop_assert!(may_go && !closed);
                            match permit {
                                Some(permit) => permits.push(permit),
                                None => items.push_back(one.item),
                            }
                        }
                        Poll::Ready(Err(())) => prop_assert!(closed),
                    }
                }
                MpscAct::CancelSend(at) if !begun.is_empty() => {
                    begun.swap_remove(at.index(begun.len()));
                }
                MpscAct::Use(at, sends) if !permits.is_empty() => {
                    let permit = permits.swap_remove(at.index(permits.len()));
                    if sends {
                        let sent = permit.send(now);
                        prop_assert_eq!(sent, if closed { Err(mpsc::SendError(now)) } else { Ok(()) });
                        if !closed {
                            items.push_back(now);
                        }
                    }
                }
                MpscAct::TryRecv => {
                    let Some(receiver) = &mut receiver else { continue };
                    prop_assert_eq!(receiver.try_recv(), match next {
                        Poll::Ready(Some(item)) => Ok(item),
                        Poll::Ready(None) => Err(mpsc::TryRecvError::Closed),
                        Poll::Pending => Err(mpsc::TryRecvError::Empty),
                    });
                    items.pop_front();
                    stream_waits = false;
                }
                MpscAct::PollOnce => {
                    let Some(receiver) = &mut receiver else { continue };
                    let mut task = Task::default();
                    prop_assert_eq!(task.poll(receiver.recv()), next);
                    prop_assert_eq!(task.wakers(), 0);
                    items.pop_front();
                    stream_waits = false;
                }
                MpscAct::PollNext => {
                    let Some(receiver) = &mut receiver else { continue };
                    prop_assert_eq!(stream.poll(receiver.next()), next);
                    items.pop_front();
                    stream_waits = next.is_pending();
                }
                MpscAct::CloneSender => others.push(first.clone()),
                MpscAct::DropSender => drop(others.pop()),
                MpscAct::Close => {
                    let Some(receiver) = &mut receiver else { continue };
                    receiver.close();
                    closed = true;
                }
                MpscAct::DropReceiver => {
                    receiver = None;
                    items.clear();
                    (closed, stream_waits) = (true, false);
                }
                _ => {}
            }
            if closed {
                permits.clear();
            }
            // First come, first served, as far as there is room.
            begun.sort_by_key(|one| one.since);
            let woken = begun.iter().filter(|one| one.state == Ok(State::Woken)).count();
            let mut room = capacity.saturating_sub(items.len() + woken + permits.len());
            for one in &mut begun {
                if one.state == Ok(State::Waiting) && (closed || room > 0) {
                    one.state = Ok(State::Woken);
                    room = room.saturating_sub(1);
                }
            }
            for one in &begun {
                prop_assert_eq!(one.probe.is_woken(), one.state == Ok(State::Woken));
            }
            if stream_waits {
                prop_assert_eq!(stream.is_woken(), closed || !items.is_empty());
            }
            let kept = stream_waits && !stream.is_woken();
            prop_assert_eq!(stream.wakers(), usize::from(kept));
            prop_assert_eq!(first.is_closed(), closed);
            if let Some(receiver) = &receiver {
                prop_assert_eq!(receiver.len(), items.len());
            }
        }
    }
}
