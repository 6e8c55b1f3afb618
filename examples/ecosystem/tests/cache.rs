//! Values, counters and messages in a real Redis, and what is said when it is gone, or silent.

use std::{
    error::Error,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
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
fn a_value_is_there_until_it_expires() -> Outcome {
    let _watchdog = Watchdog::new("a value that expires");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    prints(&cache(&redis, &["set", "kept", "a b\nc"]).output()?, "");
    prints(&cache(&redis, &["get", "kept"]).output()?, "a b\nc\n");
    prints(&cache(&redis, &["set", "brief", "x", "--expires", "0.0001"]).output()?, "");
    while cache(&redis, &["get", "brief"]).output()?.status.success() {}
    fails(&cache(&redis, &["get", "brief"]).output()?, "there is no value \"brief\"");
    prints(&cache(&redis, &["get", "kept"]).output()?, "a b\nc\n");
    fails(&cache(&redis, &["set", "k", "v", "--expires", "0"]).output()?, "--expires");
    Ok(())
}

#[test]
fn visits_at_once_are_all_counted_each_with_its_page() -> Outcome {
    let _watchdog = Watchdog::new("visits at once");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    let mut visits = Vec::new();
    for _ in 0..8 {
        let mut visit = cache(&redis, &["visit", "/page"]);
        visits.push(visit.stdout(Stdio::piped()).spawn()?);
    }
    let mut said = Vec::new();
    for visit in visits {
        said.push(String::from_utf8(visit.wait_with_output()?.stdout)?);
    }
    said.sort();
    // The count and the list change together: what each sees of the one belongs to what it sees of the other.
    let expected =
        (1..=8).map(|n: usize| format!("{n} visits; the latest:{}\n", " /page".repeat(n.min(5))));
    assert_eq!(said, expected.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn all_who_subscribed_hear_each_message_and_the_end() -> Outcome {
    let _watchdog = Watchdog::new("messages");
    let Some(mut redis) = or_skip(Server::redis()) else { return Ok(()) };
    let mut listeners = Vec::new();
    for count in ["2", "2", "1000"] {
        let mut listener = cache(&redis, &["subscribe", "news", "--count", count]);
        let mut listener = listener.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut says = BufReader::new(listener.stderr.take().ok_or("piped")?).lines();
        assert_eq!(says.next().ok_or("it has ended")??, "subscribed to news");
        listeners.push((listener, says));
    }
    prints(&cache(&redis, &["publish", "news", "it rains"]).output()?, "3 heard it\n");
    prints(&cache(&redis, &["publish", "weather", "unheard"]).output()?, "0 heard it\n");
    prints(&cache(&redis, &["publish", "news", "it pours"]).output()?, "3 heard it\n");
    let (patient, mut says) = listeners.pop().ok_or("three")?;
    for (listener, _) in listeners {
        prints(&listener.wait_with_output()?, "it rains\nit pours\n");
    }
    redis.stop()?;
    let said = says.next().ok_or("it says why it ends")??;
    assert!(said.contains("closed the connection"), "{said}");
    let output = patient.wait_with_output()?;
    assert!(!output.status.success());
    assert_eq!(String::from_utf8(output.stdout)?, "it rains\nit pours\n");
    Ok(())
}

#[test]
fn many_values_go_one_by_one_in_one_message_and_at_once() -> Outcome {
    let _watchdog = Watchdog::new("pipelines");
    let Some(redis) = or_skip(Server::redis()) else { return Ok(()) };
    // Each answer is looked at by the program.
    let output = cache(&redis, &["pipeline", "--values", "300"]).output()?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8(output.stdout)?.starts_with("300 values stored and read: "));
    Ok(())
}

#[test]
fn a_server_that_is_gone_or_silent_is_named() -> Outcome {
    let _watchdog = Watchdog::new("a silent Redis");
    let Some(mut redis) = or_skip(Server::redis()) else { return Ok(()) };
    let stopped = Pid::from_raw(redis.id().ok_or("it runs")?.cast_signed());
    // It accepts connections still: the kernel does that.
    kill(stopped, Signal::SIGSTOP)?;
    let silent = cache(&redis, &["get", "x"]).output()?;
    kill(stopped, Signal::SIGCONT)?;
    fails(&silent, &format!("{} did not answer within", redis.address()));
    redis.stop()?;
    let gone = cache(&redis, &["get", "x"]).output()?;
    fails(&gone, &format!("no connection to the Redis at {}", redis.address()));
    let mut wrong = Command::new(env!("CARGO_BIN_EXE_cache"));
    wrong.args(["get", "x", "--redis", "where"]);
    fails(&wrong.output()?, "\"where\" is no URL of a Redis");
    Ok(())
}

fn cache(redis: &Server, arguments: &[&str]) -> Command {
    let mut cache = Command::new(env!("CARGO_BIN_EXE_cache"));
    cache.arg("--redis").arg(redis.url()).args(arguments);
    cache
}
