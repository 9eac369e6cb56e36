//! Rows kept in memory as they came, and found by number; and a bit for each of many rows.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array},
        compute::{interleave, take},
    },
    error::Result,
};

/// Rows of many batches.
#[derive(Debug, Default)]
pub(super) struct Rows {
    batches: Vec<RecordBatch>,
    /// The number of the first row of each batch, and of all rows.
    starts: Vec<u32>,
}

impl Rows {
    pub(super) fn new(batches: Vec<RecordBatch>) -> Self {
        let mut starts = Vec::with_capacity(batches.len() + 1);
        let mut rows = 0;
        for batch in &batches {
            starts.push(rows);
            rows += batch.num_rows() as u32;
        }
        starts.push(rows);
        Self { batches, starts }
    }

    pub(super) fn len(&self) -> usize {
        self.starts.last().map_or(0, |rows| *rows as usize)
    }

    fn place(&self, row: u32) -> (usize, usize) {
        let batch = self.starts.partition_point(|start| *start <= row) - 1;
        (batch, (row - self.starts[batch]) as usize)
    }

    /// The values of a column in these rows.
    pub(super) fn column(&self, column: usize, rows: &[u32]) -> Result<ArrayRef> {
        if let [batch] = &self.batches[..] {
            return Ok(take(batch.column(column), &UInt32Array::from(rows.to_vec()), None)?);
        }
        let arrays: Vec<&dyn Array> = self.batches.iter().map(|batch| batch.column(column).as_ref()).collect();
        let places: Vec<(usize, usize)> = rows.iter().map(|row| self.place(*row)).collect();
        Ok(interleave(&arrays, &places)?)
    }
}

/// These rows of a batch, which may have no columns.
pub(super) fn take_rows(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    let rows = UInt32Array::from(rows);
    let columns = batch.columns().iter().map(|column| take(column, &rows, None)).collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new_with_options(batch.schema(), columns, &options)?)
}

/// A bit for each row, set by whoever joins it.
#[derive(Debug)]
pub(super) struct Bits(Vec<AtomicU64>);

impl Bits {
    pub(super) fn new(rows: usize) -> Arc<Self> {
        Arc::new(Self((0..rows.div_ceil(64)).map(|_| AtomicU64::new(0)).collect()))
    }

    pub(super) fn bytes(rows: usize) -> usize {
        rows.div_ceil(64) * size_of::<AtomicU64>()
    }

    pub(super) fn set(&self, row: usize) {
        let bit = 1 << (row % 64);
        let word = &self.0[row / 64];
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    pub(super) fn get(&self, row: usize) -> bool {
        self.0[row / 64].load(Ordering::Relaxed) & (1 << (row % 64)) != 0
    }
}
