//! The service by threads, with tiny_http: one for each request, or one for all.
//!
//! Blocking code needs no runtime. The event loop on the main thread does one thing here: it waits for Ctrl-C.

use std::{
    io::Cursor,
    process::ExitCode,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use ecosystem::stop::Stop;
use serde_json::Value;
use tiny_http::{Header, Method, Request, Response, Server};

use crate::{
    By, Options,
    towns::{About, Failure, Question, Services, index},
};

/// Serves until Ctrl-C.
pub(crate) fn serve(options: &Options, services: Arc<Services>) -> anyhow::Result<ExitCode> {
    let server = Server::http(&options.listen)
        .map_err(|error| anyhow!("cannot listen at {}: {error}", options.listen))?;
    let server = Arc::new(server);
    println!("Listening at http://{}", server.server_addr());
    let one_thread = options.by == By::OneThread;
    let serves = Arc::clone(&server);
    let serving = thread::spawn(move || {
        let mut served = 0_u64;
        let mut threads: Vec<thread::JoinHandle<()>> = Vec::new();
        for request in serves.incoming_requests() {
            served += 1;
            let services = Arc::clone(&services);
            if one_thread {
                respond(request, &services);
            } else {
                threads.push(thread::spawn(move || respond(request, &services)));
                threads.retain(|thread| !thread.is_finished());
            }
        }
        (served, threads)
    });

    whirligig::run(async { Stop::new()?.requested().await }).context("cannot watch for signals")?;
    eprintln!("Stopping.");
    server.unblock();
    let deadline = Instant::now() + options.grace;
    // A thread cannot be cancelled, and joining it cannot be given up: so they are looked at.
    while !serving.is_finished() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    if !serving.is_finished() {
        eprintln!("Some requests were cut off.");
        return Ok(ExitCode::from(3));
    }
    let (served, threads) = serving.join().map_err(|_| anyhow!("the server has panicked"))?;
    while threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
    let cut_off = threads.iter().filter(|thread| !thread.is_finished()).count();
    println!("Requests: {served}, cut off: {cut_off}");
    Ok(if cut_off == 0 { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn respond(request: Request, services: &Services) {
    let response = match ask(&request, services) {
        Ok(answer) => json(200, &answer),
        Err(failure) => {
            let response = json(failure.status(), &failure.body());
            match failure {
                Failure::Method(_) => response.with_header(header("Allow", "GET,HEAD")),
                _ => response,
            }
        }
    };
    // A client that is gone is its own affair.
    _ = request.respond(response);
}

fn json(status: u16, body: &Value) -> Response<Cursor<Vec<u8>>> {
    let response = Response::from_string(body.to_string()).with_status_code(status);
    response.with_header(header("Content-Type", "application/json"))
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("it is ASCII")
}

fn ask(request: &Request, services: &Services) -> Result<Value, Failure> {
    let path = request.url().split('?').next().unwrap_or("");
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let (about, zip, country) = match *parts {
        ["api", "sun", zip, country] => (About::Sun, zip, country),
        ["api", "weather", zip, country] => (About::Weather, zip, country),
        [""] => return Ok(index()),
        _ => return Err(Failure::NoPage(path.to_owned())),
    };
    if !matches!(request.method(), Method::Get | Method::Head) {
        return Err(Failure::Method(request.method().to_string()));
    }
    let question = Question::new(about, zip, country)?;
    let (find, rest) = services.latencies(about);
    let mut left = services.limit;
    // What a client of such services has: a limit to its waiting.
    let mut wait = |latency: Duration| {
        thread::sleep(latency.min(left));
        left = left.checked_sub(latency).ok_or(Failure::Late(services.limit))?;
        Ok(())
    };
    wait(find)?;
    let town = question.find()?;
    wait(rest)?;
    Ok(town.answer(about))
}
