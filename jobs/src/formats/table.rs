//! Aligned columns for a person, as DALI's `text`: the widths are those of the first rows, and later rows that are
//! wider stand out.
//!
//! NULL is `NULL`, so that it is no empty text. What would move the cursor is spelled out, so that a cell from
//! somewhere cannot play with the reader's terminal.

use std::fmt::Write as _;

use arrow::datatypes::SchemaRef;
use unicode_width::UnicodeWidthStr;

use super::{
    Ending,
    cells::{Cells, PLAIN},
    kind::Kind,
    text::{Unwritable, Writer},
};

/// The widths are settled after so many rows, or so many bytes of them.
const ROWS_MEASURED: usize = 1_000;
const BYTES_MEASURED: usize = 1 << 20;

pub(super) struct Table {
    schema: SchemaRef,
    /// Whether a column is a number and stands to the right.
    numeric: Vec<bool>,
    widths: Vec<usize>,
    /// The rows before the widths are settled.
    first: Option<Vec<Vec<String>>>,
    bytes: usize,
    rows: u64,
}

impl Table {
    pub(super) fn new(schema: SchemaRef, kinds: &[Kind]) -> Self {
        let widths = schema.fields().iter().map(|field| shown(field.name()).width()).collect();
        Self {
            numeric: kinds.iter().map(Kind::is_number).collect(),
            schema,
            widths,
            first: Some(Vec::new()),
            bytes: 0,
            rows: 0,
        }
    }

    /// Writes the head and the first rows, whose widths are all known now.
    fn settle(&mut self, out: &mut String) {
        let Some(rows) = self.first.take() else { return };
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.width());
            }
        }
        self.line(out);
        let names: Vec<String> = self.schema.fields().iter().map(|field| shown(field.name())).collect();
        self.cells(&names, out);
        self.line(out);
        for row in &rows {
            self.cells(row, out);
        }
    }

    fn line(&self, out: &mut String) {
        for width in &self.widths {
            out.push('+');
            out.extend(std::iter::repeat_n('-', width + 2));
        }
        out.push_str(if self.widths.is_empty() { "++\n" } else { "+\n" });
    }

    fn cells(&self, cells: &[String], out: &mut String) {
        for ((cell, width), numeric) in cells.iter().zip(&self.widths).zip(&self.numeric) {
            let pad = " ".repeat(width.saturating_sub(cell.width()));
            // Writing to a String cannot fail.
            let _ = if *numeric { write!(out, "| {pad}{cell} ") } else { write!(out, "| {cell}{pad} ") };
        }
        out.push_str(if cells.is_empty() { "||\n" } else { "|\n" });
    }
}

impl Writer for Table {
    fn head(&mut self, _out: &mut String) {} // with the first rows, when the widths are known

    fn row(&mut self, cells: &[Cells], row: usize, out: &mut String) -> Result<(), Unwritable> {
        let mut texts = Vec::with_capacity(cells.len());
        for (column, cells) in cells.iter().enumerate() {
            let mut text = String::new();
            if cells.is_null(row) {
                text.push_str("NULL");
            } else {
                cells.write(row, PLAIN, &mut text).map_err(|why| Unwritable { column, why: why.into() })?;
            }
            texts.push(shown(&text));
        }
        self.rows += 1;
        let Some(first) = &mut self.first else {
            self.cells(&texts, out);
            return Ok(());
        };
        self.bytes += texts.iter().map(String::len).sum::<usize>();
        first.push(texts);
        if first.len() >= ROWS_MEASURED || self.bytes >= BYTES_MEASURED {
            self.settle(out);
        }
        Ok(())
    }

    fn tail(&mut self, ending: Ending, out: &mut String) {
        self.settle(out);
        self.line(out);
        let rows = if self.rows == 1 { "row" } else { "rows" };
        let more = if ending.overflow { ", and there are more" } else { "" };
        let _ = writeln!(out, "{} {rows}{more}", self.rows); // writing to a String cannot fail
    }

    fn failure(&mut self, sentence: &str, out: &mut String) -> bool {
        self.settle(out);
        let _ = writeln!(out, "{sentence}"); // writing to a String cannot fail
        true
    }
}

/// A text on one line, with nothing in it that a terminal would obey.
pub(super) fn shown(text: &str) -> String {
    if !text.contains(is_obeyed) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_obeyed(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Control characters, and those that turn the direction of a line.
fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2028}' | '\u{2029}' | '\u{2066}'..='\u{2069}')
}
