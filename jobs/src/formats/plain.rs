//! Columns as every Arrow client reads them.
//!
//! Inside, strings are views and may be dictionaries; JDBC drivers and Arrow for JavaScript read neither. What leaves
//! has plain strings, bytes and lists, whatever the nesting, and the schema that is promised is made by the same
//! function as the batches that are sent.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::cast,
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
    error::ArrowError,
};

/// The schema that leaves; the metadata of fields and schema stays.
pub fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Vec<_> = schema.fields().iter().map(plain_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A batch in its plain schema.
pub fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    let plain = |(column, field): (&ArrayRef, &FieldRef)| {
        if column.data_type() == field.data_type() {
            Ok(ArrayRef::clone(column))
        } else {
            cast(column, field.data_type())
        }
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(plain).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(SchemaRef::clone(schema), columns, &options)
}

fn plain_field(field: &FieldRef) -> FieldRef {
    let plain = Field::new(field.name(), plain_type(field.data_type()), field.is_nullable());
    Arc::new(plain.with_metadata(field.metadata().clone()))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::List(field) | DataType::ListView(field) => DataType::List(plain_field(field)),
        DataType::LargeList(field) | DataType::LargeListView(field) => DataType::LargeList(plain_field(field)),
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(plain_field(field), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain_field).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Array, AsArray, BinaryViewArray, DictionaryArray, FixedSizeListArray, Int32Array, StringViewArray,
        types::Int8Type,
    };

    use super::*;

    #[test]
    fn views_and_dictionaries_become_plain_at_any_depth_and_keep_their_metadata() {
        let views: ArrayRef =
            Arc::new(StringViewArray::from(vec![Some("a"), None, Some("longer than a view holds inline"), Some("d")]));
        let item = Arc::new(Field::new("item", DataType::Utf8View, true));
        let list: ArrayRef = Arc::new(FixedSizeListArray::new(item, 2, ArrayRef::clone(&views), None));
        let dictionary: DictionaryArray<Int8Type> = [Some("x"), None].into_iter().collect();
        let bytes = BinaryViewArray::from(vec![Some(&b"\x00"[..]), None]);
        let number = Int32Array::from(vec![1, 2]);
        let metadata = [("vo:unit".to_owned(), "mag".to_owned())];
        let columns: Vec<ArrayRef> =
            vec![views.slice(2, 2), list, Arc::new(dictionary), Arc::new(bytes), Arc::new(number)];
        let fields: Vec<_> = columns
            .iter()
            .map(|column| Field::new("c", column.data_type().clone(), true).with_metadata(metadata.clone().into()))
            .collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();

        let schema = plain_schema(&batch.schema());
        let plain = plain_batch(&batch, &schema).unwrap();
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let types: Vec<_> = plain.columns().iter().map(|column| column.data_type().clone()).collect();
        let expected =
            [DataType::Utf8, DataType::FixedSizeList(item, 2), DataType::Utf8, DataType::Binary, DataType::Int32];
        assert_eq!(types, expected);
        assert!(
            plain
                .schema()
                .fields()
                .iter()
                .all(|field| { field.metadata().get("vo:unit").is_some_and(|unit| unit == "mag") })
        );
        assert_eq!(plain.column(0).as_string::<i32>().value(0), "longer than a view holds inline");
        assert_eq!(plain.column(1).as_fixed_size_list().value(0).as_string::<i32>().value(0), "a");
        assert!(plain.column(2).is_null(1) && plain.column(3).is_null(1));
    }

    #[test]
    fn a_batch_without_columns_keeps_its_rows() {
        let options = RecordBatchOptions::new().with_row_count(Some(3));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        assert_eq!(plain_batch(&batch, &plain_schema(&batch.schema())).unwrap().num_rows(), 3);
    }
}
