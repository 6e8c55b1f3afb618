//! The twins of Python programs, which `docs/twins.md` lists: each prints what its original prints.
//!
//! What is expected is what the originals print, written out or computed. `originals.rs` runs them.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufRead, BufReader, Read, Write, pipe},
    process::{Command, Stdio},
    time::Duration,
};

use fastrand::Rng;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::{Background, example, output, refuses, without_times};

/// What example `name` prints.
#[track_caller]
pub(crate) fn printed(name: &str, arguments: &[&str]) -> String {
    output(example(name).args(arguments))
}

#[test]
fn hello() {
    let expected = "Hello...\nWorld!\nHello Outside coroutines\n";
    assert_eq!(output(example("hello").arg("--fast")), expected);
    refuses("hello", &["--quick"], "--quick");
}

/// One item: which producer put it when, and when the consumer takes it.
struct Passage {
    producer: u64,
    item: u64,
    put_at: Duration,
    taken_at: Duration,
}

impl Passage {
    fn processed(&self) -> String {
        let latency = (self.taken_at - self.put_at).as_secs_f64();
        format!(" +++ Processed value {} after {latency:.2} sec.", self.item * self.item)
    }
}

/// The 40 items of two producers, in the order in which they are put, and when everything has ended:
/// computed from the delays that the seed gives, without tasks, timers or a queue.
fn passages(seed: u64) -> (Vec<Passage>, Duration) {
    let mut passages = Vec::new();
    let mut end = Duration::ZERO;
    for producer in 0..2 {
        let mut random = Rng::with_seed(seed + producer);
        let mut now = Duration::ZERO;
        for item in 1..=20 {
            passages.push(Passage { producer, item, put_at: now, taken_at: now });
            now += Duration::from_secs_f64(0.5 + random.f64());
        }
        end = end.max(now);
    }
    passages.sort_by_key(|passage| passage.put_at);

    // The consumer takes the items in the order in which they were put, half a second each.
    let mut free = Duration::ZERO;
    for passage in &mut passages {
        passage.taken_at = free.max(passage.put_at);
        free = passage.taken_at + Duration::from_millis(500);
    }
    (passages, end.max(free))
}

/// The lines that begin with `start`.
fn lines<'p>(printed: &'p str, start: &str) -> Vec<&'p str> {
    printed.lines().filter(|line| line.starts_with(start)).collect()
}

#[test]
fn producer_consumer() {
    for seed in [1, 2, 3] {
        let printed = printed("producer_consumer", &["--fast", "--seed", &seed.to_string()]);
        let (passages, end) = passages(seed);
        let last = format!("App exiting, total time: {:.2} sec.", end.as_secs_f64());
        assert_eq!(printed.lines().next(), Some("App started."), "{printed}");
        assert_eq!(printed.lines().last(), Some(&*last), "{printed}");

        let processed: Vec<String> = passages.iter().map(Passage::processed).collect();
        assert_eq!(lines(&printed, " +++ "), processed, "{printed}");
        let generated = |passage: &Passage| format!(" -- generated item {}", passage.item);
        let generated: Vec<String> = passages.iter().map(generated).collect();
        assert_eq!(lines(&printed, " -- "), generated, "{printed}");
        assert_eq!(printed.lines().count(), 2 + 40 + 40, "{printed}");
    }
    refuses("producer_consumer", &["--seed", "red"], "--seed");
}

#[test]
fn producer_consumer_colours_only_where_they_are_wanted() {
    let printed = |variables: &[&str]| {
        let mut program = example("producer_consumer");
        program.arg("--fast").envs(variables.iter().map(|variable| (variable, "1")));
        program.output().expect("the example starts").stdout
    };
    let is_coloured = |printed: Vec<u8>| printed.contains(&0x1b);
    assert!(is_coloured(printed(&["CLICOLOR_FORCE"])));
    assert!(!is_coloured(printed(&["CLICOLOR_FORCE", "NO_COLOR"])));
    assert!(!is_coloured(printed(&[])), "a pipe gets plain text");
}

/// All is produced before anything is consumed, and time passes for one thing after the other.
#[test]
fn producer_consumer_sync() {
    for seed in [1, 2, 3] {
        let mut expected = vec!["App started.".to_owned()];
        let mut random = Rng::with_seed(seed);
        let mut now = Duration::ZERO;
        let mut puts = Vec::new();
        for item in 1..=20_u64 {
            expected.push(format!(" -- generated item {item}"));
            puts.push((now, item));
            now += Duration::from_secs_f64(0.5 + random.f64());
        }
        for (put_at, item) in puts {
            let latency = (now - put_at).as_secs_f64();
            expected.push(format!(" +++ Processed value {} after {latency:.2} sec.", item * item));
            now += Duration::from_millis(500);
        }
        expected.push(format!("App exiting, total time: {:.2} sec.", now.as_secs_f64()));
        let printed = printed("producer_consumer_sync", &["--fast", "--seed", &seed.to_string()]);
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    }
}

#[test]
fn tasks() {
    for (program, expected) in [
        (
            "gather",
            "Task1 start\nTask2 start\nTask3 start\nTask2 finished\nTask1 finished\n\
             Task3 finished\nResults: [2, 1, 3]\n",
        ),
        (
            "create-task",
            "Task 1 started\nTask 3 started\nTask 2 started\n\
             Task 1 finished\nTask 2 finished\nTask 3 finished\n",
        ),
        ("as-completed", "Downloaded 1\nDownloaded 2\nDownloaded 3\n"),
    ] {
        assert_eq!(printed("tasks", &[program, "--fast"]), expected, "{program}");
    }
}

/// While another thread blocks, the ticker ticks; where the loop's own thread does, it does not.
#[test]
fn tasks_beside_a_call_that_blocks() {
    let beside = printed("tasks", &["to-thread"]);
    let lines: Vec<&str> = beside.lines().collect();
    let [first, ticks @ .., last] = &lines[..] else { panic!("two lines at least: {beside}") };
    assert_eq!((*first, *last), ("Start async", "Done (blocking)"));
    let numbered: Vec<String> = (1..=ticks.len()).map(|number| format!("tick {number}")).collect();
    assert!(!ticks.is_empty() && ticks == numbered, "{beside}");
    assert_eq!(printed("tasks", &["frozen"]), "Start async\nDone (blocking)\n");
}

#[test]
fn generator() {
    let expected = "1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, \
                    4181, 6765, 10946, \nDone\n";
    for way in ["iterator", "state-machine", "async-block"] {
        assert_eq!(printed("generator", &[way]), expected, "{way}");
    }
}

#[test]
fn green() {
    assert_eq!(printed("green", &["greenlet"]), "Foo start\nBar start\nFoo end\nBar end\n");
    assert_eq!(printed("green", &["gevent", "--fast"]), "T1 start\nT2 start\nT2 done\nT1 done\n");
}

/// The number in `Counter: 1002 of 5000`.
fn counted(printed: &str) -> u32 {
    let number = printed.strip_prefix("Counter: ").and_then(|rest| rest.strip_suffix(" of 5000\n"));
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("counted {printed:?}"))
}

#[test]
fn counter_loses_nothing_with_a_lock() {
    assert_eq!(counted(&printed("counter", &["threads", "--lock"])), 5000);
    assert_eq!(counted(&printed("counter", &["tasks", "--lock"])), 5000);
}

/// In each round all five tasks read the same number before the first writes: four of five are lost.
#[test]
fn counter_of_tasks_loses_the_same_in_each_run() {
    assert_eq!(counted(&printed("counter", &["tasks"])), 1000);
}

/// How much threads lose differs from run to run, and may be nothing; but not in a hundred runs.
#[test]
fn counter_of_threads_loses_updates() {
    let mut counts = (0..100).map(|_| counted(&printed("counter", &["threads"])));
    assert!(counts.any(|count| count < 5000), "a hundred runs, and not one update was lost");
}

#[test]
fn queue_threads() {
    let expected = "Consumed 0\nConsumed 1\nConsumed 2\nConsumed 3\nConsumed 4\n";
    assert_eq!(printed("queue_threads", &[]), expected);
}

/// What happens within five seconds happens; then all three end, and after that the program.
#[test]
fn nursery() {
    for seed in [1, 2, 3] {
        let printed = printed("nursery", &["--fast", "--seed", &seed.to_string()]);
        let in_time = |moment: Duration| moment < Duration::from_secs(5);
        let (passages, _) = passages(seed);
        let put = passages.iter().filter(|passage| in_time(passage.put_at));
        let generated: Vec<String> = put
            .map(|passage| {
                format!(" -- Producer {} generated item {}", passage.producer + 1, passage.item)
            })
            .collect();
        assert_eq!(lines(&printed, " -- "), generated, "{printed}");
        let taken = passages.iter().filter(|passage| in_time(passage.taken_at));
        let processed: Vec<String> = taken.map(Passage::processed).collect();
        assert_eq!(lines(&printed, " +++ "), processed, "{printed}");

        let lines: Vec<&str> = printed.lines().collect();
        assert_eq!(lines.len(), 1 + generated.len() + processed.len() + 4, "{printed}");
        assert_eq!(lines[0], "App started.");
        let [.., a, b, c, last] = lines[..] else { panic!("four lines at least: {printed}") };
        let mut ended = [a, b, c];
        ended.sort_unstable();
        assert_eq!(ended, ["Consumer has ended", "Producer 1 has ended", "Producer 2 has ended"]);
        assert_eq!(last, "App exiting, total time: 5.00 sec.");
    }
}

/// What `bank` prints, without the errors: those tell what is missing, and there are so many of them.
fn bank(locks: &str, seed: u64) -> (Vec<String>, Vec<u32>) {
    let printed = printed("bank", &[locks, "--fast", "--seed", &seed.to_string()]);
    let found = |line: &str| {
        let found = line.strip_prefix("ERROR: Inconsistent account balance: $")?;
        let found = found.strip_suffix(" vs $44,500")?;
        found.replace(',', "").parse().ok()
    };
    let errors = printed.lines().filter_map(found).collect();
    let others = printed.lines().filter(|line| found(line).is_none());
    (others.map(without_times).collect(), errors)
}

const GOOD: [&str; 4] = [
    "All good: Consistent account balance: $44,500",
    "Starting transfers...",
    "Transfers complete (#.## sec).",
    "All good: Consistent account balance: $44,500",
];

/// Money is missing while another teller has it: at most 100 for each of the other four.
#[test]
fn bank_without_locks() {
    for seed in [1, 2, 3] {
        let (lines, errors) = bank("unsafe", seed);
        assert_eq!(lines, GOOD);
        assert!(!errors.is_empty(), "no teller looked while another one had taken money");
        assert!(errors.iter().all(|found| (44_100..44_500).contains(found)), "{errors:?}");
    }
}

#[test]
fn bank_with_locks() {
    for seed in [1, 2, 3] {
        for locks in ["safe", "fine-grained"] {
            assert_eq!(bank(locks, seed), (GOOD.map(str::to_owned).to_vec(), vec![]), "{locks}");
        }
    }
}

/// Each teller is named, with the line where it waits for a lock.
#[test]
fn bank_with_locks_in_any_order() {
    for seed in [1, 2, 3] {
        let (lines, errors) = bank("deadlock", seed);
        assert_eq!(errors, []);
        assert_eq!(lines[..2], GOOD[..2]);
        assert_eq!(lines[2], "Deadlock: 5 of 5 tellers wait for ever.");
        for number in 1..=5 {
            let name = format!("'teller {number}'");
            let of_teller = lines.iter().find(|line| line.contains(&name));
            let of_teller = of_teller.unwrap_or_else(|| panic!("no {name}: {lines:?}"));
            assert!(of_teller.contains("waits for a lock at examples/bank.rs:"), "{of_teller}");
        }
    }
}

/// Three at a time: three begin as soon as three have ended, 1.2 seconds later.
#[test]
fn rate_limit_in_flight() {
    let mut expected = String::new();
    for (round, pages) in [1..=3, 4..=6, 7..=9].into_iter().enumerate() {
        let begin = 1.2 * round as f64;
        let end = 1.2 * (round + 1) as f64;
        pages.clone().for_each(|page| expected += &format!("{begin:.2} sec: page {page} begins\n"));
        pages.for_each(|page| expected += &format!("{end:.2} sec: page {page} is there\n"));
    }
    assert_eq!(printed("rate_limit", &["in-flight", "--fast"]), expected);
}

/// Two a second, and each takes 1.2 seconds.
#[test]
fn rate_limit_per_second() {
    let mut events: Vec<(f64, String)> = Vec::new();
    for page in 1..=9 {
        let begin = 0.5 * f64::from(page - 1);
        events.push((begin, format!("page {page} begins")));
        events.push((begin + 1.2, format!("page {page} is there")));
    }
    events.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let lines = events.into_iter().map(|(at, what)| format!("{at:.2} sec: {what}\n"));
    assert_eq!(printed("rate_limit", &["per-second", "--fast"]), lines.collect::<String>());
}

#[test]
fn threads() {
    // The other work comes at any time before the end.
    let hello = printed("threads", &["hello"]);
    let other = "This is other work\n";
    assert!(hello.contains(other), "{hello}");
    let greetings = "0. Hello World\n1. Hello World\n2. Hello World\nDone\n";
    assert_eq!(hello.replace(other, ""), greetings);
    let [running, ended] = ["still running", "has ended"];
    let joined =
        format!("Join 1: {running}\nJoin 2: {running}\nJoin 3: {ended}\nJoin 4: {ended}\n");
    assert_eq!(printed("threads", &["join-timeout"]), joined);
    let five = printed("threads", &["five"]);
    let (workers, last) = five.trim_end().rsplit_once('\n').expect("more than one line");
    assert_eq!(last, "All have ended");
    let mut workers: Vec<&str> = workers.lines().collect();
    workers.sort_unstable();
    assert_eq!(workers, [0, 1, 2, 3, 4].map(|number| format!("Worker {number} is working")));
    assert_eq!(printed("threads", &["daemon"]), "Main finished\n");
    assert_eq!(printed("threads", &["non-daemon"]), "Main finished\nWorker finished\n");
}

#[test]
fn thread_pool() {
    for (program, expected) in [
        ("submit", "[3, 2, 1]\n"),
        ("map", "[25, 4, 9, 16, 1]\n"),
        ("as-completed", "1\n2\n3\n"),
        ("exceptions", "5.0\nError: division by zero\n"),
        ("cancel", "False False True True\n"),
        ("shutdown", "Without waiting: running\nAfter waiting: done\nIt takes no more calls\n"),
    ] {
        assert_eq!(printed("thread_pool", &[program]), expected, "{program}");
    }
}

/// What `processes` prints, in a temporary directory of its own that is empty afterwards. All children have its output
/// open: a child that were left would keep this waiting for more.
#[track_caller]
fn processes(program: &str) -> String {
    let directory = tempfile::tempdir().expect("there is room for a directory");
    let printed = output(example("processes").arg(program).env("TMPDIR", directory.path()));
    let left: Vec<_> = directory.path().read_dir().expect("it is there").collect();
    assert!(left.is_empty(), "{program} leaves {left:?}");
    printed
}

#[test]
fn five_processes() {
    let printed = processes("five");
    let (workers, last) = printed.trim_end().rsplit_once('\n').expect("more than one line");
    assert_eq!(last, "All have ended");
    let mut workers: Vec<_> =
        workers.lines().filter_map(|line| line.split_once(" is working in process ")).collect();
    workers.sort_unstable();
    let names: Vec<&str> = workers.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, [0, 1, 2, 3, 4].map(|number| format!("Worker {number}")));
    let pids: BTreeSet<&str> = workers.iter().map(|(_, pid)| *pid).collect();
    assert_eq!(pids.len(), 5, "{printed}");
}

#[test]
fn what_processes_share() {
    let expected = "[0, 1, 4, 9, 16]\nA sixth get: the end, for all writers are gone\n";
    assert_eq!(processes("queue"), expected);
    assert_eq!(processes("pipe"), "Hello from child\n");
    assert_eq!(processes("manager"), "{0: 0, 1: 1, 2: 4, 3: 9, 4: 16}\n");
}

/// In any order, but one of them after the other.
#[test]
fn processes_that_take_turns() {
    let printed = processes("lock");
    let mut lines = printed.lines();
    let mut numbers = BTreeSet::new();
    while let Some(line) = lines.next() {
        let number =
            line.strip_prefix("Process ").and_then(|rest| rest.strip_suffix(" is working"));
        let number = number.unwrap_or_else(|| panic!("two are inside: {printed}"));
        let finished = format!("Process {number} has finished");
        assert_eq!(lines.next(), Some(&*finished), "two are inside: {printed}");
        numbers.insert(number);
    }
    assert_eq!(numbers.len(), 5, "{printed}");
}

#[test]
fn squares() {
    assert_eq!(printed("squares", &["joblib"]), "[0, 1, 4, 9, 16, 25]\n");
    let expected = "Calls before compute: 0\n(0, 1, 4, 9, 16, 25)\nCalls after compute: 6\n";
    assert_eq!(printed("squares", &["dask"]), expected);
}

#[test]
fn mixed() {
    let expected = "Results: [109544237, 59628255, 21081692, 3, 5, 13, 6, 4, 3, 2, 1]\n\
                    Eleven calls took #.## sec.\n";
    assert_eq!(without_times(&printed("mixed", &[])), expected);
}

/// What the program prints if `user`, who has the other end of `stdin`, presses Enter once both producers have begun.
pub(crate) fn entered(
    mut command: Command,
    stdin: impl Into<Stdio>,
    mut user: impl Write,
) -> String {
    let program = command.stdin(stdin).stdout(Stdio::piped()).spawn();
    drop(command); // it holds the program's end as well
    let mut program = Background(program.expect("the program starts"));
    let mut stdout = BufReader::new(program.0.stdout.take().expect("its output is piped"));
    let mut printed = String::new();
    while !["Producer 1", "Producer 2"].iter().all(|name| printed.contains(name)) {
        let length = stdout.read_line(&mut printed).expect("it prints UTF-8");
        assert_ne!(length, 0, "it ended before both producers had begun: {printed}");
    }
    user.write_all(b"\n").expect("the program reads");
    stdout.read_to_string(&mut printed).expect("it prints UTF-8");
    let status = program.0.wait().expect("the program is ours");
    assert!(status.success(), "it ended with {status}: {printed}");
    printed
}

#[track_caller]
fn is_cancelled_by_enter(printed: &str) {
    let items = lines(printed, " -- ");
    for name in ["Producer 1", "Producer 2"] {
        let of_producer = items.iter().filter(|line| line.contains(name));
        for (number, line) in (1..).zip(of_producer) {
            assert_eq!(*line, format!(" -- {name} generated item {number}"), "{printed}");
        }
    }
    let others: Vec<&str> = printed.lines().filter(|line| !items.contains(line)).collect();
    assert_eq!(others, ["Press enter to cancel...", "Cancelling on your request!"], "{printed}");
    assert_eq!(printed.lines().last(), others.last().copied(), "items after the end: {printed}");
}

#[test]
fn enter_in_a_pipe() {
    let (stdin, user) = pipe().expect("there are descriptors left");
    is_cancelled_by_enter(&entered(example("enter"), stdin, user));
}

#[test]
fn enter_in_a_terminal() {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals left");
    grantpt(&user).and_then(|()| unlockpt(&user)).expect("it is ours");
    let path = ptsname(&user, Vec::new()).expect("it has a path").into_string().expect("in UTF-8");
    let terminal = File::options().read(true).write(true).open(path).expect("it is there");
    is_cancelled_by_enter(&entered(example("enter"), terminal, File::from(user)));
}

#[test]
fn process_pool() {
    for (program, expected) in [
        ("map", "[25, 4, 9, 16, 1]\n"),
        ("as-completed", "8\n27\n216\n64\n125\n"),
        ("pool-map", "[9, 1, 4]\n"),
        ("apply-async", "Result:  64\n"),
    ] {
        assert_eq!(printed("process_pool", &[program]), expected, "{program}");
    }
    let printed = printed("process_pool", &["submit"]);
    let (tasks, pids): (Vec<&str>, BTreeSet<&str>) =
        printed.lines().filter_map(|line| line.split_once(" ran in process ")).unzip();
    assert_eq!(tasks, [0, 1, 2, 3, 4].map(|number| format!("Task {number}")));
    assert_eq!(pids.len(), 3, "{printed}");
}

/// The same sum each way. How long it takes, and so the factor, is the machine's.
#[test]
fn cores() {
    let line = |way: &str| format!("{way}: sum 3464100749, #.## sec, factor #.##\n");
    let nogil = line("One core") + &line("Threads");
    assert_eq!(without_times(&printed("cores", &["nogil"])), nogil);
    let roots = nogil + &line("Processes");
    assert_eq!(without_times(&printed("cores", &["roots"])), roots);
}

#[test]
fn twins_refuse_what_they_do_not_know() {
    let with_subcommands = [
        "bank",
        "cores",
        "counter",
        "generator",
        "green",
        "process_pool",
        "processes",
        "rate_limit",
    ];
    for name in with_subcommands.into_iter().chain(["squares", "tasks", "thread_pool", "threads"]) {
        refuses(name, &["of-a-kind"], "of-a-kind");
        refuses(name, &[], "Usage");
    }
    for name in ["nursery", "producer_consumer_sync"] {
        refuses(name, &["--seed", "red"], "--seed");
    }
}
