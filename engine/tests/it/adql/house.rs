//! The empty tables that the front end is tried on: one of every kind of column, and one whose names differ by case alone.

use std::{path::Path, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, TimeUnit},
};
use catalogs::{CatalogSnapshot, CatalogStore, StoreOptions, import};
use formats::Batches;

fn field(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn told(field: Field, key: &str, value: &str) -> Field {
    field.with_metadata([(key.to_owned(), value.to_owned())].into())
}

fn array(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// The columns of `demo.stars`.
pub(crate) fn stars() -> Vec<Field> {
    vec![
        field("source_id", DataType::Int64),
        told(field("ra", DataType::Float64), "vo:unit", "deg"),
        told(field("dec", DataType::Float64), "vo:unit", "deg"),
        field("parallax", DataType::Float64),
        field("phot_g_mean_mag", DataType::Float32),
        field("RAJ2000", DataType::Float64),
        field("B-V", DataType::Float32),
        field("designation", DataType::Utf8),
        field("flux", array(DataType::Float32)),
        field("has_rv", DataType::Boolean),
        field("obs_time", DataType::Timestamp(TimeUnit::Microsecond, None)),
        field("size", DataType::Float32),
        field("flags", DataType::Int32),
        told(field("footprint", array(DataType::Float64)), "vo:xtype", "polygon"),
    ]
}

/// The columns of `demo.plates`.
pub(crate) fn plates() -> Vec<Field> {
    vec![
        field("plate", DataType::Int32),
        field("source_id", DataType::Int64),
        field("RA", DataType::Float64),
        field("Ra", DataType::Int64),
    ]
}

/// A table of these columns and no rows, which needs its folder no more once it is there.
pub(crate) async fn snapshot(folder: &Path, name: &str, fields: Vec<Field>) -> Arc<CatalogSnapshot> {
    let url = folder.join(name).display().to_string();
    let store = CatalogStore::open(&StoreOptions { url, ..StoreOptions::default() }).unwrap();
    let schema = Arc::new(Schema::new(fields));
    let source = Batches::new("t", Arc::clone(&schema), vec![RecordBatch::new_empty(schema)]);
    let plan = import::ImportPlan {
        spill: folder.join("spill"),
        position: import::PositionPlan::None,
        ..import::ImportPlan::new(name.parse().unwrap(), Default::default())
    };
    Arc::new(import::run(&store, "t", vec![Box::new(source)], plan, Arc::new(|_| {})).await.unwrap().0)
}
