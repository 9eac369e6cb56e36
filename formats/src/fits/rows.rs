//! Rows to batches: the columns that are wanted, decoded one after the other, without the rows that cannot be read.

use std::{collections::BTreeMap, mem, sync::Arc};

use arrow::{
    array::{ArrayRef, FixedSizeListArray, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};

use crate::{
    BadRow, FormatError, Input, Place, Rows, Take,
    fits::{
        columns::{Column, Form, ROW_LIMIT},
        data::Data,
        decode::{self, Faults, Span},
        heap::{self, Extent, Fetched, Heap},
    },
};

/// How many bytes of arrays a batch shall have.
const BATCH_BYTES: usize = 16 << 20;

/// Decodes the rows of a table.
pub(super) struct Decoder<'a> {
    pub(super) input: &'a Input,
    pub(super) schema: SchemaRef,
    pub(super) columns: Vec<&'a Column>,
    /// The length of a row, never 0.
    pub(super) stride: usize,
    pub(super) batch_rows: usize,
    pub(super) heap: Option<(&'a Data, Heap)>,
}

/// What cannot be read, by the index of its row.
type Reasons = BTreeMap<usize, String>;

impl Decoder<'_> {
    /// Hands on whole rows, of which the first has this number.
    pub(super) fn decode(&self, first: u64, rows: &[u8], take: &mut Take<'_>) -> Result<(), FormatError> {
        let bytes = self.batch_rows * self.stride;
        for (index, rows) in rows.chunks(bytes).enumerate() {
            self.batches(first + (index * self.batch_rows) as u64, rows, take)?;
        }
        Ok(())
    }

    /// One batch, or several where arrays are long.
    fn batches(&self, first: u64, rows: &[u8], take: &mut Take<'_>) -> Result<(), FormatError> {
        let count = rows.len() / self.stride;
        let mut reasons = Reasons::new();
        let extents = self.locate(rows, &mut reasons);
        let mut begin = 0;
        while begin < count {
            let end = self.end_of_batch(&extents, begin, count);
            let mut behind = reasons.split_off(&end);
            mem::swap(&mut reasons, &mut behind);
            // `behind` now holds what is wrong in front of `end`, `reasons` the rest.
            self.batch(first, rows, begin..end, &extents, &mut behind, take)?;
            begin = end;
        }
        Ok(())
    }

    /// The arrays of each column with arrays in the heap; none for the others.
    fn locate(&self, rows: &[u8], reasons: &mut Reasons) -> Vec<Vec<Extent>> {
        let Some((_, heap)) = self.heap else { return vec![Vec::new(); self.columns.len()] };
        let locate = |column: &&Column| {
            heap::locate(column, heap, rows, self.stride, &mut Faults::new(reasons, &column.name, 0))
        };
        let mut extents: Vec<Vec<Extent>> = self.columns.iter().map(locate).collect();
        for row in 0..rows.len() / self.stride {
            let size: usize = extents.iter().filter_map(|column| column.get(row)).map(|extent| extent.bytes).sum();
            if size as u64 > ROW_LIMIT {
                let limit = ROW_LIMIT >> 20;
                Faults::new(reasons, "arrays", 0).note(row, format_args!("{size} bytes are more than {limit} MiB"));
                extents
                    .iter_mut()
                    .filter_map(|column| column.get_mut(row))
                    .for_each(|extent| *extent = Extent::default());
            }
        }
        extents
    }

    /// As many rows as have arrays of a good size together, at least one.
    fn end_of_batch(&self, extents: &[Vec<Extent>], begin: usize, count: usize) -> usize {
        if self.heap.is_none() {
            return count;
        }
        let mut size = 0;
        let fits = |row: &usize| {
            size += extents.iter().filter_map(|column| column.get(*row)).map(|extent| extent.bytes).sum::<usize>();
            size <= BATCH_BYTES
        };
        (begin..count).take_while(fits).count().max(1) + begin
    }

    fn batch(
        &self,
        first: u64,
        rows: &[u8],
        range: std::ops::Range<usize>,
        extents: &[Vec<Extent>],
        reasons: &mut Reasons,
        take: &mut Take<'_>,
    ) -> Result<(), FormatError> {
        let bytes = &rows[range.start * self.stride..range.end * self.stride];
        let extents: Vec<&[Extent]> =
            extents.iter().map(|column| column.get(range.clone()).unwrap_or_default()).collect();
        let fetched = match self.heap {
            Some((data, heap)) => Fetched::read(data, heap, extents.iter().copied().flatten())?,
            None => Fetched::default(),
        };
        let decode = |(index, column): (usize, &&Column)| {
            let mut faults = Faults::new(reasons, &column.name, range.start);
            let data_type = self.schema.field(index).data_type();
            self.column(column, data_type, bytes, extents[index], &fetched, &mut faults)
        };
        let arrays: Result<Vec<ArrayRef>, ArrowError> = self.columns.iter().enumerate().map(decode).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(range.len()));
        let batch = arrays
            .and_then(|arrays| RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options))
            .map_err(|error| self.input.bad(error))?;
        let first = first + range.start as u64;
        let bad = mem::take(reasons).into_iter().map(|(row, reason)| {
            let row = row - range.start;
            BadRow { place: Place::Row(first + row as u64), reason, text: self.text(bytes, row) }
        });
        take(Rows::sound(batch, first, bad.collect()).map_err(|error| self.input.bad(error))?)
    }

    fn column(
        &self,
        column: &Column,
        data_type: &DataType,
        rows: &[u8],
        extents: &[Extent],
        fetched: &Fetched,
        faults: &mut Faults<'_>,
    ) -> Result<ArrayRef, ArrowError> {
        match &column.form {
            Form::Written(written) => Ok(written.decode(rows, self.stride, column.at, faults)),
            Form::Heap { element, .. } => heap::decode(*element, extents, fetched, faults),
            Form::Fixed { element, repeat } => {
                let span = Span { bytes: rows, stride: self.stride, at: column.at, repeat: *repeat };
                let values = decode::values(*element, span, faults);
                match data_type {
                    DataType::FixedSizeList(item, size) => {
                        Ok(Arc::new(FixedSizeListArray::try_new(Arc::clone(item), *size, values, None)?))
                    }
                    _ => Ok(values),
                }
            }
        }
    }

    /// The row as it is written, of an ASCII table.
    fn text(&self, rows: &[u8], row: usize) -> Option<String> {
        let written = self.columns.iter().any(|column| matches!(column.form, Form::Written(_)));
        let row = &rows[row * self.stride..(row + 1) * self.stride];
        written.then(|| String::from_utf8_lossy(row).trim_end().to_owned())
    }
}
