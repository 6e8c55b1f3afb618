//! Reads and writes many files line by line, while the loop does other things: what aiofiles does.
//!
//! ```text
//! cargo run -p ecosystem --bin files -- make letters --files 4 --lines 250000
//! cargo run -p ecosystem --bin files -- number letters numbered
//! cargo run -p ecosystem --bin files -- number letters numbered --on-the-loop
//! ```
//!
//! `number` copies each file of a folder with its lines numbered. Beside it a ticker beats. One sees how many files and
//! lines were copied, how often the ticker beat, and its longest pause; with `--on-the-loop` the files are read and
//! written by the loop's own thread instead, and the ticker stands still for as long as that takes.
//!
//! In Python:
//!
//! ```python
//! async def number(source, target):
//!     async with aiofiles.open(source) as lines, aiofiles.open(target, "w") as numbered:
//!         n = 0
//!         async for line in lines:
//!             n += 1
//!             await numbered.write(f"{n:6}  {line}")
//! ```
//!
//! aiofiles goes to a thread and back for each line. Here a file has a buffer, and goes there once for 64 KiB.
//!
//! A copy has its name when it is complete, not before: after Ctrl-C, or an error, what has a name is whole. Halves are
//! removed.

use std::{
    fs::{self as blocking, FileType},
    io::{self, BufRead, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, ensure};
use clap::{Parser, value_parser};
use futures_lite::{AsyncBufReadExt, AsyncWriteExt, StreamExt, io::BufReader};
use whirligig::{
    fs::{self, File},
    queue::Queue,
    signal::run_until_ctrl_c,
    task,
    time::{Instant, MissedTicks, interval},
};

/// Reads and writes many files while a ticker keeps its beat
#[derive(Parser)]
enum Options {
    /// Write files to read
    Make {
        /// The folder for them; it is created
        folder: PathBuf,

        /// How many
        #[arg(long, default_value_t = 100)]
        files: usize,

        /// So many lines in each
        #[arg(long, default_value_t = 1000)]
        lines: usize,
    },

    /// Copy each file of a folder, with its lines numbered
    Number {
        /// The folder to read
        from: PathBuf,

        /// The folder to write; it is created
        to: PathBuf,

        /// So many files at a time
        #[arg(long, default_value_t = 16, value_parser = value_parser!(u16).range(1..=1000))]
        at_once: u16,

        /// Milliseconds from one beat of the ticker to the next
        #[arg(long, default_value_t = 5, value_parser = value_parser!(u64).range(1..))]
        beat: u64,

        /// Print each beat
        #[arg(long)]
        show_beats: bool,

        /// Call std's functions on the loop's own thread, to see what that does to the ticker
        #[arg(long)]
        on_the_loop: bool,
    },
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let done = run_until_ctrl_c(async move {
        match options {
            Options::Make { folder, files, lines } => make(&folder, files, lines).await,
            Options::Number { from, to, at_once, beat, show_beats, on_the_loop } => {
                fs::create_dir_all(&to).await?;
                let (from, to) = (fs::canonicalize(&from).await?, fs::canonicalize(&to).await?);
                ensure!(from != to, "{} cannot be copied into itself", from.display());
                let copying = async {
                    match on_the_loop {
                        true => number_all_on_the_loop(&from, &to).await,
                        false => number_all(from, to, at_once).await,
                    }
                };
                let period = Duration::from_millis(beat);
                let (copied, beats) = beside_a_ticker(period, show_beats, copying).await;
                let Copied { files, lines } = copied?;
                println!("{files} files, {lines} lines; {beats}");
                Ok(())
            }
        }
    });
    done.unwrap_or_else(|interrupted| interrupted.exit())
}

async fn make(folder: &Path, files: usize, lines: usize) -> anyhow::Result<()> {
    fs::create_dir_all(folder).await?;
    for file in 0..files {
        let text: String = (0..lines).map(|line| format!("letter {file}, line {line}\n")).collect();
        fs::write(folder.join(format!("letter-{file:05}")), text).await?;
    }
    println!("{files} files in {}", folder.display());
    Ok(())
}

#[derive(Default)]
struct Copied {
    files: usize,
    lines: usize,
}

/// Copies the folder's files; the first that fails ends it, and the others.
async fn number_all(from: PathBuf, to: PathBuf, at_once: u16) -> anyhow::Result<Copied> {
    // Bounded: of a folder with a million files only some names are in memory.
    let names = Arc::new(Queue::bounded(usize::from(at_once)));
    let copied = task::scope(async |scope| {
        let copiers: Vec<_> = (0..at_once)
            .map(|_| {
                let (names, from, to) = (names.clone(), from.clone(), to.clone());
                scope.spawn(async move {
                    let mut copied = Copied::default();
                    while let Ok(name) = names.get().await {
                        let (source, target): (PathBuf, _) = (from.join(&name), to.join(&name));
                        let lines = number(&source, &target).await;
                        copied.lines += lines.with_context(|| source.display().to_string())?;
                        copied.files += 1;
                    }
                    anyhow::Ok(copied)
                })
            })
            .collect();
        let mut entries = fs::read_dir(&from).await?;
        while let Some(entry) = entries.next().await.transpose()? {
            if is_copied(entry.file_type().await?) && names.put(entry.file_name()).await.is_err() {
                break;
            }
        }
        names.close();
        let mut sum = Copied::default();
        for copier in copiers {
            let copied = copier.await;
            sum.files += copied.files;
            sum.lines += copied.lines;
        }
        anyhow::Ok(sum)
    });
    Ok(copied.await?)
}

/// Copies one file, and says how many lines it has.
async fn number(source: &Path, target: &Path) -> io::Result<usize> {
    let mut lines = BufReader::new(File::open(source).await?).lines();
    let part = Part::of(target);
    let mut numbered = File::create(&part.path).await?;
    let mut n = 0;
    while let Some(line) = lines.next().await {
        n += 1;
        numbered.write_all(format!("{n:6}  {}\n", line?).as_bytes()).await?;
    }
    numbered.close().await?;
    fs::rename(&part.path, target).await?;
    Ok(n)
}

/// The same with std's functions: the loop does nothing else until the file is copied. Between two files it does.
async fn number_all_on_the_loop(from: &Path, to: &Path) -> anyhow::Result<Copied> {
    let mut copied = Copied::default();
    for entry in blocking::read_dir(from)? {
        let entry = entry?;
        if !is_copied(entry.file_type()?) {
            continue;
        }
        let target = to.join(entry.file_name());
        let part = Part::of(&target);
        let mut numbered = io::BufWriter::new(blocking::File::create(&part.path)?);
        for (n, line) in io::BufReader::new(blocking::File::open(entry.path())?).lines().enumerate()
        {
            writeln!(numbered, "{:6}  {}", n + 1, line?)?;
            copied.lines += 1;
        }
        numbered.flush()?;
        blocking::rename(&part.path, &target)?;
        copied.files += 1;
        task::yield_now().await;
    }
    Ok(copied)
}

fn is_copied(kind: FileType) -> bool {
    !kind.is_dir()
}

/// The name of a copy that is not complete. Dropped, it removes that, if it is still there.
struct Part {
    path: PathBuf,
}

impl Part {
    fn of(target: &Path) -> Self {
        let mut name = target.file_name().unwrap_or_default().to_owned();
        name.push(".part");
        Self { path: target.with_file_name(name) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // A destructor cannot await; and it is one short call.
        let _ = blocking::remove_file(&self.path);
    }
}

/// Runs `work`, with a ticker beside it until it is done; says how the ticker fared.
async fn beside_a_ticker<F: Future>(period: Duration, show: bool, work: F) -> (F::Output, String) {
    let start = Instant::now();
    let mut ticker = interval(period);
    ticker.set_missed_ticks(MissedTicks::Skip);
    let (mut beats, mut last, mut longest) = (0, start, Duration::ZERO);
    let ticking = async {
        loop {
            ticker.tick().await;
            let now = Instant::now();
            longest = longest.max(now.duration_since(last));
            (beats, last) = (beats + 1, now);
            if show {
                eprintln!("beat {beats}");
            }
        }
    };
    let done = futures_lite::future::or(async { Ok(work.await) }, async { Err(ticking.await) });
    let output: Result<F::Output, std::convert::Infallible> = done.await;
    let Ok(output) = output;
    let took = start.elapsed();
    (output, format!("{took:.0?}, {beats} beats, the longest pause {longest:.1?}"))
}
