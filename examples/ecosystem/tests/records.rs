//! Transfers against a real PostgreSQL: made or not made, never by half, whatever happens to the server.

use std::{
    error::Error,
    io::{BufRead, BufReader, Lines},
    os::unix::process::ExitStatusExt,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use ecosystem::{
    connect,
    servers::{Server, or_skip},
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Watchdog, fails, prints};
use whirligig::{spawn, time::sleep};

mod support;

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

#[test]
fn a_transfer_is_made_or_refused_and_those_who_watch_hear_of_what_was_made() -> Outcome {
    let _watchdog = Watchdog::new("transfers, watched");
    let Some(postgres) = or_skip(Server::postgres()) else { return Ok(()) };
    prints(&records(&postgres, &["create", "--accounts", "3"]).output()?, "3 accounts\n");
    let (watching, mut says) = watch(&postgres, "3")?;
    assert_eq!(says.next().ok_or("it has ended")??, "listening");

    prints(&records(&postgres, &["transfer", "1", "2", "30"]).output()?, "30 from 1 to 2\n");
    fails(
        &records(&postgres, &["transfer", "1", "2", "71"]).output()?,
        "account 1 has less than 71",
    );
    // The first of the two changes was done, and is rolled back.
    fails(&records(&postgres, &["transfer", "2", "9", "1"]).output()?, "there is no account 9");
    fails(&records(&postgres, &["transfer", "2", "2", "1"]).output()?, "cannot give to itself");
    fails(&records(&postgres, &["transfer", "1", "2", "0"]).output()?, "0 is not in 1..");
    prints(&records(&postgres, &["transfer", "2", "1", "130"]).output()?, "130 from 2 to 1\n");
    prints(&records(&postgres, &["transfer", "1", "3", "200"]).output()?, "200 from 1 to 3\n");

    let watched = watching.wait_with_output()?;
    prints(&watched, "30 from 1 to 2\n130 from 2 to 1\n200 from 1 to 3\n");
    assert_eq!(balances(&postgres)?, [0, 0, 300]);
    Ok(())
}

#[test]
fn nothing_is_lost_or_doubled_when_the_server_crashes_in_the_middle() -> Outcome {
    let _watchdog = Watchdog::new("transfers through a crash");
    let Some(mut postgres) = or_skip(Server::postgres()) else { return Ok(()) };
    prints(&records(&postgres, &["create", "--accounts", "20"]).output()?, "20 accounts\n");
    let mut working = records(&postgres, &["work", "--transfers", "600", "--connections", "4"]);
    let mut working = working.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut says = BufReader::new(working.stderr.take().ok_or("piped")?).lines();
    wait_for_transfers(&postgres, 100)?;
    postgres.kill();
    // The crash is noticed, and the address of what is gone is said.
    let address = format!("no connection to the database at {}", postgres.address());
    while !says.next().ok_or("it has ended")??.contains(&address) {}
    postgres.start()?;
    let complaints = says.collect::<Result<Vec<_>, _>>()?;
    let worked = working.wait_with_output()?;
    assert!(worked.status.success(), "{complaints:#?}");
    let said = String::from_utf8(worked.stdout)?;
    let [made, refused] = numbers(&said)[..2] else { return Err(said.into()) };
    assert_eq!(made + refused, 600, "{said}");
    // What it says was made is there, each once, and nothing else; and the balances are those.
    let noted: i64 = ask(&postgres, "SELECT count(*) FROM transfers")?;
    assert_eq!(noted, made, "{said}");
    let wrong = "SELECT count(*) FROM accounts WHERE balance <> 100
        + coalesce((SELECT sum(amount) FROM transfers WHERE taker = number), 0)
        - coalesce((SELECT sum(amount) FROM transfers WHERE giver = number), 0)";
    assert_eq!(ask(&postgres, wrong)?, 0);
    assert_eq!(balances(&postgres)?.iter().sum::<i64>(), 2000);
    Ok(())
}

#[test]
fn who_watches_says_what_is_missed_and_goes_on_after_a_restart() -> Outcome {
    let _watchdog = Watchdog::new("watching through a restart");
    let Some(mut postgres) = or_skip(Server::postgres()) else { return Ok(()) };
    prints(&records(&postgres, &["create"]).output()?, "100 accounts\n");
    let (watching, mut says) = watch(&postgres, "1")?;
    assert_eq!(says.next().ok_or("it has ended")??, "listening");
    postgres.stop()?;
    let line = says.next().ok_or("it has ended")??;
    assert!(line.starts_with("transfers are missed meanwhile: "), "{line}");
    postgres.start()?;
    while says.next().ok_or("it has ended")?? != "listening" {}
    prints(&records(&postgres, &["transfer", "3", "4", "5"]).output()?, "5 from 3 to 4\n");
    prints(&watching.wait_with_output()?, "5 from 3 to 4\n");
    Ok(())
}

#[test]
fn ctrl_c_leaves_no_transaction_open() -> Outcome {
    let _watchdog = Watchdog::new("Ctrl-C among transfers");
    let Some(postgres) = or_skip(Server::postgres()) else { return Ok(()) };
    prints(&records(&postgres, &["create", "--accounts", "20"]).output()?, "20 accounts\n");
    let mut working = records(&postgres, &["work", "--transfers", "1000000000"]).spawn()?;
    wait_for_transfers(&postgres, 10)?;
    kill(Pid::from_raw(working.id().cast_signed()), Signal::SIGINT)?;
    let status = working.wait()?;
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32), "{status}");
    let others = "SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    // The server sees the end of a connection soon, not at once.
    while ask(&postgres, others)? > 0 {}
    assert_eq!(balances(&postgres)?.iter().sum::<i64>(), 2000);
    Ok(())
}

#[test]
fn queries_go_down_one_connection_at_once_and_errors_say_what_to_do() -> Outcome {
    let _watchdog = Watchdog::new("pipelined queries");
    let Some(mut postgres) = or_skip(Server::postgres()) else { return Ok(()) };
    let work = records(&postgres, &["work"]).output()?;
    fails(&work, "relation \"accounts\" does not exist: run `records create`");
    // Each answer is looked at by the program.
    let pipelined = records(&postgres, &["pipeline", "--queries", "500"]).output()?;
    assert!(String::from_utf8(pipelined.stdout)?.starts_with("500 queries one after the other"));
    assert!(pipelined.status.success());

    postgres.stop()?;
    let gone = records(&postgres, &["work"]).output()?;
    fails(&gone, &format!("no connection to the database at {}", postgres.address()));
    let wrong = Command::new(env!("CARGO_BIN_EXE_records"))
        .args(["create", "--database", "not a URL"])
        .output()?;
    fails(&wrong, "--database <URL>");
    Ok(())
}

fn records(postgres: &Server, arguments: &[&str]) -> Command {
    let mut records = Command::new(env!("CARGO_BIN_EXE_records"));
    records.arg("--database").arg(postgres.url()).args(arguments);
    records
}

/// Begins to watch; gives what it says of itself.
fn watch(postgres: &Server, count: &str) -> Outcome<(Child, Lines<BufReader<ChildStderr>>)> {
    let mut watching = records(postgres, &["watch", "--count", count]);
    let mut watching = watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let says = BufReader::new(watching.stderr.take().ok_or("piped")?).lines();
    Ok((watching, says))
}

/// The numbers in a text.
fn numbers(text: &str) -> Vec<i64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Waits until so many transfers were made.
fn wait_for_transfers(postgres: &Server, count: i64) -> Outcome {
    while ask(postgres, "SELECT count(*) FROM transfers")? < count {}
    Ok(())
}

/// The one number that a query gives.
fn ask(postgres: &Server, query: &str) -> Outcome<i64> {
    Ok(column(postgres, query)?[0])
}

fn balances(postgres: &Server) -> Outcome<Vec<i64>> {
    column(postgres, "SELECT balance FROM accounts ORDER BY number")
}

/// The numbers in a query's first column.
fn column(postgres: &Server, query: &str) -> Outcome<Vec<i64>> {
    let url = postgres.url();
    let rows = whirligig::run(async {
        let (client, driver) = connect::postgres(&url.parse()?).await?;
        drop(spawn(driver));
        let rows = client.query(query, &[]).await?;
        // Not as fast as the server can answer.
        sleep(Duration::from_millis(50)).await;
        anyhow::Ok(rows)
    })?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}
