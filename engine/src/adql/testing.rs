//! A house of small tables for the tests of the front end.

use std::sync::{Arc, LazyLock};

use catalogs::{CatalogSnapshot, CatalogStore, StoreOptions, import};
use datafusion::arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Schema, TimeUnit},
};

use super::parse;
use crate::TableSet;

/// `demo.stars`, `demo.plates`, `other.stars`, and version 2 of `demo.stars`, all empty.
pub(crate) fn tables() -> &'static TableSet {
    static TABLES: LazyLock<TableSet> = LazyLock::new(|| {
        // A runtime of its own: a test may have one already.
        std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(made())).join().unwrap()
    });
    &TABLES
}

async fn made() -> TableSet {
    let folder = tempfile::tempdir().unwrap();
    let flux = DataType::List(Arc::new(Field::new_list_field(DataType::Float32, true)));
    let stars = [
        ("source_id", DataType::Int64),
        ("ra", DataType::Float64),
        ("dec", DataType::Float64),
        ("parallax", DataType::Float64),
        ("phot_g_mean_mag", DataType::Float32),
        ("RAJ2000", DataType::Float64),
        ("B-V", DataType::Float32),
        ("designation", DataType::Utf8),
        ("flux", flux),
        ("has_rv", DataType::Boolean),
        ("obs_time", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("size", DataType::Float32),
        ("flags", DataType::Int32),
    ];
    let plates = [
        ("plate", DataType::Int32),
        ("source_id", DataType::Int64),
        ("RA", DataType::Float64),
        ("Ra", DataType::Int64),
    ];
    let stars = snapshot(folder.path(), "demo.stars", &stars).await;
    let plates = snapshot(folder.path(), "demo.plates", &plates).await;
    let named = |name: &str, snapshot: &Arc<CatalogSnapshot>| (name.parse().unwrap(), Arc::clone(snapshot));
    let tables = [named("demo.stars", &stars), named("demo.plates", &plates), named("other.stars", &stars)];
    TableSet::new(tables).unwrap().with_version("demo.stars".parse().unwrap(), 2, stars)
}

async fn snapshot(folder: &std::path::Path, name: &str, columns: &[(&str, DataType)]) -> Arc<CatalogSnapshot> {
    let url = folder.join(name).display().to_string();
    let store = CatalogStore::open(&StoreOptions { url, ..Default::default() }).unwrap();
    let fields: Vec<Field> = columns.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect();
    let schema = Arc::new(Schema::new(fields));
    let source = formats::Batches::new("t", Arc::clone(&schema), vec![RecordBatch::new_empty(schema)]);
    let plan = import::ImportPlan {
        spill: folder.join("spill"),
        position: import::PositionPlan::None,
        ..import::ImportPlan::new(name.parse().unwrap(), Default::default())
    };
    Arc::new(import::run(&store, "t", vec![Box::new(source)], plan, Arc::new(|_| {})).await.unwrap().0)
}

/// A query as the planner gets it.
pub(super) fn rewritten(text: &str) -> String {
    parse(text, tables()).unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
}

/// Why a query is refused.
pub(super) fn refusal(text: &str) -> String {
    match parse(text, tables()) {
        Err(error) => error.to_string(),
        Ok(statement) => panic!("{text}: understood as {statement}"),
    }
}
