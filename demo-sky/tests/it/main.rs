//! What the demo skies promise to those who query them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails may panic")]

mod counterparts;
mod observations;
mod pinned;
mod schemas;
mod stars;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Float32Type, Float64Type};
use demo_sky::{DemoSky, Table};

/// A table as one batch.
fn whole(sky: DemoSky, table: Table) -> RecordBatch {
    concat_batches(&DemoSky::schema(table), &sky.batches(table).collect::<Vec<_>>()).unwrap()
}

/// The million stars that several tests look at, drawn once a process.
fn million() -> &'static RecordBatch {
    static STARS: std::sync::LazyLock<RecordBatch> =
        std::sync::LazyLock::new(|| whole(DemoSky { seed: 2026, rows: 1_000_000 }, Table::Stars));
    &STARS
}

/// A column of doubles or floats, NULLs as None.
fn numbers(batch: &RecordBatch, column: &str) -> Vec<Option<f64>> {
    let array = batch.column_by_name(column).unwrap();
    match array.as_primitive_opt::<Float64Type>() {
        Some(doubles) => doubles.iter().collect(),
        None => array.as_primitive::<Float32Type>().iter().map(|value| value.map(f64::from)).collect(),
    }
}

/// A column of doubles or floats without NULLs.
fn all_numbers(batch: &RecordBatch, column: &str) -> Vec<f64> {
    numbers(batch, column).into_iter().map(|value| value.expect("no NULL in this column")).collect()
}
