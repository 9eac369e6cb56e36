//! Rows on their way into batches, whichever way they are written.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::SchemaRef,
    error::ArrowError,
};

use super::{cells::Cells, header::Column, kinds::Kind, values::Reason};
use crate::{BadRow, FormatError, Place, Places, Rows, batch_rows, source::Take};

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

    /// Hands on what has been gathered: each run of good rows with the bad ones right behind it.
    pub(super) fn flush(&mut self, take: &mut Take<'_>) -> Result<(), FormatError> {
        let whole = self.batch().map_err(|error| FormatError::bad(&self.plan.name, error))?;
        let mut bad = std::mem::take(&mut self.bad).into_iter().peekable();
        let mut begin = 0;
        while begin < self.rows {
            let index = |bad: &BadRow| match bad.place {
                Place::Row(number) | Place::Line(number) => (number - self.first) as usize,
            };
            let end = bad.peek().map_or(self.rows, index);
            let mut behind = Vec::new();
            while let Some(next) = bad.next_if(|next| index(next) == end + behind.len()) {
                behind.push(next);
            }
            let next = end + behind.len();
            let batch = whole.slice(begin, end - begin);
            take(Rows { batch, places: Places::Rows(self.first + begin as u64), bad: behind })?;
            begin = next;
        }
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
