//! What tasks do together: groups, locks, signals, queues. Each behaviour on every variant of the runtime.
//!
//! A behaviour is an `async` function with its assertions. [`on_each_variant`] runs it as a task on the event loop,
//! on the runtime with one worker, and on that with four, each time on a new one, and asks at the end that no task
//! of it is left.

use whirligig::task;

use self::variants::{VARIANTS, Variant, on_each_variant};

mod borrowing;
mod calls;
mod cancel_token;
mod channels;
mod groups;
mod locals;
mod locks;
mod many;
mod probe;
mod queues;
mod scopes;
mod signals;
mod sockets;
mod tokio_io;
#[path = "../support/variants.rs"]
mod variants;
#[path = "../support/watchdog.rs"]
mod watchdog;

/// Gives way until it is so. What never comes about is ended by the watchdog.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        task::yield_now().await;
    }
}

#[test]
fn a_behaviour_runs_on_each_variant() {
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    on_each_variant(|variant| {
        let seen = seen.clone();
        async move {
            task::yield_now().await;
            seen.lock().unwrap().push(variant);
        }
    });
    assert_eq!(*seen.lock().unwrap(), VARIANTS);
}

#[test]
#[should_panic(expected = "tasks are left")]
fn a_behaviour_that_leaves_a_task_is_found() {
    Variant::Workers(1).run(async { drop(whirligig::spawn(std::future::pending::<()>())) });
}
