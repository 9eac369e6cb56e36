//! One pass over a text: chunks of rows become batches, and rows that are none are set aside with the reason.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{BooleanArray, RecordBatch, RecordBatchOptions},
    compute::filter_record_batch,
    datatypes::{DataType, SchemaRef},
    error::ArrowError,
};

use super::{
    chunks::Chunk,
    columns::{Nulls, Reading},
    infer::shown,
    records::{Dialect, Record, Records, Span},
    values::Misfit,
};
use crate::{BadRow, FormatError, Place, Places, Rows, in_words, source::Take};

/// What a pass needs to know of its text.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) name: String,
    pub(super) dialect: Dialect,
    pub(super) nulls: Nulls,
    /// How many fields a row has.
    pub(super) width: usize,
    /// Which of them are read, ascending.
    pub(super) columns: Vec<usize>,
    /// The schema of those.
    pub(super) schema: SchemaRef,
    /// How many rows a batch has at most.
    pub(super) batch: usize,
}

/// Rows that have been told apart, and not yet read.
#[derive(Default)]
struct Sheet {
    records: Vec<Record>,
    /// The fields of the columns that are read, row by row.
    fields: Vec<Span>,
    /// Rows that have no fields to read.
    bad: Vec<BadRow>,
}

impl Pass {
    /// Reads a chunk.
    pub(super) fn decode(&self, chunk: &Chunk, take: &mut Take<'_>) -> Result<(), FormatError> {
        let utf8 = std::str::from_utf8(&chunk.text).is_ok();
        let mut records = Records::new(&chunk.text, chunk.line, self.dialect);
        loop {
            records.forget();
            let sheet = self.gather(&mut records, utf8);
            if sheet.records.is_empty() && sheet.bad.is_empty() {
                return Ok(());
            }
            let rows = self.read(&records, sheet).map_err(|error| FormatError::bad(&self.name, error))?;
            take(rows)?;
        }
    }

    fn gather(&self, records: &mut Records<'_>, utf8: bool) -> Sheet {
        let mut sheet = Sheet::default();
        let mut fields = Vec::with_capacity(self.width + 1);
        while sheet.records.len() + sheet.bad.len() < self.batch
            && let Some(record) = records.next(&mut fields)
        {
            match record.fault(&fields, self.width, records.text(), utf8) {
                Some(reason) => sheet.bad.push(bad_row(records.text(), &record, reason)),
                None => {
                    sheet.records.push(record);
                    sheet.fields.extend(self.columns.iter().map(|column| fields[*column]));
                }
            }
        }
        sheet
    }

    fn read(&self, records: &Records<'_>, sheet: Sheet) -> Result<Rows, ArrowError> {
        let Sheet { records: rows, fields, mut bad } = sheet;
        let mut misfits = BTreeMap::new();
        let mut arrays = Vec::with_capacity(self.columns.len());
        let mut column = Vec::with_capacity(rows.len());
        for (index, field) in self.schema.fields().iter().enumerate() {
            column.clear();
            column.extend(fields.iter().skip(index).step_by(self.columns.len()).map(|span| records.bytes(*span)));
            let mut misfit = |row: usize, why: Misfit| {
                misfits.entry(row).or_insert_with(|| reason(field.name(), column[row], field.data_type(), why));
            };
            let reading = Reading { fields: &column, nulls: &self.nulls, misfit: &mut misfit };
            arrays.push(reading.read(field.data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let mut batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)?;
        if !misfits.is_empty() {
            let sound: BooleanArray = (0..rows.len()).map(|row| Some(!misfits.contains_key(&row))).collect();
            batch = filter_record_batch(&batch, &sound)?;
        }
        let lines =
            rows.iter().enumerate().filter(|(row, _)| !misfits.contains_key(row)).map(|(_, record)| record.line);
        let places = Places::Lines(lines.collect());
        if !misfits.is_empty() {
            bad.extend(misfits.into_iter().map(|(row, reason)| bad_row(records.text(), &rows[row], reason)));
            bad.sort_by_key(|row| row.place);
        }
        Ok(Rows { batch, places, bad })
    }
}

fn bad_row(text: &[u8], record: &Record, reason: String) -> BadRow {
    let text = String::from_utf8_lossy(&text[record.start..record.end]).into_owned();
    BadRow { place: Place::Line(record.line), reason, text: Some(text) }
}

/// As in `mag: 'bright' is no number`.
fn reason(column: &str, field: &[u8], data_type: &DataType, why: Misfit) -> String {
    let field = shown(field);
    match why {
        Misfit::Form(why) => format!("{column}: '{field}' {why}"),
        Misfit::Range => format!("{column}: '{field}' is out of the range of {}", in_words(data_type)),
    }
}
