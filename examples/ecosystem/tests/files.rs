//! The copies are right, the loop goes on while a file keeps a reader waiting, and Ctrl-C leaves no half of a file.

use std::{
    error::Error,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::{
        signal::{Signal, kill},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use support::{Watchdog, fails, output};

mod support;

#[test]
fn each_line_is_numbered_on_the_loop_and_beside_it() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (letters, copies) = (folder.path().join("letters"), folder.path().join("copies"));
    output(files().arg("make").arg(&letters).args(["--files", "20", "--lines", "300"]));
    // Longer than a buffer, and without a line feed at its end.
    let long = "x".repeat(100_000);
    fs::write(letters.join("long"), format!("{long}\n\n{long}"))?;
    fs::create_dir(letters.join("a folder is not copied"))?;
    for how in [&[][..], &["--on-the-loop"], &["--at-once", "1"]] {
        let said = output(files().arg("number").arg(&letters).arg(&copies).args(how));
        assert!(said.starts_with("21 files, 6003 lines; "), "{said}");
        assert_eq!(fs::read_dir(&copies)?.count(), 21);
        for file in 0..20 {
            let copy = fs::read_to_string(copies.join(format!("letter-{file:05}")))?;
            let line = |n| format!("{:6}  letter {file}, line {n}\n", n + 1);
            assert_eq!(copy, (0..300).map(line).collect::<String>());
        }
        let copy = fs::read_to_string(copies.join("long"))?;
        assert_eq!(copy, format!("     1  {long}\n     2  \n     3  {long}\n"));
        fs::remove_dir_all(&copies)?;
    }
    Ok(())
}

#[test]
fn the_ticker_beats_while_a_file_has_nothing_to_read() -> Result<(), Box<dyn Error>> {
    let _watchdog = Watchdog::new("the ticker beside a silent file");
    let folder = tempfile::tempdir()?;
    let (mut copying, mut beats) = copy_a_pipe(folder.path())?;
    let mut pipe = fs::OpenOptions::new().write(true).open(folder.path().join("from/pipe"))?;
    for line in ["first\n", "second\n"] {
        // The file is being read all this time, and has nothing.
        beats.by_ref().take(5).try_for_each(|beat| beat.map(drop))?;
        pipe.write_all(line.as_bytes())?;
    }
    drop(pipe);
    beats.try_for_each(|beat| beat.map(drop))?;
    assert!(copying.wait()?.success());
    let copy = fs::read_to_string(folder.path().join("to/pipe"))?;
    assert_eq!(copy, "     1  first\n     2  second\n");
    Ok(())
}

#[test]
fn ctrl_c_leaves_whole_files_only() -> Result<(), Box<dyn Error>> {
    let _watchdog = Watchdog::new("Ctrl-C while a file is read");
    let folder = tempfile::tempdir()?;
    let (mut copying, mut beats) = copy_a_pipe(folder.path())?;
    let mut pipe = fs::OpenOptions::new().write(true).open(folder.path().join("from/pipe"))?;
    pipe.write_all(b"first\n")?;
    let to = folder.path().join("to");
    let is_there = |name: &str| to.join(name).exists();
    while !is_there("whole") || !is_there("pipe.part") {
        beats.next().ok_or("it ended")??;
    }
    kill(Pid::from_raw(copying.id().cast_signed()), Signal::SIGINT)?;
    // A read that has begun is waited for, some seconds: it ends with the pipe.
    while is_there("pipe.part") {
        std::thread::yield_now();
    }
    drop(pipe);
    let status = copying.wait()?;
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32), "{status}");
    assert!(is_there("whole") && !is_there("pipe") && !is_there("pipe.part"));
    Ok(())
}

#[test]
fn errors_name_the_file_and_say_what_to_do() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    let no_folder = files().arg("number").arg(&from).arg(&to).output()?;
    fails(&no_folder, from.to_str().ok_or("a path in UTF-8")?);
    fs::create_dir(&from)?;
    fails(&files().arg("number").arg(&from).arg(&from).output()?, "into itself");
    fs::write(from.join("binary"), b"\xff\xfe\n")?;
    fails(&files().arg("number").arg(&from).arg(&to).output()?, "from/binary");
    assert_eq!(fs::read_dir(&to)?.count(), 0, "no half of a file");
    let none_at_once =
        files().arg("number").arg(&from).arg(&to).args(["--at-once", "0"]).output()?;
    fails(&none_at_once, "1..=1000");
    Ok(())
}

/// Begins to copy a named pipe and a file `whole`; gives the beats.
fn copy_a_pipe(
    folder: &Path,
) -> Result<(Child, impl Iterator<Item = std::io::Result<String>>), Box<dyn Error>> {
    let from = folder.join("from");
    fs::create_dir(&from)?;
    fs::write(from.join("whole"), "line\n")?;
    mkfifo(&from.join("pipe"), Mode::S_IRWXU)?;
    let mut copying = files();
    copying.arg("number").arg(&from).arg(folder.join("to")).args(["--show-beats", "--beat", "1"]);
    let mut copying = copying.stderr(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    let beats = BufReader::new(copying.stderr.take().ok_or("piped")?).lines();
    Ok((copying, beats))
}

fn files() -> Command {
    Command::new(env!("CARGO_BIN_EXE_files"))
}
