//! Statistics of a file that is there already, from the footer of the file.
//!
//! What other writers put there is believed as far as the Parquet standard goes and no farther: bounds in the old fields
//! whose order was never defined, NaN, and a count of NULLs beside missing bounds say nothing.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::{CastOptions, cast_with_options, filter, is_not_null},
    datatypes::{DataType, Field, Float32Type, Float64Type, Schema, SchemaRef},
};
use parquet::{
    arrow::{arrow_reader::statistics::StatisticsConverter, parquet_to_arrow_schema},
    file::metadata::{ParquetMetaData, RowGroupMetaData},
};

use super::{
    ColumnBounds, FileStatistics, bounds_type,
    extremes::{Bound, Side, extremes, short},
};

/// What a footer says of the columns of `schema`, which the file's own columns are read as. A column that the file does
/// not have is NULL in all of its rows.
pub fn of_footer(schema: &SchemaRef, footer: &ParquetMetaData) -> FileStatistics {
    let file = footer.file_metadata();
    let own = parquet_to_arrow_schema(file.schema_descr(), file.key_value_metadata()).ok();
    let column = |field: &Field| match &own {
        None => ColumnBounds::default(),
        Some(own) => of_column(field, own, footer).unwrap_or_default(),
    };
    FileStatistics(schema.fields().iter().map(|field| column(field)).collect())
}

/// `None` where nothing can be told.
fn of_column(field: &Field, own: &Schema, footer: &ParquetMetaData) -> Option<ColumnBounds> {
    let rows: u64 = footer.row_groups().iter().map(|group| group.num_rows().max(0) as u64).sum();
    let Ok(stored) = own.field_with_name(field.name()) else {
        return Some(ColumnBounds { min: None, max: None, nulls: Some(rows), exact: true });
    };
    let bounds = bounds_type(field.data_type())?;
    if bounds_type(stored.data_type()).is_none_or(|stored| !keeps_order(&stored, &bounds)) {
        return None;
    }
    let converter = StatisticsConverter::try_new(field.name(), own, footer.file_metadata().schema_descr()).ok()?;
    let converter = converter.with_missing_null_counts_as_zero(false);
    let leaf = converter.parquet_column_index()?;
    let groups = || footer.row_groups().iter().filter(|group| group.num_rows() > 0);
    if groups().any(|group| has_undefined_order(group, leaf)) {
        return None;
    }
    let nulls = converter.row_group_null_counts(groups()).ok()?;
    let empty: Vec<bool> =
        groups().zip(nulls.iter()).map(|(group, nulls)| nulls == Some(group.num_rows().max(0) as u64)).collect();
    let read = |array: ArrayRef| -> Option<ArrayRef> {
        // A row group that has values must have bounds.
        let known = (0..array.len()).all(|group| empty[group] || (array.is_valid(group) && !is_nan(&array, group)));
        let options = CastOptions { safe: true, ..CastOptions::default() };
        let array = cast_with_options(&array, &bounds, &options).ok().filter(|_| known)?;
        // A bound that the column's type cannot hold is NULL after the cast.
        let lost = (0..array.len()).any(|group| !empty[group] && array.is_null(group));
        if lost { None } else { filter(&array, &is_not_null(&array).ok()?).ok() }
    };
    let mins = read(converter.row_group_mins(groups()).ok()?)?;
    let maxes = read(converter.row_group_maxes(groups()).ok()?)?;
    let is_cut = |array: arrow::array::BooleanArray| (0..array.len()).any(|group| !empty[group] && !array.value(group));
    let may_be_cut = matches!(stored.data_type(), DataType::Dictionary(..)) || !bounds.is_primitive();
    let exact = bounds == DataType::Boolean
        || !may_be_cut
        || !(is_cut(converter.row_group_is_min_value_exact(groups()).ok()?)
            || is_cut(converter.row_group_is_max_value_exact(groups()).ok()?));
    let bound = |array: &ArrayRef, side| match extremes(array) {
        None => Bound::Empty,
        Some((least, greatest)) => short(if side == Side::Lower { least } else { greatest }, side),
    };
    let ((min, min_is_value), (max, max_is_value)) =
        (bound(&mins, Side::Lower).told(), bound(&maxes, Side::Upper).told());
    let counted = nulls.null_count() == 0;
    Some(ColumnBounds {
        min,
        max,
        nulls: counted.then(|| nulls.values().iter().sum()),
        exact: exact && min_is_value && max_is_value,
    })
}

fn has_undefined_order(group: &RowGroupMetaData, leaf: usize) -> bool {
    let statistics = group.column(leaf).statistics();
    statistics.is_some_and(|told| told.is_min_max_deprecated() && !told.is_min_max_backwards_compatible())
}

fn is_nan(array: &ArrayRef, row: usize) -> bool {
    match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().value(row).is_nan(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(row).is_nan(),
        _ => false,
    }
}

/// Whether values that are read as another type keep their order.
fn keeps_order(from: &DataType, to: &DataType) -> bool {
    let is_number = |data_type: &DataType| data_type.is_integer() || data_type.is_floating();
    let is_text = |data_type: &DataType| matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
    let is_bytes =
        |data_type: &DataType| matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView);
    from == to
        || (from.is_integer() && is_number(to))
        || (from.is_floating() && to.is_floating())
        || (is_text(from) && is_text(to))
        || (is_bytes(from) && is_bytes(to))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{Float64Array, Int32Array, Int64Array, RecordBatch, StringArray},
        datatypes::Int64Type,
    };
    use parquet::{
        arrow::{ArrowWriter, arrow_reader::ArrowReaderMetadata},
        file::properties::{EnabledStatistics, WriterProperties},
    };

    use super::*;

    fn footer(columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) -> Arc<ParquetMetaData> {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)));
        let batch = batch.unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        let bytes = bytes::Bytes::from(writer.into_inner().unwrap());
        Arc::clone(ArrowReaderMetadata::load(&bytes, Default::default()).unwrap().metadata())
    }

    fn groups_of_two() -> WriterProperties {
        WriterProperties::builder().set_max_row_group_row_count(Some(2)).build()
    }

    fn told(footer: &ParquetMetaData, name: &str, data_type: DataType) -> ColumnBounds {
        let schema = Arc::new(Schema::new(vec![Field::new(name, data_type, true)]));
        of_footer(&schema, footer).0.into_iter().next().unwrap()
    }

    #[test]
    fn row_groups_are_put_together_and_one_of_nulls_only_takes_no_part() {
        let values = Int32Array::from(vec![Some(5), Some(-7), None, None, Some(9), None]);
        let footer = footer(vec![("a", Arc::new(values) as ArrayRef)], groups_of_two());
        assert_eq!(footer.num_row_groups(), 3);
        let bounds = told(&footer, "a", DataType::Int64);
        let values = [bounds.min, bounds.max].map(|bound| bound.unwrap().as_primitive::<Int64Type>().value(0));
        assert_eq!((values, bounds.nulls, bounds.exact), ([-7, 9], Some(3), true));
    }

    #[test]
    fn a_row_group_of_values_without_bounds_spoils_the_column() {
        let mags = Float64Array::from(vec![1.0, 2.0, f64::NAN, f64::NAN]);
        let footer = footer(vec![("mag", Arc::new(mags) as ArrayRef)], groups_of_two());
        assert_eq!(told(&footer, "mag", DataType::Float64), ColumnBounds::default());
    }

    #[test]
    fn a_file_without_statistics_tells_nothing_and_an_absent_column_is_null() {
        let ids = || vec![("id", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef)];
        let none = WriterProperties::builder().set_statistics_enabled(EnabledStatistics::None).build();
        let footer = footer(ids(), none);
        assert_eq!(told(&footer, "id", DataType::Int64), ColumnBounds::default());
        let absent = ColumnBounds { min: None, max: None, nulls: Some(3), exact: true };
        assert_eq!(told(&footer, "other", DataType::Int64), absent);
    }

    #[test]
    fn text_that_the_writer_has_cut_is_not_exact() {
        let long = "x".repeat(100);
        let names = StringArray::from(vec!["a", &long]);
        let footer = footer(vec![("name", Arc::new(names) as ArrayRef)], groups_of_two());
        let bounds = told(&footer, "name", DataType::Utf8);
        assert!(!bounds.exact);
        assert!(bounds.max.unwrap().as_string::<i32>().value(0) >= long.as_str());
        let short = footer_of_names(vec!["a", "b"]);
        assert!(told(&short, "name", DataType::LargeUtf8).exact);
    }

    fn footer_of_names(names: Vec<&str>) -> Arc<ParquetMetaData> {
        footer(vec![("name", Arc::new(StringArray::from(names)) as ArrayRef)], groups_of_two())
    }

    #[test]
    fn a_cast_that_changes_the_order_or_loses_a_bound_tells_nothing() {
        let ids = Int64Array::from(vec![9, 10, i64::from(i32::MAX) + 1]);
        let footer = footer(vec![("id", Arc::new(ids) as ArrayRef)], groups_of_two());
        assert_eq!(told(&footer, "id", DataType::Utf8), ColumnBounds::default());
        assert_eq!(told(&footer, "id", DataType::Int32), ColumnBounds::default());
    }
}
