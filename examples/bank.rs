//! Five tellers move money between six accounts, and look after each transfer whether any is missing.
//!
//! ```text
//! cargo run --example bank -- unsafe
//! cargo run --example bank -- safe
//! cargo run --example bank -- fine-grained
//! cargo run --example bank -- deadlock --fast
//! ```
//!
//! - `unsafe`: no locks. While one teller has taken money and not yet put it, the others find it missing.
//! - `safe`: one lock for the whole bank. Nothing is ever missing, and one teller works at a time.
//! - `fine-grained`: a lock for each account. A transfer takes two, always that of the lower number first.
//! - `deadlock`: the same without that order. Soon one teller holds A and waits for B, while another
//!   holds B and waits for A. A dump names the tellers that are stuck, each with the line where it
//!   waits and the lock it waits for.
//!
//! The tellers are tasks of one thread. A task gives way at an `.await` and nowhere else, so the
//! program has a `yield_now` where a thread could be interrupted anywhere. `--seed` repeats the
//! transfers.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use clap::{Parser, ValueEnum};
use fastrand::Rng;
use indicatif::HumanCount;
use whirligig::{
    EventLoop, dump,
    sync::Mutex,
    task::{self, JoinHandle, yield_now},
    time::{Instant, TestClock, timeout},
};

const TELLERS: u64 = 5;
const BALANCES: [u32; 6] = [5000, 10_000, 7500, 7000, 6000, 9000];

/// No 500 transfers take that long, unless they wait for each other.
const DEADLOCK: Duration = Duration::from_secs(5);

/// Transfers between accounts, with and without locks.
#[derive(Parser)]
struct Options {
    /// How the accounts are protected
    locks: Locks,

    /// Transfers of each of the five tellers
    #[arg(long, default_value_t = 100)]
    transfers: u32,

    /// Run on the test clock, where a deadlock is found at once
    #[arg(long)]
    fast: bool,

    /// Draw accounts and amounts from this number [default: random]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Locks {
    Unsafe,
    Safe,
    FineGrained,
    Deadlock,
}

/// The balances of all accounts. A lock owns what it protects: without it there is no way to a balance.
enum Bank {
    Unsafe([Cell<u32>; 6]),
    Safe(Mutex<[u32; 6]>),
    FineGrained { accounts: Vec<Mutex<u32>>, in_order: bool },
}

impl Bank {
    fn new(locks: Locks) -> Self {
        match locks {
            Locks::Unsafe => Self::Unsafe(BALANCES.map(Cell::new)),
            Locks::Safe => Self::Safe(Mutex::new(BALANCES)),
            Locks::FineGrained | Locks::Deadlock => Self::FineGrained {
                accounts: BALANCES.map(Mutex::new).into(),
                in_order: matches!(locks, Locks::FineGrained),
            },
        }
    }

    async fn transfer(&self, from: usize, to: usize, amount: u32) {
        match self {
            Self::Unsafe(accounts) => {
                let (source, target) = (&accounts[from], &accounts[to]);
                if source.get() >= amount {
                    source.set(source.get() - amount);
                    yield_now().await; // another teller may run now
                    target.set(target.get() + amount);
                }
            }
            Self::Safe(accounts) => {
                let mut accounts = accounts.lock().await;
                if accounts[from] >= amount {
                    accounts[from] -= amount;
                    yield_now().await;
                    accounts[to] += amount;
                }
            }
            Self::FineGrained { accounts, in_order } => {
                let (mut source, mut target);
                if from < to || !in_order {
                    source = accounts[from].lock().await;
                    yield_now().await; // another teller may take the other lock now
                    target = accounts[to].lock().await;
                } else {
                    target = accounts[to].lock().await;
                    yield_now().await;
                    source = accounts[from].lock().await;
                }
                if *source >= amount {
                    *source -= amount;
                    yield_now().await;
                    *target += amount;
                }
            }
        } // here the guards are dropped: the end of Python's `with lock:`
    }

    async fn total(&self) -> u32 {
        match self {
            Self::Unsafe(accounts) => accounts.iter().map(Cell::get).sum(),
            Self::Safe(accounts) => accounts.lock().await.iter().sum(),
            Self::FineGrained { accounts, .. } => {
                let mut balances = Vec::new();
                for account in accounts {
                    balances.push(account.lock().await);
                }
                balances.iter().map(|balance| **balance).sum()
            }
        }
    }
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut event_loop = EventLoop::builder();
    if options.fast {
        event_loop = event_loop.test_clock(&TestClock::new());
    }
    event_loop.build()?.block_on(run(&options));
    Ok(())
}

async fn run(options: &Options) {
    let bank = Rc::new(Bank::new(options.locks));
    validate(bank.total().await, false);
    println!("Starting transfers...");
    let start = Instant::now();
    let seed = options.seed.unwrap_or_else(|| fastrand::u64(..));
    let mut tellers: Vec<JoinHandle<()>> = (1..=TELLERS)
        .map(|number| {
            let random = Rng::with_seed(seed.wrapping_add(number));
            let teller = teller(Rc::clone(&bank), options.transfers, random);
            task::Builder::new().name(format!("teller {number}")).spawn_local(teller)
        })
        .collect();

    let all_end = async {
        for teller in &mut tellers {
            teller.await.expect("no teller panics");
        }
    };
    if timeout(DEADLOCK, all_end).await.is_ok() {
        println!("Transfers complete ({:.2} sec).", start.elapsed().as_secs_f64());
        validate(bank.total().await, false);
        return;
    }
    let stuck = tellers.iter().filter(|teller| !teller.is_finished()).count();
    println!("Deadlock: {stuck} of {TELLERS} tellers wait for ever.");
    print!("{}", dump());
}

async fn teller(bank: Rc<Bank>, transfers: u32, mut random: Rng) {
    for _ in 0..transfers {
        let from = random.usize(..BALANCES.len());
        let to = (from + random.usize(1..BALANCES.len())) % BALANCES.len(); // another one
        bank.transfer(from, to, random.u32(1..=100)).await;
        validate(bank.total().await, true);
    }
}

fn validate(found: u32, quiet: bool) {
    let expected = BALANCES.iter().sum::<u32>();
    if found != expected {
        let (found, expected) = (HumanCount(found.into()), HumanCount(expected.into()));
        println!("ERROR: Inconsistent account balance: ${found} vs ${expected}");
    } else if !quiet {
        println!("All good: Consistent account balance: ${}", HumanCount(found.into()));
    }
}
