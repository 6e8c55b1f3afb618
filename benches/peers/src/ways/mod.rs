//! The command `peers ways`: when tasks, when threads, when processes.
//!
//! The same work by each way there is, and what that takes in time and memory. [`piece`] has the work, [`way`] the ways;
//! [`one`] what one of each costs, with nothing to do.
//! A cell of the table is a process of its own, as everywhere in `peers`. With `--chapter` the table is written into the
//! chapter that is about it, between two marks; so no figure there is typed.
//!
//! The times are those of the fastest round, other than elsewhere. The ways use one processor or all of them, and where
//! others use them too, a median says how much the others left.
//!
//! The memory is what this process had at most, less what it had before, and of a pool of processes also what they had at
//! the end. It is what they touched: a thread's stack is far larger, and costs nothing until it is used. What the kernel
//! keeps for itself is not in it, 16 KiB and more for each thread.

mod one;
mod piece;
mod way;

use std::{
    fmt, fs,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

pub(crate) use self::piece::ON_A_THREAD;
use self::{
    one::One,
    piece::Kind,
    way::{WAITING, Way},
};
use crate::{
    child,
    machine::{self, CpuTime, peak_memory, processors},
    rounds,
    stats::Summary,
    table::{self, short},
};

const CHAPTER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/15-beside-the-loop.md");
const BEGIN: &str = "<!-- peers ways: begin -->\n";
const END: &str = "<!-- peers ways: end -->";

/// Options of the comparison of ways.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each cell runs.
    #[arg(long, default_value_t = 3, value_parser = crate::at_least_one)]
    rounds: usize,
    /// Only these kinds of work, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "KINDS")]
    only: Vec<Kind>,
    /// Writes the table into the chapter; without FILE into docs/15-beside-the-loop.md.
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = CHAPTER,
          conflicts_with = "only")]
    chapter: Option<PathBuf>,
    /// Writes every sample with machine and date.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// One process to start.
#[derive(Clone, Copy, Debug, Serialize)]
struct Cell(Kind, Way);

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", name(&self.0), name(&self.1))
    }
}

fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Sample {
    seconds: f64,
    cpu_seconds: f64,
    /// In bytes.
    memory: f64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let kinds = match options.only.as_slice() {
        [] => Kind::value_variants(),
        only => only,
    };
    let ways = |&kind: &Kind| Way::value_variants().iter().map(move |&way| Cell(kind, way));
    let cells: Vec<_> = kinds.iter().flat_map(ways).filter(|cell| cell.1.does(cell.0)).collect();
    let samples = rounds::interleaved(&cells, options.rounds, |Cell(kind, way)| {
        child::answer(child::command(["ways", &name(&kind), &name(&way)])?)
    })?;
    let lines: Vec<(Cell, Vec<Sample>)> = cells.into_iter().zip(samples).collect();
    let ones = rounds::interleaved(&Of::all(), options.rounds, |Of(one)| {
        child::answer::<f64>(child::command(["ways-one", &name(&one)])?)
    })?;
    let block = format!(
        "{}\n\n{}\n\nOne at a time, with nothing to do, in microseconds:\n\n{}\n",
        caption(options.rounds),
        table(kinds, &lines),
        table_of_ones(&ones)
    );
    print!("{block}");
    if let Some(path) = &options.chapter {
        let chapter = fs::read_to_string(path);
        let chapter = chapter.with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(path, with_block(&chapter, &block)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        println!("wrote {}", path.display());
    }
    match &options.json {
        Some(path) => machine::write_json(path, "ways, seconds and bytes", &lines),
        None => Ok(()),
    }
}

fn caption(rounds: usize) -> String {
    format!(
        "Seconds, and memory in MiB; {} processors, the fastest of {rounds} fresh processes, and the median of their memory. The pools have {WAITING} \
         threads or processes, and where all is computing as many as processors.",
        processors()
    )
}

/// The table: a row for each kind of work, a column for each way.
fn table(kinds: &[Kind], lines: &[(Cell, Vec<Sample>)]) -> String {
    let ways = Way::value_variants();
    let mut header = vec!["work"];
    header.extend(ways.iter().map(|way| way.title()));
    let header: [&str; 8] = header.try_into().expect("seven ways");
    let mut table = table::new(header);
    for &kind in kinds {
        let mut row = vec![kind.title().to_owned()];
        row.extend(ways.iter().map(|&way| {
            let of = lines.iter().find(|(Cell(k, w), _)| (*k, *w) == (kind, way));
            of.map_or("-".to_owned(), |(_, samples)| {
                let seconds = Summary::of(samples.iter().map(|sample| sample.seconds)).min;
                let memory = Summary::of(samples.iter().map(|sample| sample.memory)).median;
                format!("{} s, {}", short(seconds), short(memory / f64::from(1 << 20)))
            })
        }));
        table.add_row(row);
    }
    table.to_string()
}

/// One of which nothing is asked.
#[derive(Clone, Copy, Debug)]
struct Of(One);

impl Of {
    fn all() -> Vec<Self> {
        One::value_variants().iter().copied().map(Self).collect()
    }
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&name(&self.0))
    }
}

fn table_of_ones(samples: &[Vec<f64>]) -> String {
    let mut table = table::new(["one", "us"]);
    for (one, samples) in One::value_variants().iter().zip(samples) {
        let least = Summary::of(samples.iter().copied()).min;
        table.add_row([one.title().to_owned(), short(least)]);
    }
    table.to_string()
}

/// The chapter with another block between its marks.
fn with_block(chapter: &str, block: &str) -> Result<String> {
    let begin = chapter.find(BEGIN).map(|at| at + BEGIN.len());
    let end = chapter.find(END);
    let (Some(begin), Some(end)) = (begin, end) else {
        anyhow::bail!("the chapter has no `{}` and `{END}`", BEGIN.trim_end());
    };
    ensure!(begin <= end, "the marks stand in the wrong order");
    Ok(format!("{}{block}{}", &chapter[..begin], &chapter[end..]))
}

/// One sample.
#[derive(Args, Debug)]
pub(crate) struct Once {
    kind: Kind,
    way: Way,
}

impl Once {
    pub(crate) fn run(&self) -> Result<()> {
        ensure!(self.way.does(self.kind), "there is no such cell: {}", Cell(self.kind, self.way));
        let memory_before = peak_memory()?;
        let cpu_before = CpuTime::now();
        let start = Instant::now();
        let (sum, elsewhere) = self.way.run(self.kind)?;
        let seconds = start.elapsed().as_secs_f64();
        ensure!(sum == self.kind.expected(), "the sum is {sum}, not {}", self.kind.expected());
        child::report(&Sample {
            seconds,
            cpu_seconds: CpuTime::now().since(cpu_before).total().as_secs_f64(),
            memory: (peak_memory()? - memory_before + elsewhere) as f64,
        })
    }
}

/// One sample of one with nothing to do.
#[derive(Args, Debug)]
pub(crate) struct OnceOne {
    one: One,
}

impl OnceOne {
    pub(crate) fn run(&self) -> Result<()> {
        child::report(&self.one.measure(Duration::from_millis(300))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_replaced_between_its_marks() {
        let chapter = format!("# One\n{BEGIN}old\n{END}\nrest\n");
        let replaced = with_block(&chapter, "new\n").unwrap();
        assert_eq!(replaced, format!("# One\n{BEGIN}new\n{END}\nrest\n"));
        assert!(with_block("# One\n", "new\n").is_err());
        assert!(with_block(&format!("{END}{BEGIN}"), "new\n").is_err());
    }

    /// What stands in the chapter is this program's, row by row and column by column; it knows the figures only when it
    /// is run.
    #[test]
    fn the_chapter_has_this_table() {
        let chapter = fs::read_to_string(CHAPTER).unwrap();
        let block = &chapter[chapter.find(BEGIN).unwrap()..chapter.find(END).unwrap()];
        let rows: Vec<Vec<&str>> = block
            .lines()
            .filter(|line| line.starts_with('|'))
            .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
            .collect();
        let (kinds, ways) = (Kind::value_variants(), Way::value_variants());
        let (work, ones) = rows.split_at(2 + kinds.len());
        let header: Vec<&str> =
            ["work"].into_iter().chain(ways.iter().map(|way| way.title())).collect();
        assert_eq!(work[0], header);
        for (row, kind) in work[2..].iter().zip(kinds) {
            assert_eq!(row[0], kind.title());
            for (cell, way) in row[1..].iter().zip(ways) {
                assert_eq!(*cell != "-", way.does(*kind), "{cell}");
            }
        }
        let titles: Vec<&str> = ones[2..].iter().map(|row| row[0]).collect();
        assert_eq!(titles, One::value_variants().iter().map(|o| o.title()).collect::<Vec<_>>());
    }
}
