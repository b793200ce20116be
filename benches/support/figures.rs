//! Medians, and the table that each bench prints.

use std::fmt::Display;
use std::io::{self, Write};
use std::time::Duration;

/// The value that `share` (0.0..=1.0) of `values` do not exceed.
pub(crate) fn percentile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = ((sorted.len() as f64 * share).ceil() as usize).clamp(1, sorted.len().max(1));
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(values: &[f64]) -> f64 {
    percentile(values, 0.5)
}

pub(crate) fn min(values: &[f64]) -> f64 {
    percentile(values, 0.0)
}

pub(crate) fn max(values: &[f64]) -> f64 {
    percentile(values, 1.0)
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// A table in Markdown, so that it can stand in the README as it is.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<const N: usize>(heads: [&str; N]) -> Self {
        Self { rows: vec![heads.map(str::to_owned).to_vec(), heads.map(|_| "---".to_owned()).to_vec()] }
    }

    pub(crate) fn row<const N: usize>(&mut self, cells: [&dyn Display; N]) {
        self.rows.push(cells.map(ToString::to_string).to_vec());
    }

    pub(crate) fn print(&self) -> io::Result<()> {
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
        let mut out = io::stdout().lock();
        for (line, row) in self.rows.iter().enumerate() {
            for (column, cell) in row.iter().enumerate() {
                let (width, fill) = (width(column).unwrap_or(0), if line == 1 { '-' } else { ' ' });
                let padding: String = std::iter::repeat_n(fill, width - cell.chars().count()).collect();
                write!(out, "| {cell}{padding} ")?;
            }
            writeln!(out, "|")?;
        }
        writeln!(out)
    }
}

/// Whether a budget is kept, in a word.
pub(crate) fn verdict(kept: bool) -> &'static str {
    if kept { "kept" } else { "MISSED" }
}

/// A line beside the tables.
pub(crate) fn say(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}
