
use std::{time::Instant, future::poll_fn, task::Poll};
use whirligig::{run, spawn_local, task::yield_now};
fn best(mut f: impl FnMut()) -> f64 { (0..7).map(|_| { let t = Instant::now(); f(); t.elapsed().as_nanos() as f64 }).fold(f64::MAX, f64::min) }
fn main() {
    for n in [1_000usize, 10_000, 100_000] {
        let y = best(|| run(async move {
            let h: Vec<_> = (0..n).map(|_| spawn_local(async { let buf = [1u8; 100]; for _ in 0..20 { yield_now().await } std::hint::black_box(buf); })).collect();
            for h in h { h.await.unwrap() }
        })) / (n as f64 * 20.0);
        let s = best(|| run(async move { for _ in 0..5 {
            let h: Vec<_> = (0..n).map(|_| spawn_local(async { 1 })).collect();
            for h in h { h.await.unwrap(); }
        } })) / (n as f64 * 5.0);
        let w = best(|| run(async move {
            let wakers = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
            let h: Vec<_> = (0..n).map(|_| { let w = wakers.clone(); spawn_local(async move { let mut k = 0; let buf = [0u8; 100]; poll_fn(|cx| { k += 1; if k > 20 { return Poll::Ready(()) } w.borrow_mut().push(cx.waker().clone()); Poll::Pending }).await; std::hint::black_box(buf); }) }).collect();
            for _ in 0..21 { yield_now().await; let l: Vec<std::task::Waker> = wakers.take(); for w in l { w.wake() } }
            for h in h { h.await.unwrap() }
        })) / (n as f64 * 20.0);
        println!("{n}: yield {y:.1} spawn_join {s:.1} wake {w:.1}");
    }
}
