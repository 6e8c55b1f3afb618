//! The servers of the other tests: that they start, keep their data, and are never left behind.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

#[path = "../../../tests/support/watchdog.rs"]
mod watchdog;

use ecosystem::servers::{NotStarted, Server, or_skip};

#[test]
fn a_redis_keeps_what_it_acknowledged_through_a_crash() -> Result<(), Box<dyn Error>> {
    let Some(mut redis) = or_skip(Server::redis()) else { return Ok(()) };
    assert_eq!(ask(&redis, "SET key kept\r\n")?, "+OK\r\n");
    let (address, first) = (redis.address(), redis.id());
    redis.kill();
    assert_eq!(redis.id(), None);
    assert!(TcpStream::connect(address).is_err(), "it is gone");
    redis.start()?;
    assert_eq!(redis.address(), address);
    assert_ne!(redis.id(), first);
    assert_eq!(ask(&redis, "GET key\r\n")?, "$4\r\nkept\r\n");
    redis.stop()?;
    redis.start()?;
    assert_eq!(ask(&redis, "GET key\r\n")?, "$4\r\nkept\r\n");
    Ok(())
}

#[test]
fn a_postgres_listens_in_both_ways_and_starts_again() -> Result<(), Box<dyn Error>> {
    let Some(mut postgres) = or_skip(Server::postgres()) else { return Ok(()) };
    for _ in 0..2 {
        TcpStream::connect(postgres.address())?;
        UnixStream::connect(postgres.socket())?;
        postgres.stop()?;
        postgres.start()?;
    }
    postgres.kill();
    postgres.start()?;
    Ok(())
}

#[test]
fn a_server_ends_with_its_owner_also_when_that_panics() {
    let Some(server) = or_skip(Server::redis()) else { return };
    let (id, socket) = (server.id().expect("it runs"), server.socket());
    let outcome = thread::spawn(move || {
        let _server = server;
        std::panic::resume_unwind(Box::new("as a failed assertion does"));
    })
    .join();
    outcome.unwrap_err();
    assert!(!is_alive(id));
    assert!(!socket.exists());
}

#[test]
fn a_server_ends_with_its_process_also_when_that_is_killed() -> Result<(), Box<dyn Error>> {
    let _watchdog = watchdog::Watchdog::new("the end of a server whose process is killed");
    for which in ["redis", "postgres"] {
        let mut program = Command::new(env!("CARGO_BIN_EXE_servers"));
        program.arg(which).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut program = program.spawn()?;
        let mut line = String::new();
        BufReader::new(program.stdout.take().expect("piped")).read_line(&mut line)?;
        let Some((_, id)) = line.trim().trim_end_matches(')').rsplit_once(' ') else {
            let mut error = String::new();
            program.stderr.take().expect("piped").read_to_string(&mut error)?;
            assert!(error.contains("is not installed"), "{error}");
            let _ = writeln!(std::io::stderr(), "skipped: the end of {which}: {error}");
            continue;
        };
        let id = id.parse()?;
        let folder = fs::read_link(format!("/proc/{id}/cwd"))?;
        assert!(is_alive(id));
        program.kill()?;
        program.wait()?;
        // The guard is another process: it is done soon, not at once.
        while is_alive(id) || folder.exists() {
            thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

#[test]
fn what_is_missing_is_named_by_its_package() {
    let missing = NotStarted::Missing { package: "redis-server" };
    assert_eq!(
        missing.to_string(),
        "redis-server is not installed: run `apt-get install redis-server`"
    );
}

/// One command, one answer.
fn ask(redis: &Server, command: &str) -> Result<String, Box<dyn Error>> {
    let mut redis = UnixStream::connect(redis.socket())?;
    redis.set_read_timeout(Some(Duration::from_secs(10)))?;
    redis.write_all(command.as_bytes())?;
    let mut answer = vec![0; 64];
    let length = redis.read(&mut answer)?;
    answer.truncate(length);
    Ok(String::from_utf8(answer)?)
}

/// A process that has ended, and that nobody has asked about, is not alive.
fn is_alive(id: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let state = status.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}
