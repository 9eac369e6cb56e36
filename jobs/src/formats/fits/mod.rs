//! A FITS binary table, which STILTS and TOPCAT know as `fits-plus`: the first HDU has the VOTable of the columns, the
//! second the rows.
//!
//! ```text
//!   batches ── columns: learn widths, NULLs, lengths ──▶ spool, on the disk
//!   the last row is read: header (NAXIS2 and all that was learnt) ── spool ──▶ rows ── spool ──▶ heap
//! ```
//! A header tells the number of rows before the first of them, so that nothing leaves before the last row is known, and
//! an answer that fails has no file at all. Counting by running the query twice would cost more and could count
//! other rows. The memory is that of a few batches, whatever waits on the disk.

mod columns;
mod header;
mod spool;
pub(super) mod text;

use std::ops::Range;

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Schema, SchemaRef},
};

use super::{
    Encoder, Ending, Progress,
    cells::Cells,
    kind::Kind,
    plain::{plain_batch, plain_schema},
    rows::{RowBytes, write_missing, write_numbers},
    text::Unwritable,
    votable,
};
use crate::JobError;
use columns::{Column, Layout, Settled};
use header::{BLOCK, Size};
use spool::{Reading, Spool, Spooled};

/// FITS has three digits for the number of a column.
const COLUMNS: usize = 999;
/// So many rows are laid out at once, or fewer, if they are long.
const ROWS: usize = 1_024;

pub(super) struct Fits {
    schema: SchemaRef,
    plain: SchemaRef,
    query: String,
    columns: Vec<Column>,
    aside: SchemaRef,
    /// Away when the last row was read.
    spool: Option<Spool>,
    table: Option<Table>,
}

/// A table on its way out.
struct Table {
    spooled: Spooled,
    reading: Reading,
    kinds: Vec<Kind>,
    columns: Vec<Settled>,
    /// Descriptors have numbers of 64 bits.
    wide: bool,
    row: usize,
    /// The batch that is being written, the next row of it, and how many it has.
    batch: Option<(Vec<Cells>, usize, usize)>,
    rows: RowBytes,
    /// The descriptors of a few rows, column by column.
    descriptors: Vec<Vec<(u64, u64)>>,
    /// Where the next array goes in the heap.
    heap_at: u64,
    stage: Stage,
    /// The bytes that the table and its heap have.
    size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Rows,
    Heap,
}

impl Fits {
    pub(super) fn new(schema: SchemaRef, kinds: Vec<Kind>, query: String) -> Result<Self, JobError> {
        if kinds.len() > COLUMNS {
            let sentence =
                format!("FITS has at most {COLUMNS} columns, and the answer has {}; select fewer.", kinds.len());
            return Err(JobError::Unwritable(sentence));
        }
        let plain = plain_schema(&schema);
        let columns: Vec<Column> = kinds.into_iter().map(Column::new).collect();
        let fields: Vec<_> = plain.fields().iter().zip(&columns).map(|(field, column)| column.aside(field)).collect();
        let aside = SchemaRef::new(Schema::new(fields));
        Ok(Self { spool: Some(Spool::new(&aside)?), schema, plain, query, columns, aside, table: None })
    }

    fn unwritable(&self, column: usize, why: String) -> JobError {
        Unwritable { column, why }.named(&self.schema)
    }

    /// The table, now that all is known, and what stands before its rows.
    fn settle(&self, spool: Spool, ending: Ending, out: &mut Vec<u8>) -> Result<Table, JobError> {
        let settle = |wide| {
            let fields = self.schema.fields().iter().zip(&self.columns).enumerate();
            let settled =
                fields.map(|(at, (field, column))| column.settle(field, wide).map_err(|why| self.unwritable(at, why)));
            settled.collect::<Result<Vec<_>, _>>()
        };
        let mut columns = settle(false)?;
        let heap = columns.iter().map(|column| column.heap).sum::<u64>();
        let wide = i32::try_from(heap).is_err();
        if wide {
            columns = settle(true)?;
        }
        let row = columns.iter().map(|column| column.width(wide)).sum();
        out.extend(header::primary(&votable::without_rows(&self.schema, &self.query, ending)));
        let size = Size { row, rows: ending.rows, heap, overflow: ending.overflow };
        out.extend(header::table(&self.schema, &columns, &size));
        let spooled = spool.finish()?;
        Ok(Table {
            reading: spooled.read()?,
            spooled,
            kinds: self.aside.fields().iter().map(|field| Kind::of(field)).collect::<Result<_, _>>()?,
            descriptors: vec![Vec::new(); columns.len()],
            columns,
            wide,
            row,
            batch: None,
            rows: RowBytes::default(),
            heap_at: 0,
            stage: Stage::Rows,
            size: row as u64 * ending.rows + heap,
        })
    }
}

impl Encoder for Fits {
    fn begin(&mut self, _out: &mut Vec<u8>) -> Result<(), JobError> {
        Ok(())
    }

    fn open(&mut self, batch: RecordBatch) -> Result<(), JobError> {
        let fault = |error| JobError::fault("cannot read a batch of the answer", &error);
        let batch = plain_batch(&batch, &self.plain).map_err(fault)?;
        let mut aside = Vec::with_capacity(self.columns.len());
        for (at, (column, array)) in self.columns.iter_mut().zip(batch.columns()).enumerate() {
            match column.take(array).map_err(fault)? {
                Ok(array) => aside.push(array),
                Err(why) => return Err(self.unwritable(at, why.into())),
            }
        }
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let aside = RecordBatch::try_new_with_options(SchemaRef::clone(&self.aside), aside, &options).map_err(fault)?;
        self.spool.as_mut().map_or(Ok(()), |spool| spool.write(&aside))
    }

    fn write(&mut self, _most: usize, _out: &mut Vec<u8>) -> Result<Progress, JobError> {
        Ok(Progress::Done)
    }

    fn end(&mut self, ending: Ending, most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        if let Some(spool) = self.spool.take() {
            self.table = Some(self.settle(spool, ending, out)?);
        }
        match &mut self.table {
            Some(table) => table.write(most, out),
            None => Ok(Progress::Done),
        }
    }

    fn failure(&mut self, _sentence: &str, _out: &mut Vec<u8>) -> bool {
        false
    }
}

impl Table {
    /// Appends rows, then the heap, then the padding.
    fn write(&mut self, most: usize, out: &mut Vec<u8>) -> Result<Progress, JobError> {
        out.reserve(most);
        while out.len() < most {
            let Some((cells, next, rows)) = self.batch.take() else {
                match spool::next(&mut self.reading)? {
                    Some(batch) => {
                        self.batch = Some((Cells::of_batch(&batch, &self.kinds)?, 0, batch.num_rows()));
                    }
                    None if self.stage == Stage::Rows && self.heap_at > 0 => {
                        self.stage = Stage::Heap;
                        self.reading = self.spooled.read()?;
                    }
                    None => {
                        let padding = self.size.next_multiple_of(BLOCK as u64) - self.size;
                        out.resize(out.len() + padding as usize, 0);
                        return Ok(Progress::Done);
                    }
                }
                continue;
            };
            let next = match self.stage {
                Stage::Rows => self.write_rows(&cells, next, rows, most, out),
                Stage::Heap => self.write_heap(&cells, next, rows, most, out),
            };
            if next < rows {
                self.batch = Some((cells, next, rows));
            }
        }
        Ok(Progress::Full)
    }

    /// Appends some rows and says which is the next.
    fn write_rows(&mut self, cells: &[Cells], first: usize, rows: usize, most: usize, out: &mut Vec<u8>) -> usize {
        let count = (rows - first).min(ROWS).min((most - out.len()) / self.row.max(1)).max(1).min(rows - first);
        self.describe(cells, first, count);
        self.rows.lay_out_in(out, self.row, count);
        for ((column, cells), descriptors) in self.columns.iter().zip(cells).zip(&self.descriptors) {
            put(column, cells, first..first + count, descriptors, self.wide, &mut self.rows);
        }
        self.rows.leave(out);
        first + count
    }

    /// Finds a place in the heap for the arrays of some rows, one row after the other.
    fn describe(&mut self, cells: &[Cells], first: usize, count: usize) {
        self.descriptors.iter_mut().for_each(Vec::clear);
        for row in first..first + count {
            for ((column, cells), descriptors) in self.columns.iter().zip(cells).zip(&mut self.descriptors) {
                if let Layout::Heap { number } = column.layout {
                    let length = columns::length(cells, row) as u64;
                    descriptors.push((length, self.heap_at));
                    self.heap_at += length * number.map_or(1, |number| number.width as u64);
                }
            }
        }
    }

    /// Appends the arrays of some rows and says which row is the next.
    fn write_heap(&mut self, cells: &[Cells], first: usize, rows: usize, most: usize, out: &mut Vec<u8>) -> usize {
        for row in first..rows {
            if out.len() >= most {
                return row;
            }
            for (column, cells) in self.columns.iter().zip(cells) {
                let Layout::Heap { number } = column.layout else { continue };
                match (cells, number) {
                    _ if cells.is_null(row) => {}
                    (Cells::Bytes(array), _) => out.extend_from_slice(array.value(row)),
                    (Cells::Array { elements, ends, .. }, Some(number)) => {
                        let span = ends[row]..ends[row + 1];
                        let start = out.len();
                        out.resize(start + span.len() * number.width, 0);
                        write_numbers(elements, span, number, &mut out[start..]);
                    }
                    // What is in the heap is one of these two.
                    _ => {}
                }
            }
        }
        rows
    }
}

/// Puts the cells of a column into the rows.
fn put(
    column: &Settled,
    cells: &Cells,
    span: Range<usize>,
    descriptors: &[(u64, u64)],
    wide: bool,
    out: &mut RowBytes,
) {
    let first = span.start;
    match column.layout {
        Layout::One(number) => out.put_numbers(cells, span, number),
        Layout::Many { length, number } => out.put_with(|row, out| match cells {
            Cells::Array { elements, .. } if cells.is_null(first + row) => write_missing(elements, length, number, out),
            Cells::Array { elements, ends, .. } => {
                write_numbers(elements, ends[first + row]..ends[first + row + 1], number, out)
            }
            _ => length * number.width,
        }),
        Layout::Bytes { width } => out.put_with(|row, out| {
            if let Cells::Bytes(array) = cells
                && !cells.is_null(first + row)
            {
                let bytes = array.value(first + row);
                out[..bytes.len()].copy_from_slice(bytes);
            }
            width
        }),
        Layout::Heap { .. } if wide => out.put(descriptors.iter().map(|(length, at)| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(&length.to_be_bytes());
            bytes[8..].copy_from_slice(&at.to_be_bytes());
            bytes
        })),
        // The heap has fewer bytes than 32 bits count.
        Layout::Heap { .. } => out.put(descriptors.iter().map(|(length, at)| {
            let mut bytes = [0; 8];
            bytes[..4].copy_from_slice(&(*length as u32).to_be_bytes());
            bytes[4..].copy_from_slice(&(*at as u32).to_be_bytes());
            bytes
        })),
    }
}
