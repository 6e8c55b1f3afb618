//! The scraper, against its own server and against others.

mod support;

use std::{
    io::{BufRead, BufReader},
    net::TcpListener,
    os::unix::process::ExitStatusExt,
    process::{Command, Stdio},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Watchdog, output, refuses};

const SCRAPE: &str = env!("CARGO_BIN_EXE_scrape");

/// How many pages at once the server saw is what each way promises, and the titles are in order. How long it took is
/// not asserted but for what sets the ways apart: ten latencies against one.
#[test]
fn ten_titles_in_five_ways() {
    let _watchdog = Watchdog::new("ten_titles_in_five_ways");
    let run = output(Command::new(SCRAPE).args(["--fast", "--limit", "3", "--per-second", "4"]));
    let numbers = run.lines().map_while(|line| line.split_once(": ")?.0.parse().ok());
    assert_eq!(numbers.collect::<Vec<u32>>(), Vec::from_iter(1..=10), "{run}");
    assert!(run.starts_with("1: A task is a future and a number\n"), "{run}");
    let row = |name: &str| -> (f64, f64, usize) {
        let line = run.lines().find(|line| line.starts_with(&format!("| {name} ")));
        let line = line.unwrap_or_else(|| panic!("no row of {name} in:\n{run}"));
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let number = |cell: &str| cell.parse().unwrap_or_else(|_| panic!("{cell:?} in {line:?}"));
        (number(cells[2]), number(cells[3]), number(cells[4]) as usize)
    };
    for name in ["sequential", "async but sequential"] {
        assert_eq!(row(name).2, 1, "{run}");
    }
    assert_eq!(row("concurrent").2, 10, "{run}");
    assert!(row("concurrent").1 > 2.0, "ten at once take less than half of one by one: {run}");
    assert_eq!(row("at most 3 at a time").2, 3, "{run}");
    // Four begin in each interval of a second, and one takes about a second: so about four, and never ten.
    assert!((1..10).contains(&row("at most 4 begun a second").2), "{run}");
}

/// A site of somebody else's: served by a thread and std.
#[test]
fn a_site_that_is_given() {
    let _watchdog = Watchdog::new("a_site_that_is_given");
    let http = tiny_http::Server::http("127.0.0.1:0").expect("there is a free port");
    let address = http.server_addr();
    thread::spawn(move || {
        for request in http.incoming_requests() {
            let page = format!("<TITLE>\n  at {}&amp;more </TITLE>", request.url());
            _ = request.respond(tiny_http::Response::from_string(page));
        }
    });
    let url = format!("http://{address}/{{}}");
    let run = output(Command::new(SCRAPE).args(["--url", &url, "--pages", "3"]));
    assert!(run.starts_with("at /1&more\nat /2&more\nat /3&more\n"), "{run}");
}

#[test]
fn what_cannot_be_had_is_named() {
    let _watchdog = Watchdog::new("what_cannot_be_had_is_named");
    let closed = TcpListener::bind("127.0.0.1:0").expect("there is a free port").local_addr();
    let closed = closed.expect("it is bound");
    let http = tiny_http::Server::http("127.0.0.1:0").expect("there is a free port");
    let address = http.server_addr();
    thread::spawn(move || {
        for request in http.incoming_requests() {
            let (page, status) = match request.url() {
                "/1/untitled" => ("<p>nothing</p>", 200),
                _ => ("<title>no such page</title>", 404),
            };
            let response = tiny_http::Response::from_string(page).with_status_code(status);
            _ = request.respond(response);
        }
    });
    for (url, complaint) in [
        (format!("http://{closed}/{{}}"), "Connection refused"),
        (format!("http://{address}/{{}}/none"), "404 Not Found"),
        (format!("http://{address}/{{}}/untitled"), "has no title"),
    ] {
        let run = Command::new(SCRAPE).args(["--url", &url]).output().expect("it starts");
        let text = String::from_utf8_lossy(&run.stderr);
        assert_eq!(run.status.code(), Some(1), "{text}");
        assert!(text.contains(complaint), "{complaint}: {text}");
        assert!(text.contains(&url.replace("{}", "1")), "{url} is named: {text}");
    }
}

/// Ended as a shell expects it of a program that Ctrl-C ends: by the signal.
#[test]
fn ctrl_c_ends_it() {
    let _watchdog = Watchdog::new("ctrl_c_ends_it");
    let mut command = Command::new(SCRAPE);
    let command = command.args(["--fast", "--pages", "20"]);
    let mut scrape =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // The first titles are printed after the first way; four are left.
    let mut stdout = BufReader::new(scrape.stdout.take().expect("it is piped"));
    stdout.read_line(&mut String::new()).expect("it is UTF-8");
    kill(Pid::from_raw(scrape.id().cast_signed()), Signal::SIGINT).expect("it is ours");
    let ended = scrape.wait_with_output().expect("it is ours");
    assert_eq!(ended.status.signal(), Some(Signal::SIGINT as i32), "{ended:?}");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "interrupted by Ctrl-C\n");
}

#[test]
fn wrong_options_are_named() {
    refuses(SCRAPE, &["--url", "http://localhost/"], "where the number of the page goes");
    refuses(SCRAPE, &["--url", "https://localhost/{}"], "only http://");
    refuses(SCRAPE, &["--pages", "0"], "--pages");
    refuses(SCRAPE, &["--per-second", "0"], "--per-second");
}
