//! Rows that are in memory already, as a source like any other.

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::{
    FormatError, TableSource,
    source::{Piece, Pieces, Places, Rows},
};

/// Batches of one schema.
#[derive(Clone, Debug)]
pub struct Batches {
    name: String,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
}

impl Batches {
    /// Batches that have this schema, under the name that messages shall use.
    pub fn new(name: impl Into<String>, schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        Self { name: name.into(), schema, batches }
    }
}

impl TableSource for Batches {
    fn name(&self) -> &str {
        &self.name
    }

    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// They are this process's own, and do not change.
    fn fingerprint(&self) -> String {
        "in memory".to_owned()
    }

    fn row_count(&self) -> Option<u64> {
        Some(self.batches.iter().map(|batch| batch.num_rows() as u64).sum())
    }

    fn pieces(&self, columns: Option<&[usize]>) -> Result<Pieces<'_>, FormatError> {
        let columns = columns.map(<[usize]>::to_vec);
        let mut next = 1;
        Ok(Box::new(self.batches.iter().map(move |batch| {
            let places = Places::Rows(next);
            next += batch.num_rows() as u64;
            let batch = match &columns {
                Some(columns) => batch.project(columns).map_err(|error| FormatError::bad(&self.name, error))?,
                None => batch.clone(),
            };
            Ok(Piece::new(move |take| take(Rows { batch, places, bad: Vec::new() })))
        })))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;
    use crate::Place;

    #[test]
    fn rows_are_numbered_through_all_batches_and_columns_chosen() {
        let batch = |values: Vec<i64>| {
            let column = Arc::new(Int64Array::from(values)) as ArrayRef;
            RecordBatch::try_from_iter([("a", Arc::clone(&column)), ("b", column)]).unwrap()
        };
        let batches = vec![batch(vec![1, 2, 3]), batch(vec![4])];
        let source = Batches::new("given", batches[0].schema(), batches);
        let mut seen = Vec::new();
        for piece in source.pieces(Some(&[1])).unwrap() {
            let mut take = |rows: Rows| {
                seen.push((rows.batch.num_rows(), rows.batch.schema().field(0).name().clone(), rows.places.of(0)));
                Ok(())
            };
            piece.unwrap().decode(&mut take).unwrap();
        }
        assert_eq!(seen, [(3, "b".into(), Place::Row(1)), (1, "b".into(), Place::Row(4))]);
        assert_eq!(source.row_count(), Some(4));
    }
}
