//! Jobs on several workers and a real Redis, with what can go wrong made to go wrong.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
};

use ecosystem::servers::{Server, or_skip};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Watchdog, fails, prints};

mod support;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn all_is_done_though_a_worker_and_redis_are_killed_and_one_job_is_poisoned() -> Outcome {
    let _watchdog = Watchdog::new("jobs with faults");
    let Some(mut redis) = or_skip(Server::redis()) else { return Ok(()) };
    let mut workers = Workers::start(&redis, 3, &["--visibility", "1"])?;
    let parts = ["submit", "primes", "--below", "200000", "--parts", "30", "--pause", "0.15"];
    let submitted = spawn(&mut jobs(&redis, &parts))?;

    let (victim, line) = workers.wait_for(|_, line| line.contains("begins primes"))?;
    // "NAME begins primes JOB, attempt 1"
    let job = line.split([' ', ',']).nth(3).ok_or("a job's name")?.to_owned();
    workers.signal(victim, Signal::SIGKILL)?;
    let poisoned = spawn(&mut jobs(&redis, &["submit", "poison"]))?;
    for _ in 0..3 {
        workers.wait_for(|_, line| line.contains("has done"))?;
    }
    redis.kill();
    redis.start()?;

    // Each part is in the sum once: 17,984 primes. 30 parts, then sums of four: 8, 2 and 1.
    prints(&submitted.wait_with_output()?, "17984\n41 jobs, 0 results twice\n");
    fails(&poisoned.wait_with_output()?, "the call panicked: no antidote");
    let status = jobs(&redis, &["status"]).output()?;
    let said = String::from_utf8(status.stdout)?;
    assert!(said.starts_with("0 waiting, 0 running, 1 dead\npoison "), "{said}");
    assert!(
        said.ends_with(" is dead after 3 attempts: the call panicked: no antidote\n"),
        "{said}"
    );

    let said = workers.stop()?;
    let others = said.iter().filter(|(worker, _)| *worker != victim);
    let again = format!("begins primes {job}, attempt ");
    assert!(others.clone().any(|(_, line)| line.contains(&again)), "{job} in {said:#?}");
    assert!(others.clone().any(|(_, line)| line.contains("; again in ")), "{said:#?}");
    Ok(())
}

#[test]
fn a_job_that_two_workers_have_done_has_one_result() -> Outcome {
    let _watchdog = Watchdog::new("a worker that comes back");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    let mut workers = Workers::start(&redis, 2, &["--visibility", "0.5"])?;
    let parts = ["submit", "primes", "--below", "1000", "--parts", "30", "--pause", "0.2"];
    let submitted = spawn(&mut jobs(&redis, &parts))?;
    let (frozen, line) = workers.wait_for(|_, line| line.contains("begins"))?;
    workers.signal(frozen, Signal::SIGSTOP)?;
    let job = line.split([' ', ',']).nth(3).ok_or("a job's name")?.to_owned();
    let done = format!("has done primes {job}");
    workers.wait_for(|worker, line| worker != frozen && line.ends_with(&done))?;
    workers.signal(frozen, Signal::SIGCONT)?;
    workers.wait_for(|worker, line| worker == frozen && line.ends_with(&done))?;
    // The submitter waits for other jobs still, and would see the second.
    prints(&submitted.wait_with_output()?, "168\n41 jobs, 0 results twice\n");
    workers.stop()?;
    Ok(())
}

#[test]
fn a_job_that_kills_its_workers_is_given_up_and_the_last_worker_goes_on() -> Outcome {
    let _watchdog = Watchdog::new("a job that kills workers");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    let how = ["--visibility", "0.4", "--attempts", "2"];
    let mut workers = Workers::start(&redis, 3, &how)?;
    let crash = jobs(&redis, &["submit", "crash"]).output()?;
    fails(&crash, "the process that ran the call died: 2 workers that had it died");
    workers.wait_for(|_, line| line.contains("crash") && line.contains("is dead"))?;
    assert_eq!(workers.alive()?, 1);
    let primes = ["submit", "primes", "--below", "100", "--parts", "3"];
    prints(&jobs(&redis, &primes).output()?, "25\n4 jobs, 0 results twice\n");
    Ok(())
}

#[test]
fn a_job_that_was_left_is_found_behind_many_that_are_kept() -> Outcome {
    let _watchdog = Watchdog::new("a job behind many");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    let mut busy = Workers::start(&redis, 1, &["--at-once", "30", "--visibility", "1"])?;
    // None of them ends while this test runs.
    let endless = |parts| ["submit", "primes", "--parts", parts, "--pause", "1000"];
    let mut submitted = vec![spawn(&mut jobs(&redis, &endless("30")))?];
    for _ in 0..30 {
        busy.wait_for(|_, line| line.contains("begins"))?;
    }
    let mut victim = Workers::start(&redis, 1, &["--visibility", "1"])?;
    submitted.push(spawn(&mut jobs(&redis, &endless("1")))?);
    let (_, line) = victim.wait_for(|_, line| line.contains("begins"))?;
    drop(victim);
    let mut heir = Workers::start(&redis, 1, &["--visibility", "1"])?;
    let again = line.split_once(' ').ok_or("a name")?.1.replace("attempt 1", "attempt 2");
    heir.wait_for(|_, line| line.ends_with(&again))?;
    for mut submitter in submitted {
        submitter.kill()?;
        submitter.wait()?;
    }
    Ok(())
}

#[test]
fn a_job_that_takes_longer_than_the_visibility_time_out_is_kept() -> Outcome {
    let _watchdog = Watchdog::new("a long job");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    let workers = Workers::start(&redis, 2, &["--visibility", "1.5"])?;
    let long = ["submit", "primes", "--below", "100", "--parts", "1", "--pause", "4"];
    prints(&jobs(&redis, &long).output()?, "25\n1 jobs, 0 results twice\n");
    let said = workers.stop()?;
    let begun = said.iter().filter(|(_, line)| line.contains("begins")).count();
    assert_eq!(begun, 1, "{said:#?}");
    Ok(())
}

#[test]
fn a_worker_that_is_stopped_finishes_what_it_has_and_takes_no_more() -> Outcome {
    let _watchdog = Watchdog::new("a stopped worker");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    let mut first = Workers::start(&redis, 1, &["--at-once", "2"])?;
    let parts = ["submit", "primes", "--below", "1000", "--parts", "6", "--pause", "0.3"];
    let submitted = spawn(&mut jobs(&redis, &parts))?;
    for _ in 0..2 {
        first.wait_for(|_, line| line.contains("begins"))?;
    }
    let said = first.stop()?;
    let count = |what: &str| said.iter().filter(|(_, line)| line.contains(what)).count();
    assert_eq!(count("begins"), count("has done"), "{said:#?}");
    assert!(count("has done") < 6, "{said:#?}");
    let second = Workers::start(&redis, 1, &[])?;
    // 1, 2 and 6 parts: 168 primes.
    prints(&submitted.wait_with_output()?, "168\n9 jobs, 0 results twice\n");
    second.stop()?;

    // A submitter that is stopped leaves.
    let waiting = spawn(&mut jobs(&redis, &["submit", "poison"]))?;
    while !String::from_utf8(jobs(&redis, &["status"]).output()?.stdout)?.starts_with("1 waiting") {
    }
    kill(Pid::from_raw(waiting.id().cast_signed()), Signal::SIGINT)?;
    let status = waiting.wait_with_output()?.status;
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32), "{status}");
    Ok(())
}

#[test]
fn processes_of_this_machine_compute_the_same_and_errors_say_what_to_do() -> Outcome {
    let _watchdog = Watchdog::new("jobs on this machine");
    let here = ["here", "--processes", "2", "primes", "--below", "1000", "--parts", "7"];
    prints(&jobs_at("redis://127.0.0.1:1", &here).output()?, "168\n");
    let gone = ["submit", "--patience", "0.1", "poison"];
    let gone = jobs_at("redis://127.0.0.1:1", &gone).output()?;
    fails(&gone, "given up after");
    fails(&gone, "no connection to the Redis at 127.0.0.1:1");
    let none = jobs_at("redis://127.0.0.1:1", &["worker", "--at-once", "0"]).output()?;
    fails(&none, "--at-once <AT_ONCE>");
    Ok(())
}

/// Worker processes, and what they say, as it comes.
struct Workers {
    children: Vec<Child>,
    lines: Receiver<(usize, String)>,
    said: Vec<(usize, String)>,
}

impl Workers {
    /// Starts them, and waits until they are ready.
    fn start(redis: &Server, count: usize, how: &[&str]) -> Result<Self, Box<dyn Error>> {
        let (sender, lines) = channel();
        let mut children = Vec::new();
        for number in 0..count {
            let mut worker = jobs(redis, &["worker"]);
            let mut worker = worker.args(how).stderr(Stdio::piped()).spawn()?;
            let stderr = BufReader::new(worker.stderr.take().ok_or("piped")?);
            let sender = sender.clone();
            thread::spawn(move || {
                let lines = stderr.lines().map_while(Result::ok);
                lines.for_each(|line| _ = sender.send((number, line)));
            });
            children.push(worker);
        }
        let mut workers = Self { children, lines, said: Vec::new() };
        for _ in 0..count {
            workers.wait_for(|_, line| line.ends_with("is ready"))?;
        }
        Ok(workers)
    }

    /// The next line that is such.
    fn wait_for(
        &mut self,
        is_it: impl Fn(usize, &str) -> bool,
    ) -> Result<(usize, String), Box<dyn Error>> {
        loop {
            let said = self.lines.recv()?;
            self.said.push(said.clone());
            if is_it(said.0, &said.1) {
                return Ok(said);
            }
        }
    }

    fn signal(&self, worker: usize, signal: Signal) -> Outcome {
        Ok(kill(Pid::from_raw(self.children[worker].id().cast_signed()), signal)?)
    }

    fn alive(&mut self) -> Result<usize, Box<dyn Error>> {
        let mut alive = 0;
        for worker in &mut self.children {
            alive += usize::from(worker.try_wait()?.is_none());
        }
        Ok(alive)
    }

    /// Stops those that are there, in good order; gives all that was said.
    fn stop(mut self) -> Result<Vec<(usize, String)>, Box<dyn Error>> {
        for worker in &mut self.children {
            if worker.try_wait()?.is_none() {
                kill(Pid::from_raw(worker.id().cast_signed()), Signal::SIGTERM)?;
                assert!(worker.wait()?.success());
            }
        }
        let mut said = std::mem::take(&mut self.said);
        // Until the last of their ends of the pipes is closed.
        said.extend(self.lines.iter());
        Ok(said)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.children {
            _ = worker.kill();
            _ = worker.wait();
        }
    }
}

fn jobs(redis: &Server, arguments: &[&str]) -> Command {
    jobs_at(&redis.url(), arguments)
}

fn jobs_at(url: &str, arguments: &[&str]) -> Command {
    let mut jobs = Command::new(env!("CARGO_BIN_EXE_jobs"));
    jobs.args(["--redis", url]).args(arguments).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
    jobs
}

fn spawn(command: &mut Command) -> std::io::Result<Child> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}
