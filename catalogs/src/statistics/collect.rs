//! Statistics of rows as they pass by on their way into a file.

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::cast,
    datatypes::{DataType, SchemaRef},
};

use super::{
    ColumnBounds, FileStatistics, bounds_type,
    extremes::{Bound, Side, extremes, short},
};
use crate::CatalogError;

/// Collects the statistics of one file. They are exact, but for text and bytes longer than 64 bytes, which become bounds.
#[derive(Clone, Debug)]
pub struct Collector(Vec<Column>);

#[derive(Clone, Debug)]
struct Column {
    /// The type of the bounds, if there can be any.
    bounds: Option<DataType>,
    min: Bound,
    max: Bound,
    nulls: u64,
}

impl Collector {
    /// For rows of this schema.
    pub fn new(schema: &SchemaRef) -> Self {
        let column = |data_type| Column {
            bounds: bounds_type(data_type),
            min: Bound::default(),
            max: Bound::default(),
            nulls: 0,
        };
        Self(schema.fields().iter().map(|field| column(field.data_type())).collect())
    }

    /// Takes more rows into account.
    pub fn add(&mut self, rows: &RecordBatch) -> Result<(), CatalogError> {
        self.0.iter_mut().zip(rows.columns()).try_for_each(|(column, values)| column.add(values))
    }

    /// Takes more values of one column into account.
    pub fn add_to(&mut self, column: usize, values: &ArrayRef) -> Result<(), CatalogError> {
        self.0.get_mut(column).map_or(Ok(()), |column| column.add(values))
    }

    /// The statistics of all rows.
    pub fn finish(self) -> FileStatistics {
        FileStatistics(self.0.into_iter().map(Column::finish).collect())
    }
}

impl Column {
    fn add(&mut self, values: &ArrayRef) -> Result<(), CatalogError> {
        self.nulls += values.logical_null_count() as u64;
        let Some(bounds) = &self.bounds else { return Ok(()) };
        let found = match values.data_type() {
            DataType::Dictionary(..) => extremes(&cast(values, bounds)?),
            _ => extremes(values),
        };
        let Some((least, greatest)) = found else { return Ok(()) };
        self.min = std::mem::take(&mut self.min).and(short(least, Side::Lower), Side::Lower)?;
        self.max = std::mem::take(&mut self.max).and(short(greatest, Side::Upper), Side::Upper)?;
        Ok(())
    }

    fn finish(self) -> ColumnBounds {
        let ((min, min_exact), (max, max_exact)) = (self.min.told(), self.max.told());
        ColumnBounds { min, max, nulls: Some(self.nulls), exact: self.bounds.is_some() && min_exact && max_exact }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            AsArray, DictionaryArray, Float64Array, Int64Array, ListArray, StringArray, TimestampMicrosecondArray,
        },
        datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType},
    };

    use super::*;

    fn collected(batches: &[RecordBatch]) -> FileStatistics {
        let mut collector = Collector::new(&batches[0].schema());
        batches.iter().for_each(|batch| collector.add(batch).unwrap());
        collector.finish()
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
            .unwrap()
    }

    #[test]
    fn values_of_several_batches_are_bounded_exactly() {
        let rows = |ids: Vec<Option<i64>>, mags: Vec<f64>, names: Vec<&str>| {
            batch(vec![
                ("id", Arc::new(Int64Array::from(ids)) as ArrayRef),
                ("mag", Arc::new(Float64Array::from(mags)) as ArrayRef),
                ("name", Arc::new(StringArray::from(names)) as ArrayRef),
            ])
        };
        let FileStatistics(columns) = collected(&[
            rows(vec![Some(5), None], vec![f64::NAN, 1.5], vec!["b", "ä"]),
            rows(vec![None, Some(i64::MIN)], vec![-3.0, f64::NAN], vec!["a", ""]),
        ]);
        let [id, mag, name] = <[ColumnBounds; 3]>::try_from(columns).unwrap();
        let ids = [id.min, id.max].map(|bound| bound.unwrap().as_primitive::<Int64Type>().value(0));
        assert_eq!((ids, id.nulls, id.exact), ([i64::MIN, 5], Some(2), true));
        let mags = [mag.min, mag.max].map(|bound| bound.unwrap().as_primitive::<Float64Type>().value(0));
        assert_eq!((mags, mag.nulls, mag.exact), ([-3.0, 1.5], Some(0), true));
        let names = [name.min, name.max].map(|bound| bound.unwrap().as_string::<i32>().value(0).to_owned());
        assert_eq!((names, name.exact), (["".to_owned(), "ä".to_owned()], true));
    }

    #[test]
    fn nothing_but_nulls_and_nan_has_no_bounds_and_that_is_exact() {
        let column = Float64Array::from(vec![None, Some(f64::NAN)]);
        let FileStatistics(columns) = collected(&[batch(vec![("a", Arc::new(column) as ArrayRef)])]);
        assert_eq!(columns, [ColumnBounds { min: None, max: None, nulls: Some(1), exact: true }]);
    }

    #[test]
    fn a_long_text_becomes_a_bound_that_is_no_value_until_a_shorter_one_goes_beyond_it() {
        let of = |texts: Vec<&str>| {
            let FileStatistics(columns) =
                collected(&[batch(vec![("a", Arc::new(StringArray::from(texts)) as ArrayRef)])]);
            columns.into_iter().next().unwrap()
        };
        let long = "m".repeat(1_000_000);
        let bounds = of(vec![&long]);
        assert!(!bounds.exact);
        assert_eq!(bounds.min.unwrap().as_string::<i32>().value(0), "m".repeat(64));
        assert_eq!(bounds.max.unwrap().as_string::<i32>().value(0), "m".repeat(63) + "n");
        assert!(of(vec![&long, "a", "z"]).exact);
    }

    #[test]
    fn a_list_has_only_nulls_and_a_dictionary_the_bounds_of_its_values() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1)]), None]);
        let dictionary: DictionaryArray<Int32Type> = [Some("b"), Some("a")].into_iter().collect();
        let time = TimestampMicrosecondArray::from(vec![7, 3]).with_timezone("UTC");
        let FileStatistics(columns) = collected(&[batch(vec![
            ("list", Arc::new(list) as ArrayRef),
            ("word", Arc::new(dictionary) as ArrayRef),
            ("time", Arc::new(time.clone()) as ArrayRef),
        ])]);
        assert_eq!(columns[0], ColumnBounds { min: None, max: None, nulls: Some(1), exact: false });
        assert_eq!(columns[1].min.as_ref().unwrap().as_string::<i32>().value(0), "a");
        let min = columns[2].min.as_ref().unwrap();
        assert_eq!((min.as_primitive::<TimestampMicrosecondType>().value(0), min.data_type()), (3, time.data_type()));
    }
}
