//! The operations that the behaviours are written in, ours and tokio's.

use std::{fmt::Debug, future::Future, time::Duration};

use whirligig::{EventLoop, Runtime};

/// How a task ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended<T> {
    Output(T),
    Panicked,
    Cancelled,
}

/// What a task can do with its runtime.
pub(crate) trait Api: 'static {
    type Handle<T: Send + 'static>: Send;

    fn spawn<F>(future: F) -> Self::Handle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static;
    fn spawn_blocking<T: Send + 'static>(
        f: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Ended<T>> + Send;
    fn cancel<T: Send + 'static>(handle: &Self::Handle<T>);
    fn join<T: Send + 'static>(handle: Self::Handle<T>) -> impl Future<Output = Ended<T>> + Send;
    fn yield_now() -> impl Future<Output = ()> + Send;
    fn sleep(delay: Duration) -> impl Future<Output = ()> + Send;
    fn timeout<F: Future<Output: Send> + Send>(
        delay: Duration,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send;
}

pub(crate) struct Ours;

impl Api for Ours {
    type Handle<T: Send + 'static> = whirligig::task::JoinHandle<T>;

    fn spawn<F>(future: F) -> Self::Handle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        whirligig::spawn(future)
    }

    async fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Ended<T> {
        ended(whirligig::task::spawn_blocking(f).await)
    }

    fn cancel<T: Send + 'static>(handle: &Self::Handle<T>) {
        handle.cancel();
    }

    async fn join<T: Send + 'static>(handle: Self::Handle<T>) -> Ended<T> {
        ended(handle.await)
    }

    async fn yield_now() {
        whirligig::task::yield_now().await;
    }

    async fn sleep(delay: Duration) {
        whirligig::time::sleep(delay).await;
    }

    async fn timeout<F: Future<Output: Send> + Send>(
        delay: Duration,
        future: F,
    ) -> Option<F::Output> {
        whirligig::time::timeout(delay, future).await.ok()
    }
}

fn ended<T>(result: Result<T, whirligig::task::JoinError>) -> Ended<T> {
    match result {
        Ok(output) => Ended::Output(output),
        Err(error) if error.is_panic() => Ended::Panicked,
        Err(_) => Ended::Cancelled,
    }
}

pub(crate) struct Tokio;

impl Api for Tokio {
    type Handle<T: Send + 'static> = tokio::task::JoinHandle<T>;

    fn spawn<F>(future: F) -> Self::Handle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        tokio::spawn(future)
    }

    async fn spawn_blocking<T: Send + 'static>(f: impl FnOnce() -> T + Send + 'static) -> Ended<T> {
        Self::join(tokio::task::spawn_blocking(f)).await
    }

    fn cancel<T: Send + 'static>(handle: &Self::Handle<T>) {
        handle.abort();
    }

    async fn join<T: Send + 'static>(handle: Self::Handle<T>) -> Ended<T> {
        match handle.await {
            Ok(output) => Ended::Output(output),
            Err(error) if error.is_panic() => Ended::Panicked,
            Err(_) => Ended::Cancelled,
        }
    }

    async fn yield_now() {
        tokio::task::yield_now().await;
    }

    async fn sleep(delay: Duration) {
        tokio::time::sleep(delay).await;
    }

    async fn timeout<F: Future<Output: Send> + Send>(
        delay: Duration,
        future: F,
    ) -> Option<F::Output> {
        tokio::time::timeout(delay, future).await.ok()
    }
}

pub(crate) fn runtime(workers: usize) -> Runtime {
    Runtime::builder().worker_threads(workers).build().unwrap()
}

/// What each of our variants says, by its name. The behaviour runs as the root future, and as a task
/// of the runtimes.
pub(crate) fn ours<F>(behaviour: impl Fn() -> F) -> Vec<(&'static str, F::Output)>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    let mut said = vec![("event loop", EventLoop::new().unwrap().block_on(behaviour()))];
    for (name, workers) in [("one worker", 1), ("two workers", 2)] {
        let runtime = runtime(workers);
        said.push((name, runtime.block_on(behaviour())));
        said.push((name, runtime.spawn(behaviour()).wait().unwrap()));
    }
    said
}

/// Runs a behaviour on all of ours and on both of tokio's, and demands that all say the same.
#[track_caller]
pub(crate) fn agree<O, F, T>(behaviour: impl Fn() -> F, oracle: impl Fn() -> T)
where
    O: Debug + PartialEq + Send + 'static,
    F: Future<Output = O> + Send + 'static,
    T: Future<Output = O> + Send + 'static,
{
    let current_thread = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let said = current_thread.unwrap().block_on(oracle());
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let multi_thread = builder.worker_threads(2).enable_all().build();
    assert_eq!(multi_thread.unwrap().block_on(oracle()), said, "the oracle is of two minds");
    for (variant, ours) in ours(behaviour) {
        assert_eq!(ours, said, "on {variant}");
    }
}
