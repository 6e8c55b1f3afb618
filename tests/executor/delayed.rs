//! Graphs of delayed calls: against a loop that computes the same, and where calls fail.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use proptest::prelude::*;
use whirligig::executor::{CallError, Delayed, ThreadPool, delayed};

use crate::{
    processes::{DIVIDE, SQUARE, pool as process_pool},
    variants::on_each_variant,
    watchdog::Watchdog,
};

/// A node, made of nodes before it.
#[derive(Debug, Clone)]
enum Shape {
    Value(u64),
    Pair(usize, usize),
    All(Vec<usize>),
}

fn shape() -> impl Strategy<Value = Shape> {
    let before = 0..usize::MAX;
    prop_oneof![
        1 => any::<u64>().prop_map(Shape::Value),
        3 => (before.clone(), before.clone()).prop_map(|(a, b)| Shape::Pair(a, b)),
        2 => prop::collection::vec(before, 0..5).prop_map(Shape::All),
    ]
}

fn pair(number: u64, a: u64, b: u64) -> u64 {
    a.wrapping_mul(3).wrapping_add(b) ^ number
}

fn all(number: u64, all: &[u64]) -> u64 {
    all.iter().fold(number, |sum, n| sum.wrapping_mul(5).wrapping_add(*n))
}

/// What the nodes come to, how many calls that takes from `roots`, and how many there were.
fn computed(shapes: &[Shape], roots: &[usize], pool: &ThreadPool) -> (Vec<u64>, usize, usize) {
    let calls = Arc::new(AtomicUsize::new(0));
    let mut nodes = vec![Delayed::value(0)];
    let mut values = vec![0];
    let mut inputs: Vec<Vec<usize>> = vec![Vec::new()];
    for (shape, number) in shapes.iter().zip(1..) {
        let count = nodes.len();
        let counter = calls.clone();
        let (node, value, needs) = match shape {
            Shape::Value(value) => (Delayed::value(*value), *value, Vec::new()),
            Shape::Pair(a, b) => {
                let (a, b) = (a % count, b % count);
                let node = delayed("pair", (nodes[a].clone(), nodes[b].clone()), move |(a, b)| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    pair(number, a, b)
                });
                (node, pair(number, values[a], values[b]), vec![a, b])
            }
            Shape::All(of) => {
                let of: Vec<_> = of.iter().map(|index| index % count).collect();
                let inputs: Vec<_> = of.iter().map(|index| nodes[*index].clone()).collect();
                let node = delayed("all", inputs, move |inputs: Vec<u64>| {
                    counter.fetch_add(1, Ordering::Relaxed);
                    all(number, &inputs)
                });
                let inputs: Vec<_> = of.iter().map(|index| values[*index]).collect();
                (node, all(number, &inputs), of)
            }
        };
        nodes.push(node);
        values.push(value);
        inputs.push(needs);
    }
    let roots: Vec<_> = roots.iter().map(|root| root % nodes.len()).collect();
    let wanted: Vec<_> = roots.iter().map(|root| nodes[*root].clone()).collect();
    assert_eq!(calls.load(Ordering::Relaxed), 0, "nothing is called before");
    let outputs = pool.compute(&wanted).result().unwrap();
    let expected: Vec<_> = roots.iter().map(|root| values[*root]).collect();
    assert_eq!(outputs, expected);

    let mut needed = vec![false; nodes.len()];
    let mut stack = roots;
    while let Some(index) = stack.pop() {
        if !std::mem::replace(&mut needed[index], true) {
            stack.extend(&inputs[index]);
        }
    }
    let is_call = |shape: &Shape| !matches!(shape, Shape::Value(_));
    let needs =
        shapes.iter().zip(&needed[1..]).filter(|(shape, needed)| **needed && is_call(shape));
    (outputs, needs.count(), calls.load(Ordering::Relaxed))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_graph_gives_what_a_loop_gives_and_calls_each_node_once(
        shapes in prop::collection::vec(shape(), 0..40),
        roots in prop::collection::vec(0..usize::MAX, 0..4),
    ) {
        let (_, needed, called) = computed(&shapes, &roots, &ThreadPool::new(3));
        prop_assert_eq!(needed, called);
    }
}

#[test]
fn a_graph_is_computed_in_tasks_and_again() {
    on_each_variant(|_| async {
        let pool = ThreadPool::new(2);
        let calls = Arc::new(AtomicUsize::new(0));
        let counter = calls.clone();
        let one = delayed("one", (), move |()| counter.fetch_add(1, Ordering::Relaxed));
        let three = delayed("three", [one.clone(), one.clone(), one], |ones: [usize; 3]| ones);
        let compute = pool.compute(&three);
        assert_eq!(calls.load(Ordering::Relaxed), 0, "nothing is called before");
        assert_eq!(compute.await.unwrap(), [0; 3]);
        assert_eq!(pool.compute(&three).await.unwrap(), [1; 3]);
        pool.shutdown(false, false);
        assert_eq!(pool.compute(&three).await.unwrap_err().error(), &CallError::ShutDown);
    });
}

#[test]
fn an_error_names_the_node_and_where_it_was_made() {
    let pool = ThreadPool::new(2);
    let zero = delayed("zero", (), |()| 0);
    let line = line!() + 1;
    let quotient = delayed("quotient", zero, |zero| 1 / zero);
    let sum = delayed("sum", (quotient, Delayed::value(1)), |_| -> i32 { unreachable!() });
    let error = pool.compute(&sum).result().unwrap_err();
    assert_eq!(error.node(), "quotient");
    assert_eq!(error.location().line(), line);
    let panicked = CallError::Panicked("attempt to divide by zero".to_owned());
    assert_eq!(error.error(), &panicked);
    let text = error.to_string();
    assert!(text.starts_with("the node `quotient`, made at tests/executor/delayed.rs:"), "{text}");
    assert!(
        text.ends_with("was not computed: the call panicked: attempt to divide by zero"),
        "{text}"
    );
}

#[test]
fn what_has_not_begun_is_cancelled_with_the_computation() {
    let _watchdog = Watchdog::new("a computation that is dropped");
    let pool = ThreadPool::new(1);
    let (begins, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let first = delayed("first", (), move |()| {
        begins.send(()).unwrap();
        gone.lock().unwrap().recv().unwrap_err();
    });
    let called = Arc::new(AtomicUsize::new(0));
    let counter = called.clone();
    let second = delayed("second", (), move |()| counter.fetch_add(1, Ordering::Relaxed));
    let mut compute = Box::pin(pool.compute(&(first, second)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(compute.as_mut().poll(&mut cx).is_pending());
    begun.recv().unwrap();
    drop(compute);
    drop(go);
    // The pool waits for what has begun.
    drop(pool);
    assert_eq!(called.load(Ordering::Relaxed), 0);
}

/// Also where it is dropped.
#[test]
fn a_graph_may_be_as_deep_as_it_likes() {
    let pool = ThreadPool::new(2);
    let mut node = Delayed::value(0_u64);
    for _ in 0..20_000 {
        node = delayed("next", node, |n| n + 1);
    }
    let small = thread::Builder::new().stack_size(256 << 10);
    let computed = small.spawn(move || pool.compute(&node).result()).unwrap();
    assert_eq!(computed.join().unwrap(), Ok(20_000));
}

#[test]
fn processes_compute_functions_and_refuse_closures() {
    let pool = process_pool(2);
    let nine = SQUARE.delayed(Delayed::value(3));
    let both = (SQUARE.delayed(nine.clone()), nine);
    assert_eq!(pool.compute(&both).result(), Ok((81, 9)));
    assert_eq!(ThreadPool::new(1).compute(&both).result(), Ok((81, 9)), "or threads do");

    let (one, none) = (Delayed::value(1), Delayed::value(0));
    let failing = DIVIDE.delayed(Delayed::value((1, 0)));
    let after = delayed("pair", (one, none), |pair: (i32, i32)| pair);
    let error = pool.compute(&failing).result().unwrap_err();
    assert_eq!(error.node(), "divide");
    assert_eq!(error.error(), &CallError::Panicked("attempt to divide by zero".to_owned()));

    let error = pool.compute(&DIVIDE.delayed(after)).result().unwrap_err();
    assert_eq!(error.node(), "pair");
    assert!(error.to_string().contains("`Function::delayed`"), "{error}");
}
