//! How fast each format is written, on one thread, and in how much memory: `format_speed [ROWS [FORMAT…]]`.
//!
//! The answer is a catalogue of 20 columns that is computed beforehand: 8,192 rows of it, again and again, so that what
//! is measured is the writing alone. Rates are of the bytes that leave, and of the bytes that the columns have in
//! memory.

#![allow(clippy::unwrap_used, reason = "a measurement that fails may do so with a panic")]

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Float32Array, Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch,
        StringArray, TimestampMicrosecondArray,
    },
    datatypes::{Field, Schema},
};
use futures::{FutureExt, StreamExt, stream};
use jobs::{
    Answer,
    formats::{Encoded, Format},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

const BATCH: usize = 8_192;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rows: usize = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let mut formats: Vec<String> = arguments.collect();
    if formats.is_empty() {
        formats = [
            "votable/b2",
            "votable/b",
            "fits",
            "csv",
            "tsv",
            "votable",
            "json",
            "ndjson",
            "parquet",
            "feather",
            "arrow",
        ]
        .map(str::to_owned)
        .into();
    }
    let batch = catalogue();
    let held: usize = batch.columns().iter().map(|column| column.get_array_memory_size()).sum();
    println!("{rows} rows of {} columns", batch.num_columns());
    for name in formats {
        let format: Format = name.parse().unwrap();
        let (begun, bytes, chunk) = (Instant::now(), &mut 0, &mut 0);
        let mut encoded = Encoded::new(answer(&batch, rows), format).unwrap();
        while let Some(next) = encoded.next().now_or_never().unwrap() {
            let length = next.unwrap().len();
            *bytes += length;
            *chunk = length.max(*chunk);
        }
        let seconds = begun.elapsed().as_secs_f64();
        let rate = |bytes: f64| bytes / seconds / 1e6;
        println!(
            "{name:12} {seconds:7.3} s  {:7.1} MB  {:6.0} MB/s out  {:6.0} MB/s in  {:6.1} Mrows/s  chunks to {} KiB  peak {} MB",
            *bytes as f64 / 1e6,
            rate(*bytes as f64),
            rate(held as f64 * rows as f64 / BATCH as f64),
            rows as f64 / seconds / 1e6,
            *chunk >> 10,
            peak()
        );
    }
}

/// The memory that the process has had at most, in MB, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() / 1_000
}

fn answer(batch: &RecordBatch, rows: usize) -> Answer {
    let batch = batch.clone();
    let schema = batch.schema();
    let parts = (0..rows.div_ceil(BATCH)).map(move |part| Ok(batch.slice(0, BATCH.min(rows - part * BATCH))));
    Answer::of_others(schema, stream::iter(parts), "SELECT * FROM survey.stars".to_owned(), None)
}

/// Something like a survey: identifiers, positions, motions, magnitudes with their errors, counts, flags, names, times.
fn catalogue() -> RecordBatch {
    let mut random = StdRng::seed_from_u64(55);
    let mut columns: Vec<(String, ArrayRef)> = Vec::new();
    let ids = Int64Array::from_iter_values((0..BATCH).map(|_| random.random_range(0..1_i64 << 62)));
    columns.push(("source_id".to_owned(), Arc::new(ids)));
    for name in ["ra", "dec", "parallax", "pmra", "pmdec", "radial_velocity"] {
        let values =
            (0..BATCH).map(|row| (name != "radial_velocity" || row % 3 == 0).then(|| random.random::<f64>() * 360.0));
        columns.push((name.to_owned(), Arc::new(Float64Array::from_iter(values))));
    }
    for name in ["ra_error", "dec_error", "mag_u", "mag_g", "mag_r", "mag_i", "mag_z"] {
        let values = (0..BATCH).map(|row| (row % 17 > 0).then(|| random.random::<f32>() * 25.0));
        columns.push((name.to_owned(), Arc::new(Float32Array::from_iter(values))));
    }
    let counts = Int32Array::from_iter_values((0..BATCH).map(|_| random.random_range(0..5_000)));
    let quality = Int16Array::from_iter_values((0..BATCH).map(|_| random.random_range(-1..300)));
    let flags = BooleanArray::from_iter((0..BATCH).map(|row| Some(row % 5 == 0)));
    let class = StringArray::from_iter_values((0..BATCH).map(|row| ["STAR", "GALAXY", "QSO", "UNKNOWN"][row % 4]));
    let names =
        StringArray::from_iter_values((0..BATCH).map(|_| format!("SRC J{:09}", random.random_range(0..999_999_999))));
    let times = (0..BATCH).map(|_| 1_400_000_000_000_000 + random.random_range(0..300_000_000_000_000));
    let more: [(&str, ArrayRef); 6] = [
        ("n_obs", Arc::new(counts)),
        ("quality", Arc::new(quality)),
        ("is_variable", Arc::new(flags)),
        ("class", Arc::new(class)),
        ("designation", Arc::new(names)),
        ("observed", Arc::new(TimestampMicrosecondArray::from_iter_values(times))),
    ];
    columns.extend(more.map(|(name, array)| (name.to_owned(), array)));
    let fields: Vec<_> =
        columns.iter().map(|(name, array)| Field::new(name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}
