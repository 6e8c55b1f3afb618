//! The web service, served in each way, by curl's kind of client and by load generators of other people.
//!
//! What is measured is asserted by counts and by ratios of them that are far from what decides.

mod support;

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
};

use support::{Server, Watchdog, output, refuses, tool, wrk_requests};
use ureq::Agent;

const CITY_API: &str = env!("CARGO_BIN_EXE_city_api");
const WAYS: [&str; 3] = ["tasks", "threads", "one-thread"];

fn start(by: &str, more: &[&str]) -> Server {
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--fast", "--by", by];
    arguments.extend(more);
    Server::start(CITY_API, &arguments)
}

/// The status, the type and the body.
fn ask(server: &Server, method: &str, path: &str) -> (u16, String, serde_json::Value) {
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let url = format!("http://{}{path}", server.address);
    let request = ureq::http::Request::builder().method(method).uri(url).body(());
    let mut response = agent.run(request.expect("it is a request")).expect("the server answers");
    let content = response.headers()["content-type"].to_str().expect("it is ASCII").to_owned();
    let body = response.body_mut().read_to_string().expect("it is UTF-8");
    (response.status().as_u16(), content, serde_json::from_str(&body).expect("it is JSON"))
}

#[test]
fn answers_are_the_same_in_each_way() {
    let _watchdog = Watchdog::new("answers_are_the_same_in_each_way");
    let asked = [
        ("GET", "/", 200, "/api/sun/97202/us"),
        ("GET", "/api/sun/97202/us", 200, "Portland"),
        ("GET", "/api/sun/97202/US", 200, "12:38:05"),
        ("GET", "/api/weather/10115/de?units=metric", 200, "few clouds"),
        ("GET", "/api/sun/99999/us", 404, "no town is known at 99999, us"),
        ("GET", "/api/moon/97202/us", 404, "there is no /api/moon/97202/us"),
        ("GET", "/api/sun/97202/usa", 400, "two letters, such as us"),
        ("GET", "/api/weather/here/us", 400, "3 to 10 digits"),
        ("DELETE", "/api/sun/97202/us", 405, "DELETE does not apply"),
    ];
    let mut answers = BTreeMap::new();
    for by in WAYS {
        let server = start(by, &[]);
        for (method, path, status, word) in asked {
            let (answered, content, body) = ask(&server, method, path);
            assert_eq!(answered, status, "{by}, {method} {path}: {body}");
            assert_eq!(content, "application/json");
            assert!(body.to_string().contains(word), "{by}, {method} {path}: {body}");
            if status >= 400 {
                assert_eq!(body["status"], status, "{by}, {method} {path}: {body}");
            }
            let first = answers.entry((method, path)).or_insert_with(|| body.clone());
            assert_eq!(*first, body, "{by} answers as the others do");
        }
        let (printed, log, status) = server.stop();
        assert!(status.success(), "{by}: {status}: {printed}{log}");
        assert!(printed.contains("cut off: 0"), "{by}: {printed}");
    }
}

#[test]
fn services_that_take_too_long_are_not_waited_for() {
    let _watchdog = Watchdog::new("services_that_take_too_long_are_not_waited_for");
    for by in WAYS {
        let server = start(by, &["--service-timeout", "0.001"]);
        let (status, _, body) = ask(&server, "GET", "/api/weather/97202/us");
        assert_eq!(status, 504, "{by}: {body}");
        assert_eq!(body["error"], "the services asked did not answer within 0.001 s", "{by}");
    }
}

/// Who has asked before the stop is answered after it.
#[test]
fn what_has_begun_is_finished() {
    let _watchdog = Watchdog::new("what_has_begun_is_finished");
    for by in ["tasks", "threads"] {
        let mut server = start(by, &["--grace", "30"]);
        let mut stream = TcpStream::connect(server.address).expect("the server listens");
        let request = "GET /api/sun/97202/us HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).expect("the server reads");
        // One that came later is answered: so this one has been accepted.
        assert_eq!(ask(&server, "GET", "/").0, 200);
        server.signal(nix::sys::signal::Signal::SIGTERM);
        assert_eq!(server.says(), "Stopping.");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it is answered");
        assert!(answer.starts_with("HTTP/1.1 200"), "{by}: {answer}");
        let (printed, log, status) = server.wait();
        assert!(status.success(), "{by}: {status}: {printed}{log}");
    }
}

/// The course's measurement, in a fifth of the time.
#[test]
fn the_event_loop_answers_many_times_as_many_as_one_thread() {
    let run = output(std::process::Command::new(CITY_API).args([
        "--compare",
        "--fast",
        "--seconds",
        "10",
    ]));
    let row = |name: &str| -> Vec<f64> {
        let line = run.lines().find(|line| line.starts_with(&format!("| {name} ")));
        let line = line.unwrap_or_else(|| panic!("no row of {name} in:\n{run}"));
        line.split('|')
            .skip(2)
            .filter_map(|cell| cell.trim().split(' ').next()?.parse().ok())
            .collect()
    };
    let (tasks, one) = (row("one event loop"), row("one thread"));
    let (answered, timed_out, failed) = (0, 2, 3);
    assert!(tasks[answered] >= 4.0 * one[answered], "{run}");
    assert_eq!((tasks[timed_out], tasks[failed]), (0.0, 0.0), "{run}");
    assert_ne!(one[timed_out], 0.0, "{run}");
}

#[test]
fn wrk_sees_no_error() {
    let Some(mut wrk) = tool("wrk", "wrk") else { return };
    let server = start("tasks", &[]);
    let url = format!("http://{}/api/sun/97202/us", server.address);
    let report = output(wrk.args(["-t2", "-c200", "-d3s", "--timeout", "30s", &url]));
    assert_ne!(wrk_requests(&report), 0);
}

/// Each of 2,000 requests succeeds, on 20 connections of HTTP/1, and as 400 streams on 4 of HTTP/2.
#[test]
fn h2load_sees_each_request_succeed() {
    for version in [&["--h1", "-c20"][..], &["-c4", "-m100"]] {
        let Some(mut h2load) = tool("h2load", "nghttp2-client") else { return };
        let mut server = start("tasks", &[]);
        server.drain_log();
        let url = format!("http://{}/api/weather/97202/us", server.address);
        let report = output(h2load.args(version).args(["-n2000", &url]));
        let succeeded =
            "2000 total, 2000 started, 2000 done, 2000 succeeded, 0 failed, 0 errored, 0 timeout";
        assert!(report.contains(succeeded), "{version:?}:\n{report}");
        let (printed, log, status) = server.stop();
        assert!(status.success(), "{status}: {printed}{log}");
        assert!(printed.contains("cut off: 0"), "{printed}");
    }
}

#[test]
fn wrong_options_are_named() {
    refuses(CITY_API, &["--by", "magic"], "possible values: tasks, threads, one-thread");
    refuses(CITY_API, &["--listen", "8080"], "write host:port");
    refuses(CITY_API, &["--compare", "--connections", "0"], "--connections");
    refuses(CITY_API, &["--seconds", "3"], "--compare");
    refuses(CITY_API, &["--service-timeout", "0"], "over before anything began");
}
