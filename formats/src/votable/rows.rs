//! Rows on their way into batches, whichever way they are written.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
    error::ArrowError,
};

use super::{cells::Cells, header::Column, kinds::Kind, values::Reason};
use crate::{BadRow, FormatError, Place, Rows, batch_rows, source::Take};

/// What one pass over a table needs to know, on any thread.
pub(super) struct Plan {
    /// The file's name, for messages.
    pub(super) name: Arc<str>,
    /// The columns of the table and what they hold.
    pub(super) columns: Vec<(Column, Kind)>,
    /// The texts that mean NULL in any column.
    pub(super) nulls: Vec<String>,
    /// The columns that are asked for, ascending.
    pub(super) wanted: Vec<usize>,
    /// The schema of those.
    pub(super) schema: SchemaRef,
}

/// The rows of one piece, one after the other; a batch is handed on whenever it is full.
pub(super) struct Gather<'p> {
    plan: &'p Plan,
    /// For every column of the table, where its cells go.
    cells: Vec<Option<Cells>>,
    /// The number of the first row that has not been handed on.
    first: u64,
    rows: usize,
    bad: Vec<BadRow>,
    limit: usize,
}

impl<'p> Gather<'p> {
    /// No rows yet; the first one will have this number.
    pub(super) fn new(plan: &'p Plan, first: u64) -> Self {
        let mut cells: Vec<Option<Cells>> = plan.columns.iter().map(|_| None).collect();
        for &index in &plan.wanted {
            let (column, kind) = &plan.columns[index];
            cells[index] = Some(Cells::new(column, *kind, &plan.nulls));
        }
        Self { plan, cells, first, rows: 0, bad: Vec::new(), limit: batch_rows(&plan.schema) }
    }

    /// The number of the row that comes next.
    pub(super) fn row(&self) -> u64 {
        self.first + self.rows as u64
    }

    /// How many columns the table has.
    pub(super) fn width(&self) -> usize {
        self.cells.len()
    }

    /// Does something to the column with this index, if it is asked for.
    pub(super) fn cell(
        &mut self,
        index: usize,
        push: impl FnOnce(&mut Cells) -> Result<(), Reason>,
    ) -> Result<(), Reason> {
        match &mut self.cells[index] {
            Some(cells) => push(cells).map_err(|why| format!("{}: {why}", self.plan.columns[index].0.name)),
            None => Ok(()),
        }
    }

    /// Ends a row, whose cells have all been pushed unless something was wrong.
    pub(super) fn end_row(
        &mut self,
        outcome: Result<(), Reason>,
        text: impl FnOnce() -> Option<String>,
        take: &mut Take<'_>,
    ) -> Result<(), FormatError> {
        if let Err(reason) = outcome {
            self.cells.iter_mut().flatten().for_each(|cells| cells.fill(self.rows + 1));
            self.bad.push(BadRow { place: Place::Row(self.row()), reason, text: text() });
        }
        self.rows += 1;
        if self.rows >= self.limit { self.flush(take) } else { Ok(()) }
    }

    /// Hands on what has been gathered.
    pub(super) fn flush(&mut self, take: &mut Take<'_>) -> Result<(), FormatError> {
        if self.rows == 0 {
            return Ok(());
        }
        let (first, bad) = (self.first, std::mem::take(&mut self.bad));
        let rows = self.batch().and_then(|batch| Rows::sound(batch, first, bad));
        take(rows.map_err(|error| FormatError::bad(&self.plan.name, error))?)?;
        self.first += self.rows as u64;
        self.rows = 0;
        Ok(())
    }

    fn batch(&mut self) -> Result<RecordBatch, ArrowError> {
        let arrays: Vec<ArrayRef> = self.cells.iter_mut().flatten().map(Cells::finish).collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.plan.schema), arrays, &options)
    }
}
