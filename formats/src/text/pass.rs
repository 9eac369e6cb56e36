//! One pass over a text: chunks of rows become batches, and rows that are none are set aside with the reason.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

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
    /// Whether every row was found to be one, so that what follows the last column that is read need not be looked at.
    pub(super) is_sound: bool,
    /// Sheets that nobody writes on any more: their memory is used again.
    pub(super) spare: Mutex<Vec<Sheet>>,
}

/// Rows that have been told apart, and not yet read.
#[derive(Debug, Default)]
pub(super) struct Sheet {
    records: Vec<Record>,
    /// The fields of the columns that are read, row by row.
    fields: Vec<Span>,
    /// Rows that have no fields to read.
    bad: Vec<BadRow>,
}

impl Sheet {
    fn clear(&mut self) {
        self.records.clear();
        self.fields.clear();
        self.bad.clear();
    }
}

impl Pass {
    /// Reads a chunk.
    pub(super) fn decode(&self, chunk: &Chunk, take: &mut Take<'_>) -> Result<(), FormatError> {
        let mut records = Records::new(&chunk.text, chunk.line, self.dialect);
        let brief = self.brief();
        if let Some(most) = brief {
            records = records.up_to(most);
        }
        let utf8 = brief.is_some() || std::str::from_utf8(&chunk.text).is_ok();
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sheet = spare().pop().unwrap_or_default();
        loop {
            records.forget();
            sheet.clear();
            self.gather(&mut records, utf8, brief, &mut sheet);
            if sheet.records.is_empty() && sheet.bad.is_empty() {
                spare().push(sheet);
                return Ok(());
            }
            let rows = self.read(&records, &mut sheet).map_err(|error| FormatError::bad(&self.name, error))?;
            take(rows)?;
        }
    }

    /// How many fields of each row are enough, where that is less than all: of the rest only the end is looked for.
    fn brief(&self) -> Option<usize> {
        let most = self.columns.last().map_or(1, |last| last + 1);
        (self.is_sound && most < self.width).then_some(most)
    }

    fn gather(&self, records: &mut Records<'_>, utf8: bool, brief: Option<usize>, sheet: &mut Sheet) {
        let mut fields = Vec::with_capacity(self.width + 1);
        while sheet.records.len() + sheet.bad.len() < self.batch
            && let Some(record) = records.next(&mut fields)
        {
            let fault = match brief {
                Some(most) if fields.len() == most => None,
                _ => record.fault(&fields, self.width, records.text(), utf8),
            };
            match fault {
                Some(reason) => sheet.bad.push(bad_row(records.text(), &record, reason)),
                None => {
                    sheet.records.push(record);
                    sheet.fields.extend(self.columns.iter().map(|column| fields[*column]));
                }
            }
        }
    }

    fn read(&self, records: &Records<'_>, sheet: &mut Sheet) -> Result<Rows, ArrowError> {
        let mut bad = std::mem::take(&mut sheet.bad);
        let Sheet { records: rows, fields, .. } = &*sheet;
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

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};

    use super::*;
    use crate::{
        SourceOptions,
        text::{
            Limits, pieces,
            tests::{gather, layout, opened, whole},
        },
    };

    #[test]
    fn a_row_at_fault_is_found_whatever_columns_are_read() {
        let rows = "1,2.5,a,x\n".repeat(1000);
        for (last, fault) in [
            ("2,3,b", Some("it has 3 fields instead of 4")),
            ("2,3,b,y,z", Some("it has 5 fields instead of 4")),
            ("2,3,b,\"y\"z", Some("field 4 does not end with its closing quote")),
            ("2,3,b,y,", None),
            ("2,3,b,\"y\n\"", None),
            ("2,3,\"b,\",y", None),
        ] {
            let source = opened(format!("i,m,n,o\n{rows}{last}\n").as_bytes(), SourceOptions::default()).unwrap();
            for columns in [None, Some(&[][..]), Some(&[0]), Some(&[1]), Some(&[0, 1]), Some(&[3])] {
                let found = whole(&*source, columns);
                assert_eq!(found.bad_lines(), fault.map(|why| (1002, why)).into_iter().collect::<Vec<_>>(), "{last}");
                assert_eq!(found.batch.num_rows(), if fault.is_some() { 1000 } else { 1001 }, "{last}");
            }
        }
    }

    #[test]
    fn a_row_that_has_lost_the_field_that_is_read_since_all_were_sound_is_at_fault() {
        let layout = layout(Dialect { delimiter: b',', comment: None }, Limits::default());
        let schema =
            Arc::new(Schema::new(["a", "b", "c"].map(|name| Field::new(name, DataType::Int64, true)).to_vec()));
        let pass = Pass { is_sound: true, ..layout.pass(&schema, Some(&[1])).unwrap() };
        let found = gather(&Arc::clone(&pass.schema), pieces(layout.chunks(&b"1,2,3\n4\n7,8,9"[..]), pass));
        assert_eq!(found.bad_lines(), [(2, "it has 1 field instead of 3")]);
        assert_eq!((found.rows(), found.lines), (vec![vec!["2".to_owned()], vec!["8".into()]], vec![1, 3]));
    }
}
