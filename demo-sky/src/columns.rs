//! A column as it stands in a schema: name, type, and what the Virtual Observatory wants to know of it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

/// Whether a column has NULLs.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Nulls {
    Never,
    Sometimes,
}

pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: DataType,
    pub(crate) nulls: Nulls,
    /// In VOUnits; empty where there is none.
    pub(crate) unit: &'static str,
    /// In UCD1+.
    pub(crate) ucd: &'static str,
    pub(crate) description: &'static str,
}

impl Column {
    pub(crate) fn field(self) -> Field {
        let metadata = [("vo:unit", self.unit), ("vo:ucd", self.ucd), ("vo:description", self.description)];
        Field::new(self.name, self.kind, self.nulls == Nulls::Sometimes).with_metadata(strings(metadata))
    }
}

pub(crate) fn schema(description: &str, fields: impl Into<Fields>) -> SchemaRef {
    Arc::new(Schema::new_with_metadata(fields, strings([("vo:description", description)])))
}

/// What a list holds: the child is named as Parquet wants it.
pub(crate) fn list_element(kind: DataType) -> FieldRef {
    Arc::new(Field::new("element", kind, true))
}

fn strings<const N: usize>(pairs: [(&str, &str); N]) -> HashMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[expect(clippy::expect_used, reason = "each table builds its arrays in the order and of the types of its own schema")]
pub(crate) fn record_batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_new(schema, columns).expect("the arrays of a demo table fit its schema")
}
