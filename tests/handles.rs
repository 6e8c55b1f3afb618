//! A handle's `block_on`, `enter` and `spawn_blocking`, on the thread of its loop and on others.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use whirligig::{
    EventLoop, Handle, Runtime, spawn, spawn_local,
    task::{self, spawn_blocking},
    time,
};

fn panic_text(f: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(f)).unwrap_err();
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => (*payload.downcast::<&str>().unwrap()).to_owned(),
    }
}

/// Runs `f` with the handle of a loop that another thread turns meanwhile.
fn beside_a_loop(f: impl FnOnce(Handle)) {
    let (send, receive) = channel();
    let turns = thread::spawn(move || {
        let event_loop = EventLoop::new().unwrap();
        send.send(event_loop.handle()).unwrap();
        event_loop.run_forever();
    });
    let handle = receive.recv().unwrap();
    f(handle.clone());
    handle.stop();
    turns.join().unwrap();
}

/// The same with a loop's handle and with a runtime's.
fn beside_each(f: impl Fn(Handle)) {
    beside_a_loop(&f);
    for workers in [1, 2] {
        f(Runtime::builder().worker_threads(workers).build().unwrap().handle());
    }
}

#[test]
fn a_future_is_run_here_and_its_tasks_there() {
    beside_a_loop(|handle| {
        let here = thread::current().id();
        let there = handle.spawn(async { thread::current().id() }).wait().unwrap();
        let not_send = Rc::new(7);
        let seven = handle.block_on(async move {
            assert_eq!(thread::current().id(), here);
            assert_eq!(spawn(async { thread::current().id() }).await.unwrap(), there);
            time::sleep(Duration::from_millis(1)).await;
            // What a task there needs of this one, and the other way round.
            let (tell, told) = futures_channel::oneshot::channel();
            let task = spawn(async { told.await.unwrap() + 1 });
            task::yield_now().await;
            tell.send(1).unwrap();
            assert_eq!(task.await.unwrap(), 2);
            assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3);
            *not_send
        });
        assert_eq!(seven, 7);
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn a_future_that_panics_panics_here() {
    beside_a_loop(|handle| {
        assert_eq!(panic_text(|| handle.block_on(async { panic!("no") })), "no");
        assert!(Handle::try_current().is_none());
        assert_eq!(handle.block_on(async { 1 }), 1);
    });
}

#[test]
fn on_its_own_thread_a_loop_s_block_on_says_what_to_do() {
    let event_loop = EventLoop::new().unwrap();
    let handle = event_loop.handle();
    let inside = event_loop.block_on(async { panic_text(|| handle.block_on(async {})) });
    let outside = panic_text(|| handle.block_on(async {}));
    for text in [inside, outside] {
        assert!(text.contains("await the future instead, or spawn it"), "{text}");
        assert!(text.contains("call `EventLoop::block_on`"), "{text}");
    }
    let runtime = Runtime::new().unwrap();
    let handle = runtime.handle();
    let inside = runtime.spawn(async move { panic_text(|| handle.block_on(async {})) });
    assert!(inside.wait().unwrap().contains("inside a task of the same runtime"));
}

#[test]
fn a_loop_may_be_entered_on_its_own_thread() {
    let event_loop = EventLoop::new().unwrap();
    let other = EventLoop::new().unwrap();
    let entered = event_loop.handle().enter();
    let not_send = Rc::new(42);
    let local = spawn_local(async move { *not_send });
    let sent = spawn(async { 43 });
    let call = spawn_blocking(|| spawn(async { 44 }));
    // Made here, awaited there; and a loop may be run while another is entered.
    let sleep = time::sleep(Duration::from_millis(1));
    assert_eq!(other.block_on(async { spawn(async { 1 }).await.unwrap() }), 1);
    drop(entered);
    assert!(Handle::try_current().is_none());
    event_loop.block_on(async {
        sleep.await;
        assert_eq!((local.await.unwrap(), sent.await.unwrap()), (42, 43));
        assert_eq!(call.await.unwrap().await.unwrap(), 44);
    });
}

#[test]
fn a_loop_or_a_runtime_may_be_entered_on_another_thread() {
    beside_each(|handle| {
        let entered = handle.enter();
        assert_eq!(spawn(async { 1 }).wait().unwrap(), 1);
        assert_eq!(spawn_blocking(|| 2).wait().unwrap(), 2);
        assert_eq!(Handle::current().spawn(async { 3 }).wait().unwrap(), 3);
        let sleep = time::sleep(Duration::from_millis(1));
        spawn(sleep).wait().unwrap();
        assert_eq!(Handle::current().block_on(async { spawn(async { 4 }).await.unwrap() }), 4);
        let text = panic_text(|| drop(spawn_local(async {})));
        assert!(text.contains("use `spawn` if the future can be made `Send`"), "{text}");
        drop(entered);
        assert!(Handle::try_current().is_none());
    });
}

#[test]
fn calls_are_made_by_a_handle_from_any_thread() {
    beside_each(|handle| {
        let name = handle.spawn_blocking(|| thread::current().name().map(str::to_owned));
        assert_eq!(name.wait().unwrap().unwrap(), "whirligig-blocking");
        let inner = handle.spawn_blocking(|| spawn(async { 5 }).wait().unwrap());
        assert_eq!(inner.wait().unwrap(), 5);
    });
}

/// Entered while its host has the loop: what is spawned then makes the loop's descriptor readable.
#[test]
fn a_loop_that_is_left_to_its_host_is_told_of_what_is_spawned() {
    let guest = EventLoop::new().unwrap();
    let host = EventLoop::new().unwrap();
    while guest.turn(Some(Duration::ZERO)).unwrap().ready {}
    let task = {
        let _entered = guest.handle().enter();
        spawn_local(async { 1 })
    };
    let descriptor = whirligig::io::Source::new(&guest).unwrap();
    host.block_on(async { descriptor.readable().await.unwrap() });
    while guest.turn(Some(Duration::ZERO)).unwrap().ready {}
    assert!(task.is_finished());
}
