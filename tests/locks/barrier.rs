//! The barrier. The model is a row of those that wait, and an answer for each that need not any more.

use std::task::Poll;

use proptest::{prelude::*, sample::Index};
use whirligig::sync::Barrier;

use super::Live;

#[derive(Debug, Clone)]
enum Act {
    Wait,
    Poll(Index, bool),
    Cancel(Index),
    Abort,
    Reset,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        40 => Just(Act::Wait),
        100 => (any::<Index>(), prop::bool::weighted(0.2)).prop_map(|(at, other)| Act::Poll(at, other)),
        20 => any::<Index>().prop_map(Act::Cancel),
        3 => Just(Act::Abort),
        5 => Just(Act::Reset),
    ];
    prop::collection::vec(act, 0..120)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    New,
    Waiting,
    /// Its index, if the barrier has opened for it.
    Answered(Option<usize>),
}

struct Model {
    parties: usize,
    futures: Vec<(usize, At)>,
    is_broken: bool,
}

impl Model {
    /// Answers all that wait: with their indices, or that the barrier is broken.
    fn answer_all(&mut self, opens: bool) {
        let waiting = self.futures.iter_mut().filter(|future| future.1 == At::Waiting);
        waiting.enumerate().for_each(|(at, future)| future.1 = At::Answered(opens.then_some(at)));
    }

    fn waiters(&self) -> usize {
        self.futures.iter().filter(|future| future.1 == At::Waiting).count()
    }

    fn poll(&mut self, id: usize) -> Option<Option<usize>> {
        let at = self.futures.iter().position(|future| future.0 == id).unwrap();
        match self.futures.remove(at).1 {
            At::Answered(answer) => return Some(answer),
            At::New if self.is_broken => return Some(None),
            At::New if self.waiters() + 1 == self.parties => {
                self.answer_all(true);
                return Some(Some(self.parties - 1));
            }
            // In the order in which they came.
            At::New => self.futures.push((id, At::Waiting)),
            state @ At::Waiting => self.futures.insert(at, (id, state)),
        }
        None
    }
}

fn check(parties: usize, acts: &[Act]) -> Result<(), TestCaseError> {
    let barrier = Barrier::new(parties);
    let mut live = Vec::new();
    let mut model = Model { parties, futures: Vec::new(), is_broken: false };
    for (step, act) in acts.iter().enumerate() {
        match act {
            Act::Wait => {
                live.push(Live::new(step, barrier.wait()));
                model.futures.push((step, At::New));
            }
            Act::Poll(at, as_another) if !live.is_empty() => {
                let at = at.index(live.len());
                let polled = live[at].poll(*as_another);
                let expected = model.poll(live[at].id);
                match polled {
                    Poll::Pending => prop_assert_eq!(expected, None),
                    Poll::Ready(answer) => {
                        prop_assert_eq!(expected, Some(answer.ok().map(|result| result.index())));
                        prop_assert!(
                            answer.is_err()
                                || answer.unwrap().is_leader()
                                    == (answer.unwrap().index() + 1 == parties)
                        );
                        live.swap_remove(at);
                    }
                }
            }
            Act::Cancel(at) if !live.is_empty() => {
                let cancelled = live.swap_remove(at.index(live.len()));
                model.futures.retain(|future| future.0 != cancelled.id);
            }
            Act::Abort => {
                barrier.abort();
                model.is_broken = true;
                model.answer_all(false);
            }
            Act::Reset => {
                barrier.reset();
                model.is_broken = false;
                model.answer_all(false);
            }
            _ => {}
        }

        for (id, at) in &model.futures {
            let one = live.iter().find(|one| one.id == *id).unwrap();
            let expected = usize::from(matches!(at, At::Answered(_)));
            prop_assert_eq!(one.wakes(), expected, "of {} at {:?} after step {}", id, at, step);
        }
        prop_assert_eq!(barrier.waiters(), model.waiters());
        prop_assert_eq!(barrier.is_broken(), model.is_broken);
    }
    Ok(())
}

proptest! {
    #[test]
    fn behaves_like_its_model(parties in 1..5usize, acts in acts()) {
        check(parties, &acts)?;
    }
}
