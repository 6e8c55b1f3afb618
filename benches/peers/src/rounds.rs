//! Interleaving: every row once per round, in turn, with a progress bar.
//!
//! A machine drifts: its neighbours come and go, its clock speed changes. Ten runs of one runtime
//! and then ten of the next would charge the drift to one of them; round by round it falls on all.
//! Each round begins with another row, so that no row always follows the same neighbour.

use std::fmt::Display;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

/// Calls `run` for each of `rows` in each of `rounds`; returns the samples in the order of `rows`.
pub(crate) fn interleaved<R: Copy + Display, T>(
    rows: &[R],
    rounds: usize,
    mut run: impl FnMut(R) -> Result<T>,
) -> Result<Vec<Vec<T>>> {
    let mut samples: Vec<Vec<T>> = rows.iter().map(|_| Vec::with_capacity(rounds)).collect();
    let bar = progress_bar(rounds * rows.len());
    for round in 0..rounds {
        for step in 0..rows.len() {
            let row = (round + step) % rows.len();
            bar.set_message(rows[row].to_string());
            samples[row].push(run(rows[row])?);
            bar.inc(1);
        }
    }
    bar.finish_and_clear();
    Ok(samples)
}

/// A bar for `steps` runs, the current one named beside it.
pub(crate) fn progress_bar(steps: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:32} {pos}/{len} {elapsed} {msg}")
        .expect("the template is well formed");
    ProgressBar::new(steps as u64).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_rotate_and_samples_keep_the_order_of_the_rows() {
        let mut order = String::new();
        let samples = interleaved(&['a', 'b', 'c'], 2, |row| {
            order.push(row);
            Ok(row)
        });
        assert_eq!(order, "abcbca");
        assert_eq!(samples.unwrap(), [['a'; 2], ['b'; 2], ['c'; 2]]);
    }
}
