//! The server beside a real Redis, and under Redis's own load.

use std::{
    error::Error,
    fmt::Write as _,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
};

use ecosystem::{
    connect,
    servers::{Server as Real, or_skip},
};
use redis::AsyncCommands;
use support::{Server, Watchdog, output, refuses, tool};

mod support;

const RESP: &str = env!("CARGO_BIN_EXE_resp");

/// One event loop, and two workers.
const VARIANTS: [&str; 2] = ["0", "2"];

type Outcome = Result<(), Box<dyn Error>>;

fn resp(workers: &str) -> Server {
    Server::start(RESP, &["--listen", "127.0.0.1:0", "--workers", workers])
}

/// Commands that chance has picked, of few keys, so that they meet: each a line of words.
fn commands(random: &mut fastrand::Rng, count: usize) -> Vec<Vec<String>> {
    let one = |random: &mut fastrand::Rng| {
        let key = |random: &mut fastrand::Rng| format!("key{}", random.u8(0..4));
        let small = |random: &mut fastrand::Rng| random.i32(-5..6).to_string();
        let word = |random: &mut fastrand::Rng| {
            let numbers = ["7", "-3", "9223372036854775807", "08", "+1", "1.5", "", "a b\r\nc"];
            random.choice(numbers).expect("some").to_owned()
        };
        let name = random.choice([
            "SET", "GET", "APPEND", "STRLEN", "MSET", "MGET", "INCR", "DECR", "INCRBY", "DEL",
            "UNLINK", "EXISTS", "EXPIRE", "PERSIST", "TTL", "TYPE", "LPUSH", "RPUSH", "LPOP",
            "RPOP", "LLEN", "LRANGE", "SETEX", "DBSIZE", "PING", "ECHO", "set", "FLUSHALL",
        ]);
        let name = name.expect("some");
        let mut words = match name {
            "DBSIZE" | "PING" => vec![],
            "FLUSHALL" if random.u8(0..8) > 0 => return vec!["PING".to_owned()],
            "FLUSHALL" => vec![],
            "ECHO" => vec![word(random)],
            "SET" | "APPEND" | "LPUSH" | "RPUSH" => vec![key(random), word(random)],
            "set" => {
                let option = random.choice(["NX", "xx", "EX", "px", "KEEP"]).expect("some");
                let mut words = vec![key(random), word(random), option.to_owned()];
                if ["EX", "px"].contains(&option) {
                    words.push(random.choice(["0", "100000", "x", "-1"]).expect("some").to_owned());
                }
                words
            }
            "MSET" => vec![key(random), word(random), key(random), word(random)],
            "MGET" | "DEL" | "EXISTS" => vec![key(random), key(random)],
            "INCRBY" => vec![key(random), word(random)],
            "EXPIRE" => {
                vec![key(random), random.choice(["1000", "0", "-1", "x"]).expect("some").to_owned()]
            }
            "SETEX" => vec![
                key(random),
                random.choice(["1000", "0", "-1", "x"]).expect("some").to_owned(),
                word(random),
            ],
            "LRANGE" => vec![key(random), small(random), small(random)],
            _ => vec![key(random)],
        };
        // Sometimes one too few.
        if random.u8(0..20) == 0 {
            words.pop();
        }
        words.insert(0, name.to_owned());
        words
    };
    (0..count).map(|_| one(random)).collect()
}

/// Sends all of them at once; gives the answers as they are.
fn answers(to: &mut TcpStream, commands: &[Vec<String>]) -> Result<String, Box<dyn Error>> {
    let mut bytes = String::new();
    let end = ["ECHO".to_owned(), "the end of the answers".to_owned()];
    for words in commands.iter().map(Vec::as_slice).chain([&end[..]]) {
        write!(bytes, "*{}\r\n", words.len())?;
        words.iter().try_for_each(|word| write!(bytes, "${}\r\n{word}\r\n", word.len()))?;
    }
    to.write_all(bytes.as_bytes())?;
    let mut answers = Vec::new();
    let mut piece = [0; 4096];
    while !answers.ends_with(b"\r\nthe end of the answers\r\n") {
        let read = to.read(&mut piece)?;
        if read == 0 {
            return Err(format!("it ended after {}", String::from_utf8_lossy(&answers)).into());
        }
        answers.extend_from_slice(&piece[..read]);
    }
    Ok(String::from_utf8(answers)?)
}

#[test]
fn it_answers_as_redis_does() -> Outcome {
    let _watchdog = Watchdog::new("answers as Redis's");
    let Some(real) = or_skip(Real::redis()) else { return Ok(()) };
    for (workers, seed) in VARIANTS.into_iter().zip([1, 2]) {
        let ours = resp(workers);
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut to_real, mut to_ours) =
            (TcpStream::connect(real.address())?, TcpStream::connect(ours.address)?);
        for round in 0..40 {
            let commands = commands(&mut random, 50);
            let (expected, found) =
                (answers(&mut to_real, &commands)?, answers(&mut to_ours, &commands)?);
            assert_eq!(found, expected, "seed {seed}, round {round}: {commands:?}");
        }
        answers(&mut to_real, &[vec!["FLUSHALL".to_owned()]])?;
        assert!(ours.stop().2.success());
    }
    Ok(())
}

#[test]
fn redis_benchmark_finds_each_command_answered() -> Outcome {
    let _watchdog = Watchdog::new("redis-benchmark");
    for workers in VARIANTS {
        let Some(mut benchmark) = tool("redis-benchmark", "redis-tools") else { return Ok(()) };
        let ours = resp(workers);
        benchmark.args([
            "-p",
            &ours.address.port().to_string(),
            "-n",
            "10000",
            "-c",
            "50",
            "-P",
            "16",
        ]);
        benchmark.args(["-t", "ping_inline,ping_mbulk,set,get,incr,lpush,rpop,mset", "--csv"]);
        let said = output(&mut benchmark);
        let tests =
            ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPOP", "MSET (10 keys)"];
        for test in tests {
            assert!(said.contains(&format!("\"{test}\",")), "{test} in {said}");
        }
        // Nothing was lost, and nothing done twice.
        let ask = ["GET counter:__rand_int__", "LLEN mylist"].map(words);
        let mut to_ours = TcpStream::connect(ours.address)?;
        assert!(answers(&mut to_ours, &ask)?.starts_with("$5\r\n10000\r\n:0\r\n"), "{said}");
        assert!(ours.stop().2.success());
    }
    Ok(())
}

#[test]
fn redis_s_crate_is_served_and_a_key_expires() -> Outcome {
    let _watchdog = Watchdog::new("the redis crate");
    let ours = resp("0");
    let url = format!("redis://{}", ours.address);
    whirligig::run(async {
        let mut client = connect::redis(&url, None).await?;
        let large = vec![7_u8; 3_000_000];
        let () = client.set("large", &large).await?;
        let back: Vec<u8> = client.get("large").await?;
        assert!(back == large);
        let () = client.pset_ex("brief", "x", 1).await?;
        while client.exists::<_, bool>("brief").await? {}
        let keys: usize = redis::cmd("DBSIZE").query_async(&mut client).await?;
        assert_eq!(keys, 1, "what has expired is gone");
        anyhow::Ok(())
    })?;
    Ok(())
}

#[test]
fn pieces_nonsense_and_the_end() -> Outcome {
    let _watchdog = Watchdog::new("pieces, nonsense and the end");
    let ours = resp("0");
    // Byte by byte, and one half of a command before the end.
    let mut stream = TcpStream::connect(ours.address)?;
    for byte in b"*2\r\n$4\r\nECHO\r\n$5\r\nhello\r\nPING\r\n\r\n*1\r\n$4\r\nPI" {
        stream.write_all(&[*byte])?;
    }
    stream.shutdown(Shutdown::Write)?;
    assert_eq!(rest(stream)?, "$5\r\nhello\r\n+PONG\r\n");
    assert_eq!(says(ours.address, "PING\r\n*1\r\n:1\r\nPING\r\n")?, {
        "+PONG\r\n-ERR Protocol error: a word must begin with '$'\r\n"
    });
    assert_eq!(says(ours.address, "*1\r\n$99999999\r\n")?, {
        "-ERR Protocol error: invalid bulk length\r\n"
    });
    // Who is connected, and silent, does not hold up the end.
    let mut silent = TcpStream::connect(ours.address)?;
    answers(&mut silent, &[words("PING")])?;
    let (_, log, status) = ours.stop();
    assert!(status.success(), "{log}");
    assert_eq!(rest(silent)?, "");
    refuses(RESP, &["--listen", "here"], "write host:port");
    refuses(RESP, &["--limit", "0"], "--limit");
    Ok(())
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// What it answers, until it closes the connection.
fn says(address: SocketAddr, bytes: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(bytes.as_bytes())?;
    rest(stream)
}

fn rest(mut stream: TcpStream) -> Result<String, Box<dyn Error>> {
    let mut answers = String::new();
    stream.read_to_string(&mut answers)?;
    Ok(answers)
}
