//! What the jobs call: the functions that submitters and workers both know by name.

use std::{process, thread, time::Duration};

use whirligig::executor::{AnyFunction, Delayed, Function};

/// All of them.
pub(crate) static KNOWN: [&dyn AnyFunction; 4] = [&PRIMES, &SUM, &POISON, &CRASH];

/// From, to, and milliseconds to sleep first: that the job takes a while, on any machine.
type Part = (u64, u64, u64);

static PRIMES: Function<Part, u64> = Function::new("primes", |(from, to, pause)| {
    thread::sleep(Duration::from_millis(pause));
    (from..to).filter(|&n| is_prime(n)).count() as u64
});

static SUM: Function<Vec<u64>, u64> = Function::new("sum", |parts| parts.iter().sum());

static POISON: Function<String, u64> = Function::new("poison", |text| panic!("{text}"));

/// It takes its worker along, as a call does that runs out of memory.
static CRASH: Function<u64, u64> = Function::new("crash", |_| process::abort());

fn is_prime(n: u64) -> bool {
    n >= 2 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

/// How many primes there are below a number: counted in parts, the parts summed up in a tree.
pub(crate) fn primes(below: u64, parts: u64, pause: Duration) -> Delayed<u64> {
    let pause = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let cut = |part| below / parts * part + below % parts * part / parts;
    let mut counts: Vec<_> = (0..parts)
        .map(|part| PRIMES.delayed(Delayed::value((cut(part), cut(part + 1), pause))))
        .collect();
    while counts.len() > 1 {
        counts = counts.chunks(4).map(|some| SUM.delayed(some.to_vec())).collect();
    }
    counts.pop().expect("there is at least one part")
}

/// A call that panics each time.
pub(crate) fn poison() -> Delayed<u64> {
    POISON.delayed(Delayed::value("no antidote".to_owned()))
}

/// A call that ends each worker that makes it.
pub(crate) fn crash() -> Delayed<u64> {
    CRASH.delayed(Delayed::value(0))
}
