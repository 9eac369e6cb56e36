//! The bounds of the columns of many files of one schema, in the memory of their values.
//!
//! A bound by itself takes hundreds of bytes; joined with those of other files it takes those of its type. A hundred
//! thousand files of two hundred columns then need half a gigabyte, where they would need ten.

use arrow::{
    array::{Array, ArrayRef, BooleanArray, UInt64Array, new_null_array},
    compute::concat,
    error::ArrowError,
};

use crate::statistics::{ColumnBounds, FileStatistics};

/// Files whose bounds are joined.
const CHUNK: usize = 256;

/// Grows file by file; then each bound can be looked up.
#[derive(Debug, Default)]
pub(super) struct ManyBounds {
    pending: Vec<FileStatistics>,
    /// For each chunk of files, its columns.
    chunks: Vec<Vec<Column>>,
}

/// A column of a chunk of files. No array of bounds where no file has one.
#[derive(Debug)]
struct Column {
    min: Option<ArrayRef>,
    max: Option<ArrayRef>,
    nulls: UInt64Array,
    exact: BooleanArray,
}

impl ManyBounds {
    /// Adds the next file and tells its number.
    pub(super) fn push(&mut self, file: FileStatistics) -> Result<usize, ArrowError> {
        let number = self.chunks.len() * CHUNK + self.pending.len();
        self.pending.push(file);
        if self.pending.len() == CHUNK {
            let files = std::mem::take(&mut self.pending);
            let columns = files.first().map_or(0, |file| file.0.len());
            self.chunks.push((0..columns).map(|column| joined(&files, column)).collect::<Result<_, _>>()?);
        }
        Ok(number)
    }

    /// The bounds of a column of the file with this number.
    pub(super) fn get(&self, file: usize, column: usize) -> ColumnBounds {
        let Some(chunk) = self.chunks.get(file / CHUNK) else { return self.pending[file % CHUNK].0[column].clone() };
        let (found, row) = (&chunk[column], file % CHUNK);
        let bound = |bounds: &Option<ArrayRef>| Some(bounds.as_ref().filter(|it| it.is_valid(row))?.slice(row, 1));
        ColumnBounds {
            min: bound(&found.min),
            max: bound(&found.max),
            nulls: found.nulls.is_valid(row).then(|| found.nulls.value(row)),
            exact: found.exact.value(row),
        }
    }
}

fn joined(files: &[FileStatistics], column: usize) -> Result<Column, ArrowError> {
    let of = || files.iter().map(|file| &file.0[column]);
    Ok(Column {
        min: joined_bounds(of().map(|bounds| bounds.min.as_ref()).collect())?,
        max: joined_bounds(of().map(|bounds| bounds.max.as_ref()).collect())?,
        nulls: of().map(|bounds| bounds.nulls).collect(),
        exact: of().map(|bounds| Some(bounds.exact)).collect(),
    })
}

fn joined_bounds(bounds: Vec<Option<&ArrayRef>>) -> Result<Option<ArrayRef>, ArrowError> {
    let Some(known) = bounds.iter().flatten().next() else { return Ok(None) };
    let none = new_null_array(known.data_type(), 1);
    let arrays: Vec<&dyn Array> = bounds.iter().map(|bound| bound.unwrap_or(&none).as_ref()).collect();
    concat(&arrays).map(Some)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};

    use super::*;

    #[test]
    fn bounds_come_back_as_they_went_in() {
        let file = |number: usize| {
            let id = (!number.is_multiple_of(3)).then(|| Arc::new(Int64Array::from(vec![number as i64])) as ArrayRef);
            let name = Arc::new(StringArray::from(vec![format!("name {number}")])) as ArrayRef;
            let nulls = (!number.is_multiple_of(5)).then_some(number as u64);
            FileStatistics(vec![
                ColumnBounds { min: id.clone(), max: id, nulls, exact: number.is_multiple_of(2) },
                ColumnBounds::default(),
                ColumnBounds { min: Some(name), max: None, nulls: Some(0), exact: false },
            ])
        };
        let mut many = ManyBounds::default();
        for number in 0..3 * CHUNK + 7 {
            assert_eq!(many.push(file(number)).unwrap(), number);
        }
        for number in 0..3 * CHUNK + 7 {
            let found = FileStatistics((0..3).map(|column| many.get(number, column)).collect());
            assert_eq!(found, file(number));
        }
    }
}
