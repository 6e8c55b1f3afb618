//! Channels: what is sent is received, once, and what cannot be is given back.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::Poll,
    thread,
};

use proptest::prelude::*;
use whirligig::{
    spawn,
    sync::oneshot::{self, RecvError, TryRecvError},
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
        assert_eq!(receiving.await.unwrap(), Err(RecvError));
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
                        () if !open || sender.is_none() => Poll::Ready(Err(RecvError)),
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
