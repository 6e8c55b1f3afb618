//! The bar chart of the loop program, as SVG.
//!
//! Read on a README, by day or by night: the background stays transparent and all text has a grey
//! that stands out from white and from near-black alike. The axis is logarithmic, because the rows
//! are two powers of ten apart; so each bar carries its figure, and no reader has to judge lengths.

use std::path::Path;

use anyhow::{Context, Result};
use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{Line, title};
use crate::{program::Work, table::short};

const WIDTH: u32 = 880;
const BAR: u32 = 34;
const ABOVE: u32 = 62;
const BELOW: u32 = 64;
// Pixels for the names at the left, and for the figures right of the longest bar.
const NAMES: u32 = 250;
const FIGURES: u32 = 130;

const TEXT: RGBColor = RGBColor(110, 119, 129);
const GRID: RGBAColor = RGBAColor(110, 119, 129, 0.25);
const OURS: RGBColor = RGBColor(31, 136, 229);
const THEIRS: RGBColor = RGBColor(158, 142, 108);
const FONT: &str = "Helvetica, Arial, sans-serif";

/// Draws `lines`, the fastest first, to `path`.
pub(super) fn draw(path: &Path, lines: &[Line], rounds: usize, work: Work) -> Result<()> {
    let picture = paint(lines, rounds, work).context("cannot draw the chart")?;
    std::fs::write(path, picture).with_context(|| format!("cannot write {}", path.display()))
}

fn paint(lines: &[Line], rounds: usize, work: Work) -> Result<String> {
    let mut picture = String::new();
    let height = ABOVE + BAR * lines.len() as u32 + BELOW;
    {
        let area = SVGBackend::with_string(&mut picture, (WIDTH, height)).into_drawing_area();
        let middle = (WIDTH / 2) as i32;
        let heading = format!("The {}: milliseconds, shorter is better", title(work));
        area.draw(&Text::new(heading, (middle, 18), text(18, HPos::Center)))?;
        let what =
            "two producers, one consumer, one unbounded queue, a yield after every put and get";
        area.draw(&Text::new(what, (middle, 40), text(13, HPos::Center)))?;
        let scale = Scale::over(lines);
        grid(&area, &scale, height)?;
        for (index, line) in lines.iter().enumerate() {
            bar(&area, &scale, ABOVE + BAR * index as u32, line)?;
        }
        let axis = format!(
            "milliseconds on a logarithmic scale, median of {rounds} fresh processes; \
             one thread unless it says workers"
        );
        area.draw(&Text::new(axis, (middle, height as i32 - 14), text(12, HPos::Center)))?;
        area.present()?;
    }
    Ok(picture)
}

fn text(size: i32, side: HPos) -> TextStyle<'static> {
    (FONT, size).into_font().color(&TEXT).pos(Pos::new(side, VPos::Center))
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

fn grid(area: &Area<'_>, scale: &Scale, height: u32) -> Result<()> {
    let bottom = (height - BELOW + 4) as i32;
    for tick in scale.ticks() {
        let x = scale.x(tick);
        area.draw(&PathElement::new([(x, ABOVE as i32 - 4), (x, bottom)], GRID.stroke_width(1)))?;
        area.draw(&Text::new(short_tick(tick), (x, bottom + 12), text(12, HPos::Center)))?;
    }
    Ok(())
}

fn bar(area: &Area<'_>, scale: &Scale, top: u32, line: &Line) -> Result<()> {
    let (top, milliseconds) = (top as i32, line.summary.median * 1e3);
    let (centre, end) = (top + BAR as i32 / 2, scale.x(milliseconds));
    let is_ours = line.row == line.row.ours();
    let color = if is_ours { OURS } else { THEIRS };
    let corners = [(NAMES as i32, top + 5), (end, top + BAR as i32 - 5)];
    area.draw(&Rectangle::new(corners, color.filled()))?;
    let name = Text::new(line.label.as_str(), (NAMES as i32 - 10, centre), text(14, HPos::Right));
    area.draw(&name)?;
    let figure = match line.ratio {
        Some(ratio) if !is_ours => {
            format!("{} ms ({} ×)", short(milliseconds), short(ratio))
        }
        _ => format!("{} ms", short(milliseconds)),
    };
    area.draw(&Text::new(figure, (end + 8, centre), text(14, HPos::Left)))?;
    Ok(())
}

fn short_tick(milliseconds: f64) -> String {
    match milliseconds {
        whole if whole >= 1.0 => super::grouped(whole as u64),
        part => part.to_string(),
    }
}

/// Where a number of milliseconds stands on the axis.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// From a round number below the shortest bar, so that this bar too has a length.
    fn over(lines: &[Line]) -> Self {
        let medians = || lines.iter().map(|line| line.summary.median * 1e3);
        let shortest = medians().fold(f64::INFINITY, f64::min);
        let longest = medians().fold(0.0, f64::max);
        let below = 10f64.powf((shortest / 2.0).log10().floor());
        let low = [5.0, 2.0, 1.0].map(|step| step * below);
        let low = low.into_iter().find(|&low| low <= shortest / 2.0).unwrap_or(below);
        Self { low, high: longest.max(low * 10.0) }
    }

    fn x(&self, milliseconds: f64) -> i32 {
        let share = (milliseconds / self.low).ln() / (self.high / self.low).ln();
        NAMES as i32 + (share * f64::from(WIDTH - NAMES - FIGURES)) as i32
    }

    /// 1, 2 and 5 times each power of ten on the axis.
    fn ticks(&self) -> impl Iterator<Item = f64> {
        let (low, high) = (self.low, self.high);
        (-6..9)
            .flat_map(|power| [1.0, 2.0, 5.0].map(|step| step * 10f64.powi(power)))
            .filter(move |&tick| tick >= low * 0.999 && tick <= high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{loop_program::Row, stats::Summary};

    fn line(row: Row, seconds: f64) -> Line {
        let summary = Summary::of([seconds]);
        Line { row, label: row.label(), summary, ratio: Some(1.0), seconds: vec![seconds] }
    }

    #[test]
    fn the_picture_names_every_row_and_its_unit() {
        let lines = [line(Row::Whirligig, 0.017), line(Row::Asyncio, 2.475)];
        let picture = paint(&lines, 7, Work { actions: 500_000, clock: false }).unwrap();
        for part in ["whirligig", "asyncio", "17.0 ms", "2475 ms", "milliseconds", "500,000"] {
            assert!(picture.contains(part), "no {part} in the picture");
        }
    }

    #[test]
    fn longer_runs_have_longer_bars_inside_the_picture() {
        let lines = [line(Row::Whirligig, 0.017), line(Row::Asyncio, 2.475)];
        let scale = Scale::over(&lines);
        let (short, long) = (scale.x(17.0), scale.x(2_475.0));
        assert!((NAMES as i32) < short && short < long && long <= (WIDTH - FIGURES) as i32);
        assert_eq!(scale.ticks().next(), Some(5.0));
    }
}
