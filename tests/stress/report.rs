//! How far a long run is, and what it did.
//!
//! Short runs say nothing.

use std::{
    sync::Mutex,
    time::{Duration, Instant},
};

use comfy_table::{CellAlignment, Table, presets::ASCII_MARKDOWN};
use indicatif::{HumanCount, ProgressBar, ProgressStyle};

use crate::{census::Kind, round::Done, variant::Variant};

/// One variant's rounds.
pub(crate) struct Report {
    variant: Variant,
    bar: Option<ProgressBar>,
    began: Instant,
    rows: Rows,
}

/// What was done, by name.
type Rows = Vec<(&'static str, u64)>;

impl Report {
    /// With a bar, if it takes a number of seconds.
    pub(crate) fn new(variant: Variant, seconds: Option<u64>) -> Self {
        let bar = seconds.map(|seconds| {
            let style = ProgressStyle::with_template("{prefix:>18} {bar:30} {pos}/{len} s {msg}");
            let bar = ProgressBar::new(seconds).with_style(style.expect("it is valid"));
            bar.set_prefix(variant.to_string());
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Self { variant, bar, began: Instant::now(), rows: Vec::new() }
    }

    /// Adds what a round did.
    pub(crate) fn add(&mut self, done: &Done) {
        let kinds = Kind::ALL.iter().map(|kind| kind.name()).zip(done.completed);
        let others = [
            ("cancelled or given up", done.cancelled),
            ("bytes echoed", done.bytes),
            ("polls", done.polls),
            ("parks", done.parks),
            ("rounds that ended in order", u64::from(done.in_order)),
            ("rounds that ended in the middle", u64::from(!done.in_order)),
        ];
        for (name, count) in kinds.chain(others) {
            match self.rows.iter_mut().find(|row| row.0 == name) {
                Some(row) => row.1 += count,
                None => self.rows.push((name, count)),
            }
        }
        if let Some(bar) = &self.bar {
            let seconds = self.began.elapsed().as_secs();
            bar.set_position(seconds.min(bar.length().unwrap_or(seconds)));
            let completed: u64 = self.rows[..Kind::ALL.len()].iter().map(|row| row.1).sum();
            bar.set_message(format!("{} operations", HumanCount(completed)));
        }
    }

    /// Prints the table of all variants so far.
    pub(crate) fn end(self) {
        static ALL: Mutex<Vec<(Variant, Rows)>> = Mutex::new(Vec::new());
        let Some(bar) = self.bar else { return };
        bar.finish_and_clear();
        let mut all = ALL.lock().unwrap();
        all.push((self.variant, self.rows));
        let mut table = Table::new();
        table.load_style(ASCII_MARKDOWN);
        let variants = all.iter().map(|(variant, _)| variant.to_string());
        table.set_header(std::iter::once("done".to_owned()).chain(variants));
        for (row, (name, _)) in all[0].1.iter().enumerate() {
            let counts = all.iter().map(|(_, rows)| HumanCount(rows[row].1).to_string());
            table.add_row(std::iter::once((*name).to_owned()).chain(counts));
        }
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        println!("\n{table}\n");
    }
}
