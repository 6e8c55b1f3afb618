//! A graph of calls that are made when their outcome is asked for: dask's `delayed` and `compute`.
//!
//! A [`Node`] knows its call and the nodes whose outputs that takes; it holds no output. A computation makes a future
//! for each node, and a `oneshot` channel for each edge: the future waits for its inputs, has a pool make the call, and
//! sends the output along its edges. So a call is submitted as soon as its inputs are there, without a list of what is
//! ready, and an output is gone once the last node that takes it has it.
//!
//! What must hold: a node is made before what takes it, so there are no cycles; and a computation asks for each node
//! once, however many take it. Outputs are `Any` inside, and each is taken out as the type of the [`Delayed`] that it
//! came through.
//!
//! **Alternative:** to keep outputs in the nodes, so that a second computation finds them. Then a graph holds all it
//! ever computed, and a call that failed could not be tried again.

#[cfg(feature = "process-pool")]
use std::future::ready;
use std::{
    any::Any,
    borrow::Cow,
    collections::HashMap,
    error::Error,
    fmt,
    future::{Future, pending},
    marker::PhantomData,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::call::{CallError, CallHandle, RESULT_ADVICE};
use crate::{
    engine::{base::error::debug_error, waiting::thread::wait_on_thread},
    sync::oneshot,
    task::try_gather,
};

/// An input or an output.
pub(super) type Value = Box<dyn Any + Send>;

type Call = Arc<dyn Fn(Vec<Value>) -> Value + Send + Sync>;

/// A node of a graph: a call that is made when it is computed. See [`delayed`].
///
/// Cloning it makes a second reference to the same node.
#[doc(alias = "dask.delayed.Delayed")]
pub struct Delayed<T> {
    node: Arc<Node>,
    output: PhantomData<fn() -> T>,
}

/// What a [`Delayed`] refers to. It is `pub` for [`Nodes`] alone.
#[doc(hidden)]
pub struct Node {
    name: Cow<'static, str>,
    location: &'static Location<'static>,
    /// In the order of the call's arguments. One may be there more than once.
    inputs: Vec<Arc<Node>>,
    work: Work,
    /// For all nodes that take the output but the last.
    clone: fn(&Value) -> Value,
}

enum Work {
    /// It is there already.
    Known(Box<dyn Fn() -> Value + Send + Sync>),
    Closure(Call),
    #[cfg(feature = "process-pool")]
    Function(Call, ByName),
}

/// What is needed to make the call elsewhere.
#[cfg(feature = "process-pool")]
#[derive(Clone, Copy)]
pub(super) struct ByName {
    pub(super) function: &'static str,
    pub(super) encode: fn(Vec<Value>) -> Result<Vec<u8>, CallError>,
    pub(super) decode: fn(&[u8]) -> Result<Value, CallError>,
}

/// Makes a node: the call of `f` with the outputs of `arguments`, which are nodes as well: one, a tuple of them, a `Vec`
/// or an array of one kind, or `()`. Nothing is called before the node is computed, by
/// [`ThreadPool::compute`](super::ThreadPool::compute).
///
/// The name is for errors and for [`Debug`](fmt::Debug). An output that several nodes take is cloned for each: put what
/// is large into an `Arc`. What the call needs beside nodes, the closure brings along.
///
/// A node that a `ProcessPool` is to compute is made by `Function::delayed`, of the feature `process-pool`.
///
/// ```
/// use whirligig::executor::{ThreadPool, delayed};
///
/// let squares: Vec<_> = (0..6).map(|n| delayed("square", (), move |()| n * n)).collect();
/// let largest = delayed("largest", squares.clone(), |all: Vec<u64>| all.into_iter().max().unwrap());
/// let sum = delayed("sum", squares, |all: Vec<u64>| all.iter().sum::<u64>());
/// let share = delayed("share", (largest, sum), |(largest, sum)| largest as f64 / sum as f64);
///
/// let pool = ThreadPool::new(4);
/// assert_eq!(pool.compute(&share).result()?, 25.0 / 55.0); // six calls of `square`, not twelve
/// # Ok::<(), whirligig::executor::ComputeError>(())
/// ```
#[track_caller]
#[doc(alias = "dask.delayed")]
pub fn delayed<A, T>(
    name: impl Into<Cow<'static, str>>,
    arguments: A,
    f: impl Fn(A::Outputs) -> T + Send + Sync + 'static,
) -> Delayed<T>
where
    A: Nodes,
    T: Clone + Send + 'static,
{
    let call: Call = Arc::new(move |inputs| Box::new(f(A::outputs(inputs))));
    Delayed::new(name.into(), arguments.nodes(), Work::Closure(call))
}

impl<T: Clone + Send + 'static> Delayed<T> {
    #[track_caller]
    fn new(name: Cow<'static, str>, inputs: Vec<Arc<Node>>, work: Work) -> Self {
        let clone = |output: &Value| -> Value { Box::new(output_ref::<T>(output).clone()) };
        let node = Node { name, location: Location::caller(), inputs, work, clone };
        Self { node: Arc::new(node), output: PhantomData }
    }

    /// A node that is a value.
    ///
    /// ```
    /// use whirligig::executor::{Delayed, ThreadPool, delayed};
    ///
    /// let two = Delayed::value(2);
    /// let four = delayed("add", (two.clone(), two), |(a, b)| a + b);
    /// assert_eq!(ThreadPool::new(1).compute(&four).result(), Ok(4));
    /// ```
    #[track_caller]
    pub fn value(value: T) -> Self
    where
        T: Sync,
    {
        let work = Work::Known(Box::new(move || Box::new(value.clone())));
        Self::new(Cow::Borrowed("value"), Vec::new(), work)
    }

    #[cfg(feature = "process-pool")]
    #[track_caller]
    pub(super) fn by_name<A: Nodes>(
        arguments: &A,
        call: impl Fn(A::Outputs) -> T + Send + Sync + 'static,
        by_name: ByName,
    ) -> Self {
        let call: Call = Arc::new(move |inputs| Box::new(call(A::outputs(inputs))));
        let work = Work::Function(call, by_name);
        Self::new(Cow::Borrowed(by_name.function), arguments.nodes(), work)
    }
}

impl<T> Delayed<T> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.node.name
    }
}

impl<T> Clone for Delayed<T> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node), output: PhantomData }
    }
}

impl<T> fmt::Debug for Delayed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.node.fmt(f)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inputs: Vec<_> = self.inputs.iter().map(|node| &node.name).collect();
        f.debug_struct("Delayed")
            .field("name", &self.name)
            .field("inputs", &inputs)
            .finish_non_exhaustive()
    }
}

/// A node that nothing refers to any more lets go of its inputs here, one after the other: each dropped inside the other
/// would use up the stack in a graph of many steps.
impl Drop for Node {
    fn drop(&mut self) {
        let mut inputs = std::mem::take(&mut self.inputs);
        while let Some(input) = inputs.pop() {
            if let Some(mut node) = Arc::into_inner(input) {
                inputs.append(&mut node.inputs);
            }
        }
    }
}

/// What a call of a graph takes, or a computation gives: one [`Delayed`], a tuple, a `Vec` or an array of them, or `()`.
///
/// No other crate implements it.
pub trait Nodes: private::Sealed {
    /// Their outputs, in the same form.
    type Outputs: Send + 'static;

    #[doc(hidden)]
    fn nodes(&self) -> Vec<Arc<Node>>;

    #[doc(hidden)]
    fn outputs(outputs: Vec<Value>) -> Self::Outputs;
}

mod private {
    #[expect(unnameable_types, reason = "no other crate is to implement it")]
    pub trait Sealed {}
}

fn output_ref<T: 'static>(output: &Value) -> &T {
    output.downcast_ref().expect("a node has the type of the `Delayed` it was made as")
}

fn output<T: 'static>(output: Value) -> T {
    *output.downcast().expect("a node has the type of the `Delayed` it was made as")
}

impl<T> private::Sealed for Delayed<T> {}
impl<T: Send + 'static> Nodes for Delayed<T> {
    type Outputs = T;

    fn nodes(&self) -> Vec<Arc<Node>> {
        vec![Arc::clone(&self.node)]
    }

    fn outputs(mut outputs: Vec<Value>) -> T {
        output(outputs.pop().expect("one node has one output"))
    }
}

impl<T> private::Sealed for Vec<Delayed<T>> {}
impl<T: Send + 'static> Nodes for Vec<Delayed<T>> {
    type Outputs = Vec<T>;

    fn nodes(&self) -> Vec<Arc<Node>> {
        self.iter().map(|delayed| Arc::clone(&delayed.node)).collect()
    }

    fn outputs(outputs: Vec<Value>) -> Vec<T> {
        outputs.into_iter().map(output).collect()
    }
}

impl<T, const N: usize> private::Sealed for [Delayed<T>; N] {}
impl<T: Send + 'static, const N: usize> Nodes for [Delayed<T>; N] {
    type Outputs = [T; N];

    fn nodes(&self) -> Vec<Arc<Node>> {
        self.iter().map(|delayed| Arc::clone(&delayed.node)).collect()
    }

    fn outputs(outputs: Vec<Value>) -> [T; N] {
        let mut outputs = outputs.into_iter().map(output);
        std::array::from_fn(|_| outputs.next().expect("as many outputs as nodes"))
    }
}

impl private::Sealed for () {}
impl Nodes for () {
    type Outputs = ();

    fn nodes(&self) -> Vec<Arc<Node>> {
        Vec::new()
    }

    fn outputs(_: Vec<Value>) {}
}

/// Tuples of so many nodes.
macro_rules! nodes_of_a_tuple {
    ($($T:ident $index:tt),+) => {
        impl<$($T),+> private::Sealed for ($(Delayed<$T>,)+) {}
        impl<$($T: Send + 'static),+> Nodes for ($(Delayed<$T>,)+) {
            type Outputs = ($($T,)+);

            fn nodes(&self) -> Vec<Arc<Node>> {
                vec![$(Arc::clone(&self.$index.node)),+]
            }

            fn outputs(outputs: Vec<Value>) -> Self::Outputs {
                let mut outputs = outputs.into_iter();
                ($(output::<$T>(outputs.next().expect("as many outputs as nodes")),)+)
            }
        }
    };
}

nodes_of_a_tuple!(A 0);
nodes_of_a_tuple!(A 0, B 1);
nodes_of_a_tuple!(A 0, B 1, C 2);
nodes_of_a_tuple!(A 0, B 1, C 2, D 3);
nodes_of_a_tuple!(A 0, B 1, C 2, D 3, E 4);
nodes_of_a_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);

/// A computation: its outputs, or the first error. Await it, or call [`result`](Self::result); nothing is called before.
///
/// *Cancel safety*: if it is dropped, the calls that have not begun are cancelled, and those that have go on, for
/// nothing. So it is after an error as well.
#[must_use = "nothing is computed before the outputs are asked for"]
pub struct Compute<T> {
    future: Pin<Box<dyn Future<Output = Result<T, ComputeError>> + Send>>,
}

impl<T> Compute<T> {
    /// Blocks this thread until all is computed. For plain threads: a task awaits it instead.
    ///
    /// # Errors
    /// [`ComputeError`]: the first call that failed, and its node.
    ///
    /// # Panics
    /// Inside a task, or in anything else that an event loop or a worker calls.
    #[track_caller]
    pub fn result(self) -> Result<T, ComputeError> {
        wait_on_thread(RESULT_ADVICE, self)
    }
}

impl<T> Future for Compute<T> {
    type Output = Result<T, ComputeError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.future.as_mut().poll(cx)
    }
}

impl<T> fmt::Debug for Compute<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compute").finish_non_exhaustive()
    }
}

/// A node of a graph that could not be computed, and why.
#[derive(Clone, PartialEq, Eq)]
pub struct ComputeError {
    node: Cow<'static, str>,
    location: &'static Location<'static>,
    error: CallError,
}

impl ComputeError {
    /// The name of the node.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Where the node was made.
    pub fn location(&self) -> &'static Location<'static> {
        self.location
    }

    /// Why its call has no output.
    pub fn error(&self) -> &CallError {
        &self.error
    }
}

impl fmt::Display for ComputeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, location, error } = self;
        write!(f, "the node `{node}`, made at {location}, was not computed: {error}")
    }
}

impl fmt::Debug for ComputeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_error("ComputeError", self, f)
    }
}

impl Error for ComputeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.error)
    }
}

impl Node {
    fn fails_with(&self, error: CallError) -> ComputeError {
        ComputeError { node: self.name.clone(), location: self.location, error }
    }

    /// The call, to be made in this process. `None`: there is none to be made.
    fn call(&self) -> Option<&Call> {
        match &self.work {
            Work::Known(_) => None,
            Work::Closure(call) => Some(call),
            #[cfg(feature = "process-pool")]
            Work::Function(call, _) => Some(call),
        }
    }
}

/// Computes on this process's threads. `submit` submits a call.
pub(super) fn compute_here<N: Nodes>(
    nodes: &N,
    submit: impl Fn(Box<dyn FnOnce() -> Value + Send>, &'static Location<'static>) -> CallHandle<Value>
    + Send
    + Sync
    + 'static,
) -> Compute<N::Outputs> {
    compute(nodes, move |node, inputs| {
        let call = Arc::clone(node.call().expect("a node that is not known has a call"));
        CancelOnDrop(submit(Box::new(move || call(inputs)), node.location))
    })
}

/// Computes a graph elsewhere: on whatever runs functions by name, such as workers on other machines. `submit` is given
/// the name of a function and its arguments as bytes, and gives what
/// [`AnyFunction::call_encoded`](super::AnyFunction#method.call_encoded) came to there. It is dropped if its output is
/// not wanted any more. Of the feature `process-pool`.
///
/// A graph with a node that is a closure is an error, before anything is submitted.
///
/// ```
/// use whirligig::executor::{AnyFunction, Delayed, Function, compute_with};
///
/// static SQUARE: Function<u64, u64> = Function::new("square", |n| n * n);
/// static SUM: Function<Vec<u64>, u64> = Function::new("sum", |all| all.iter().sum());
/// static KNOWN: [&dyn AnyFunction; 2] = [&SQUARE, &SUM];
///
/// let squares: Vec<_> = (1..4).map(|n| SQUARE.delayed(Delayed::value(n))).collect();
/// let sum = SUM.delayed(squares);
/// // Here "elsewhere" is the next line.
/// let sum = compute_with(&sum, async |name, arguments| {
///     KNOWN.iter().find(|known| known.name() == name).unwrap().call_encoded(&arguments)
/// });
/// assert_eq!(sum.result(), Ok(14));
/// ```
#[cfg(feature = "process-pool")]
pub fn compute_with<N, F, C>(nodes: &N, submit: F) -> Compute<N::Outputs>
where
    N: Nodes,
    F: Fn(&'static str, Vec<u8>) -> C + Send + Sync + 'static,
    C: Future<Output = Result<Vec<u8>, CallError>> + Send + 'static,
{
    let closure = Graph::of(&nodes.nodes()).nodes.into_iter().find(|node| {
        // Nothing else needs this process.
        matches!(node.work, Work::Closure(_))
    });
    if let Some(node) = closure {
        let why = "it is a closure, and other processes know functions by their names: make the \
                   node by `Function::delayed`";
        let error = node.fails_with(CallError::Encoding(why.to_owned()));
        return Compute { future: Box::pin(ready(Err(error))) };
    }
    compute(nodes, move |node, inputs| {
        let Work::Function(_, ByName { function, encode, decode }) = node.work else {
            unreachable!("a node that is not known, nor a closure, is a function")
        };
        let call = encode(inputs).map(|arguments| submit(function, arguments));
        async move {
            let output = call?.await?;
            super::call::outcome_of(|| decode(&output)).flatten()
        }
    })
}

/// A call whose output is not wanted any more is cancelled, if it has not begun.
pub(super) struct CancelOnDrop<T>(pub(super) CallHandle<T>);

impl<T> Future for CancelOnDrop<T> {
    type Output = Result<T, CallError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx)
    }
}

impl<T> Drop for CancelOnDrop<T> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// The nodes that some others need, each once, and what goes out of each.
struct Graph {
    /// Each after its inputs.
    nodes: Vec<Arc<Node>>,
    /// For each, its place in `nodes`.
    places: HashMap<*const Node, usize>,
}

impl Graph {
    fn of(roots: &[Arc<Node>]) -> Self {
        let mut graph = Self { nodes: Vec::new(), places: HashMap::new() };
        // Depth first, on a stack of our own: each node is looked at twice, before its inputs and after them.
        let mut stack: Vec<_> = roots.iter().rev().map(|root| (root, false)).collect();
        while let Some((node, inputs_are_in)) = stack.pop() {
            if graph.places.contains_key(&Arc::as_ptr(node)) {
                continue;
            }
            if inputs_are_in {
                graph.places.insert(Arc::as_ptr(node), graph.nodes.len());
                graph.nodes.push(Arc::clone(node));
            } else {
                stack.push((node, true));
                stack.extend(node.inputs.iter().rev().map(|input| (input, false)));
            }
        }
        graph
    }
}

/// See the top of this file. `submit` has a node's call made.
fn compute<N, C>(
    roots: &N,
    submit: impl Fn(&Node, Vec<Value>) -> C + Send + Sync + 'static,
) -> Compute<N::Outputs>
where
    N: Nodes,
    C: Future<Output = Result<Value, CallError>> + Send + 'static,
{
    let roots = roots.nodes();
    let Graph { nodes, places } = Graph::of(&roots);
    let mut outgoing: Vec<Vec<oneshot::Sender<Value>>> = nodes.iter().map(|_| Vec::new()).collect();
    let mut edges = |sources: &[Arc<Node>]| -> Vec<oneshot::Receiver<Value>> {
        let edges = sources.iter().map(|source| {
            let (sender, receiver) = oneshot::channel();
            outgoing[places[&Arc::as_ptr(source)]].push(sender);
            receiver
        });
        edges.collect()
    };
    let incoming: Vec<_> = nodes.iter().map(|node| edges(&node.inputs)).collect();
    let outputs = edges(&roots);
    let submit = Arc::new(submit);
    let nodes: Vec<_> = nodes
        .into_iter()
        .zip(incoming)
        .zip(outgoing)
        .map(|((node, incoming), outgoing)| compute_node(node, incoming, outgoing, submit.clone()))
        .collect();
    let future = async move {
        try_gather(nodes).await?;
        Ok(N::outputs(receive_all(outputs).await))
    };
    Compute { future: Box::pin(future) }
}

async fn compute_node<C: Future<Output = Result<Value, CallError>>>(
    node: Arc<Node>,
    incoming: Vec<oneshot::Receiver<Value>>,
    mut outgoing: Vec<oneshot::Sender<Value>>,
    submit: Arc<impl Fn(&Node, Vec<Value>) -> C>,
) -> Result<(), ComputeError> {
    let inputs = receive_all(incoming).await;
    let output = match &node.work {
        Work::Known(value) => value(),
        _ => submit(&node, inputs).await.map_err(|error| node.fails_with(error))?,
    };
    let last = outgoing.pop().expect("a node is there for one that takes its output");
    // Nobody is there to receive if the computation was dropped; then nobody is here to send, either.
    for edge in outgoing {
        drop(edge.send((node.clone)(&output)));
    }
    drop(last.send(output));
    Ok(())
}

async fn receive_all(edges: Vec<oneshot::Receiver<Value>>) -> Vec<Value> {
    let mut values = Vec::with_capacity(edges.len());
    for edge in edges {
        match edge.await {
            Ok(value) => values.push(value),
            // Its node failed, which ends the whole computation.
            Err(_) => pending().await,
        }
    }
    values
}
